"""HTTP/2 checks: against h2's own server side, and against peers that do what nobody should."""

from __future__ import annotations

import asyncio
import itertools
import re
import resource
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import pytest
from h2.exceptions import H2Error
from http2_support import (
    CONTINUATION,
    DATA,
    GOAWAY,
    HEADERS,
    OK,
    PING,
    PUSH,
    RST,
    SETTINGS,
    STATUS_200,
    Headers,
    frame,
    replying,
    sending,
    server_context,
    speaking,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from probe_support import listening, silent

from geodns.core.health import Probe
from geodns.model import Check
from geodns.monitor.probes import Prober
from geodns.monitor.probes.http import MAX_BODY
from geodns.monitor.probes.http2 import MAX_RECEIVED, FailedError, Request, Response, _begun, _exchange


def http2(port: int, kind: str = "http", **check: Any) -> Probe:
    return Probe(Check(kind, version="2", **check), "127.0.0.1", port)


async def test_a_good_response(prober: Prober) -> None:
    async with listening(speaking(replying(OK, b"fine"))) as port:
        ok, detail, *_ = await prober(http2(port))
    assert ok
    assert re.fullmatch(r"200 OK in \d+ ms", detail)


async def test_the_request_is_what_the_check_says(prober: Prober) -> None:
    asked: list[tuple[Headers, bytes]] = []
    check: dict[str, Any] = {
        "method": "POST",
        "path": "/healthz?deep=1&name=%41",
        "host": "www.example.com",
        "headers": (("X-Probe", "geodns"), ("User-Agent", "mine/1")),
    }
    async with listening(speaking(replying(OK), asked)) as port:
        ok, detail, *_ = await prober(http2(port, **check))
        await prober(http2(port))
    assert ok, detail
    assert asked[0] == (
        [
            (":method", "POST"),
            (":scheme", "http"),
            (":authority", "www.example.com"),
            (":path", "/healthz?deep=1&name=%41"),
            ("user-agent", "mine/1"),
            ("x-probe", "geodns"),
        ],
        b"",
    )
    assert (":authority", f"127.0.0.1:{port}") in asked[1][0]


@pytest.mark.parametrize(
    ("headers", "body", "check", "detail"),
    [
        ([(":status", "503")], b"", {}, "status 503, want 200-299"),
        ([(":status", "204")], b"", {"status": ((200, 200), (301, 302))}, "status 204, want 200, 301-302"),
        (OK, b"degraded", {"body": "fine"}, "body lacks 'fine'"),
        (OK, b"", {"body": "fine"}, "body lacks 'fine'"),
    ],
)
async def test_bad_responses(
    prober: Prober, headers: Headers, body: bytes, check: dict[str, Any], detail: str
) -> None:
    async with listening(speaking(replying(headers, body))) as port:
        assert (await prober(http2(port, **check)))[:2] == (False, detail)


@pytest.mark.parametrize(("offset", "found"), [(MAX_BODY - 4, True), (MAX_BODY - 3, False)])
async def test_only_the_first_64_kib_of_a_body_are_searched(prober: Prober, offset: int, found: bool) -> None:
    """More than a window at once, too: what was read is acknowledged."""
    body = b"." * offset + b"fine"
    frames = [frame(HEADERS, 4, 1, STATUS_200)]
    frames += [frame(DATA, 0, 1, body[at : at + 8192]) for at in range(0, len(body), 8192)]
    async with listening(sending([*frames, frame(DATA, 1, 1)])) as port:
        ok, detail, *_ = await prober(http2(port, body="fine"))
    assert ok == found, detail


async def test_over_tls_it_is_agreed_on_and_the_certificate_is_verified(
    knowing: Prober, prober: Prober, certificate: Path
) -> None:
    both = server_context(certificate, "h2", "http/1.1")
    async with listening(speaking(replying(OK)), both) as port:
        ok, detail, expires, *_ = await knowing(http2(port, "https", host="www.example.com"))
        assert ok, detail
        assert expires is not None
        assert time.time() < expires < time.time() + 3 * 86400
        other = await knowing(http2(port, "https", host="wrong.example.com"))
        assert other.detail.startswith("certificate: hostname mismatch")
        unknown = await prober(http2(port, "https", host="www.example.com"))
        assert unknown.detail == "certificate: self-signed certificate"
        assert (await prober(http2(port, "https", verify=False))).ok


@pytest.mark.parametrize("protocols", [(), ("http/1.1",)])
async def test_a_tls_server_that_does_not_choose_it(
    knowing: Prober, certificate: Path, protocols: tuple[str, ...]
) -> None:
    async with listening(silent, server_context(certificate, *protocols)) as port:
        ok, detail, *_ = await knowing(http2(port, "https", host="www.example.com"))
    assert not ok
    assert detail in (
        "not HTTP/2: the server did not choose h2 (ALPN)",
        "TLS: tlsv1 alert no application protocol",
    )


async def test_version_1_1_is_not_offered_it(knowing: Prober, certificate: Path) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async with listening(answer, server_context(certificate, "h2")) as port:
        assert (await knowing(Probe(Check("https", host="www.example.com"), "127.0.0.1", port))).ok


async def test_nobody_listens(prober: Prober, closed_port: int) -> None:
    assert (await prober(http2(closed_port)))[:2] == (False, "connection refused")


async def test_a_server_of_http_1(prober: Prober) -> None:
    async def old(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(24)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async with listening(old) as port:
        assert (await prober(http2(port)))[:2] == (False, "not HTTP/2: it speaks HTTP/1")


LITERAL = b"\x00\x01a\x7f\x80\x7f" + b"b" * 16511  # HPACK: a header `a` of 16511 octets
TINY = b"\x88" + b"\x90" * 3000  # three thousand headers of one octet each
INFORMATION = frame(HEADERS, 4, 1, b"\x08\x03100")
PUSHED = frame(PUSH, 4, 1, b"\0\0\0\2\x82\x84\x86\x41\x01a")


BAD, TOO_MUCH = "not HTTP/2: ", f"it sent more than {MAX_RECEIVED // 1024} KiB of frames"


def repeated(*first: bytes, then: bytes) -> Iterable[bytes]:
    return itertools.chain(first, itertools.repeat(then))


@pytest.mark.parametrize(
    ("chunks", "detail"),
    [
        ([b"\0" * 100], BAD),
        ([bytes(range(256)) * 8], BAD),
        ([frame(DATA, 0, 1, b"early")], BAD),
        ([frame(HEADERS, 4, 1, b"\xff\xff\xff\xff\xff")], BAD),
        ([frame(HEADERS, 4, 1, b"\x40\x01a\x01b")], BAD),  # no status
        ([frame(HEADERS, 4, 1, b"\x08\x032OO")], f"{BAD}the status is no number"),
        ([frame(HEADERS, 4, 0, STATUS_200)], BAD),
        ([frame(HEADERS, 4, 7, STATUS_200)], BAD),
        (repeated(frame(DATA, 0, 1, length=0xFFFFFF), then=b"." * 1000), TOO_MUCH),
        ([frame(SETTINGS, 0, 0, b"\0\4\xff\xff\xff\xff")], BAD),
        ([PUSHED], BAD),
        ([frame(HEADERS, 4, 1, TINY)], BAD),
        (
            [frame(HEADERS, 0, 1, STATUS_200 + LITERAL[:16000]), frame(CONTINUATION, 4, 1, LITERAL[16000:])],
            BAD,
        ),
        (repeated(frame(HEADERS, 0, 1), then=frame(CONTINUATION, 0, 1, b"\x90" * 100)), BAD),
        (repeated(frame(HEADERS, 0, 1), then=frame(CONTINUATION, 0, 1)), BAD),
        (repeated(then=frame(PING, 0, 0, b"p" * 8) * 100), TOO_MUCH),
        (repeated(then=frame(SETTINGS, 0, 0) * 100), TOO_MUCH),
        (repeated(then=INFORMATION), "more than 8 responses 1xx came before the response"),
        ([frame(RST, 0, 1, b"\0\0\0\7")], "the stream was reset: REFUSED_STREAM"),
        ([frame(RST, 0, 1, b"\0\0\1\0")], "the stream was reset: error 256"),
        (
            [frame(GOAWAY, 0, 0, b"\0\0\0\0\0\0\0\x0b" + b"calm down" * 100)],
            "the server ended the connection: ENHANCE_YOUR_CALM",
        ),
    ],
)
async def test_peers_that_do_what_nobody_should(prober: Prober, chunks: Iterable[bytes], detail: str) -> None:
    """Each is told in a line within the deadline, costs little, and is never an exception."""
    async with listening(sending(chunks)) as port:
        spent = resource.getrusage(resource.RUSAGE_SELF)
        ok, told, *_ = await prober(http2(port, timeout=5.0))
        done = resource.getrusage(resource.RUSAGE_SELF)
    assert not ok
    assert told.startswith(detail)
    assert len(told) <= 200
    assert done.ru_utime - spent.ru_utime < 2.0


FRAMES = st.one_of(
    st.binary(max_size=40),
    st.builds(
        frame,
        st.integers(0, 12),
        st.integers(0, 255),
        st.sampled_from([0, 1, 1, 1, 2, 3]),
        st.one_of(st.just(STATUS_200), st.binary(max_size=30)),
    ),
)


class Deaf:
    """A writer to nobody."""

    def write(self, data: bytes) -> None:
        assert len(data) < 1 << 20


@settings(max_examples=500, deadline=None)
@given(st.lists(FRAMES, max_size=8))
def test_no_frames_are_an_exception(frames: list[bytes]) -> None:
    """What is said is a response or is told to be none, whatever it is."""

    async def exchange() -> None:
        reader, response, p = asyncio.StreamReader(), Response(), http2(80)
        reader.feed_data(frame(SETTINGS, 0, 0) + b"".join(frames))
        reader.feed_eof()
        connection = _begun(p, Request("GET", "/", {}), over_tls=False)
        with suppress(FailedError, H2Error):
            await _exchange(connection, reader, cast(asyncio.StreamWriter, Deaf()), response, lambda r: False)
            assert response.ended

    asyncio.run(exchange())


@pytest.mark.parametrize("check", [{"body": "fine"}, {}])
async def test_an_endless_body_is_read_to_its_bound(prober: Prober, check: dict[str, Any]) -> None:
    """It ends in the peer's window being closed, or at the bound; without a `body` it is not read."""
    endless = itertools.chain(
        [frame(HEADERS, 4, 1, STATUS_200)], itertools.repeat(frame(DATA, 0, 1, b"." * 1000))
    )
    async with listening(sending(endless)) as port:
        ok, detail, *_ = await prober(http2(port, timeout=5.0, **check))
    assert ok == (not check)
    assert ok or detail in ("body lacks 'fine'", "not HTTP/2: Cannot receive 1000 bytes")


@pytest.mark.parametrize("kind", ["http", "https"])
async def test_one_deadline_for_everything(prober: Prober, kind: str) -> None:
    async with listening(silent) as port:
        began = time.monotonic()
        ok, detail, *_ = await prober(http2(port, kind, timeout=0.3, verify=False))
        took = time.monotonic() - began
    assert (ok, detail) == (False, "timed out after 0.3 s")
    assert took < 1


@pytest.mark.parametrize(
    "drip",
    [
        [frame(HEADERS, 4, 1, STATUS_200)] + [frame(DATA, 0, 1, b".")] * 1000,
        [bytes([octet]) for octet in frame(HEADERS, 4, 1, STATUS_200) * 100],
        [frame(PING, 0, 0, b"p" * 8)] * 1000,
    ],
    ids=["body", "headers", "pings"],
)
async def test_what_drips_runs_into_the_same_deadline(prober: Prober, drip: list[bytes]) -> None:
    async with listening(sending(drip, 0.02)) as port:
        ok, detail, *_ = await prober(http2(port, body="fine", timeout=0.15))
    assert (ok, detail) == (False, "timed out after 0.15 s")


@pytest.mark.parametrize(
    ("begun", "detail"),
    [
        (b"", "connection closed without a response"),
        (frame(GOAWAY, 0, 0, b"\0" * 8), "connection closed without a response"),
        (frame(HEADERS, 4, 1, STATUS_200) + frame(DATA, 0, 1, b"a"), "connection closed in the middle of"),
    ],
)
async def test_a_connection_that_is_closed_half_way(prober: Prober, begun: bytes, detail: str) -> None:
    async def leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65536)
        writer.write(frame(SETTINGS, 0, 0) + begun)
        writer.close()

    async with listening(leave) as port:
        ok, told, *_ = await prober(http2(port, body="fine"))
    assert not ok
    assert told.startswith(detail)


def test_the_worst_frames_hold_up_the_loop_for_a_moment_only() -> None:
    """What is read at a time is little, since each header of one octet costs as much as any other."""

    async def longest() -> float:
        blocks = frame(HEADERS, 4, 1, b"\x08\x03100" + b"\x90" * 300)
        loop, worst = asyncio.get_running_loop(), 0.0
        prober = Prober(("127.0.0.0/8",))
        async with listening(sending(itertools.repeat(blocks))) as port:
            task = asyncio.create_task(prober(http2(port)))
            while not task.done():
                before = loop.time()
                await asyncio.sleep(0)
                worst = max(worst, loop.time() - before)
        assert not task.result().ok
        await prober.close()
        return worst

    assert min(asyncio.run(longest()) for _ in range(3)) < 0.05
