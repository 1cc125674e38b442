"""Probes against real servers on loopback: what counts as well, and in which words failure is told."""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from probe_support import LOOPBACK, Handler, listening, self_signed, silent

from geodns.core.health import Outcome, Probe
from geodns.model import Check
from geodns.monitor.probes import Prober
from geodns.monitor.probes.failure import describe
from geodns.monitor.probes.http import MAX_BODY
from geodns.monitor.probes.vetting import Vetting

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n"


def saying(reply: bytes, asked: list[bytes] | None = None) -> Handler:
    """A server that sends `reply` to whatever it is asked, and closes."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        if asked is not None:
            asked.append(request)
        head, end, _ = reply.partition(b"\r\n\r\n")
        writer.write(head + end if request.startswith(b"HEAD ") else reply)
        writer.close()

    return handler


def http(port: int, **check: object) -> Probe:
    return Probe(Check("http", **check), "127.0.0.1", port)  # type: ignore[arg-type]


async def test_a_good_response(prober: Prober) -> None:
    async with listening(saying(OK)) as port:
        ok, detail, *_ = await prober(http(port))
    assert ok
    assert re.fullmatch(r"200 OK in \d+ ms", detail)


async def test_the_request_is_what_the_check_says_and_goes_to_the_address(prober: Prober) -> None:
    asked: list[bytes] = []
    check = {
        "method": "HEAD",
        "path": "/healthz?deep=1&name=%41",
        "host": "www.example.com",
        "headers": (("X-Probe", "geodns"), ("User-Agent", "mine/1")),
    }
    async with listening(saying(OK, asked)) as port:
        ok, detail, *_ = await prober(http(port, **check))
    assert ok, detail
    line, *headers = asked[0].decode().split("\r\n")
    assert line == "HEAD /healthz?deep=1&name=%41 HTTP/1.1"
    assert {"Host: www.example.com", "X-Probe: geodns", "User-Agent: mine/1"} <= set(headers)
    assert not any(h.lower().startswith(("accept-encoding", "cookie")) for h in headers)


async def test_without_a_host_the_address_is_the_host(prober: Prober) -> None:
    asked: list[bytes] = []
    async with listening(saying(OK, asked)) as port:
        await prober(http(port))
    assert f"Host: 127.0.0.1:{port}\r\n".encode() in asked[0]


@pytest.mark.parametrize(
    ("reply", "check", "detail"),
    [
        (b"HTTP/1.1 503 Down\r\n\r\n", {}, "status 503, want 200-299"),
        (b"HTTP/1.1 204 No\r\n\r\n", {"status": ((200, 200), (301, 302))}, "status 204, want 200, 301-302"),
        (b"HTTP/1.1 302 F\r\nLocation: /x\r\n\r\n", {}, "status 302, want 200-299"),
        (OK, {"body": "fine"}, "body lacks 'fine'"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", {}, "not HTTP"),
        (b"", {}, "connection closed without a response"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok",
            {"body": "x"},
            "closed in the middle of the body",
        ),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n", {}, "not HTTP"),
    ],
)
async def test_bad_responses(prober: Prober, reply: bytes, check: dict[str, object], detail: str) -> None:
    async with listening(saying(reply)) as port:
        ok, said, *_ = await prober(http(port, **check))
    assert not ok
    assert detail in said
    assert len(said) <= 200
    assert "\n" not in said


@pytest.mark.parametrize(
    ("status", "check"),
    [(302, {"status": ((302, 302),)}), (200, {"body": "ok"}), (599, {"status": ((500, 599),)})],
)
async def test_expected_responses(prober: Prober, status: int, check: dict[str, object]) -> None:
    async with listening(saying(OK.replace(b"200", str(status).encode()))) as port:
        assert (await prober(http(port, **check)))[0]


@pytest.mark.parametrize(("offset", "found"), [(MAX_BODY - 4, True), (MAX_BODY, False)])
async def test_only_the_first_64_kib_of_a_body_are_searched(prober: Prober, offset: int, found: bool) -> None:
    reply = b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * offset + b"GOOD" + b"x" * 200_000
    async with listening(saying(reply)) as port:
        assert (await prober(http(port, body="GOOD")))[0] is found


@pytest.mark.parametrize("kind", ["http", "https", "tcp"])
async def test_nobody_listens(prober: Prober, closed_port: int, kind: str) -> None:
    assert await prober(Probe(Check(kind), "127.0.0.1", closed_port)) == Outcome(False, "connection refused")


@pytest.mark.parametrize("kind", ["http", "https"])
async def test_one_deadline_for_everything(prober: Prober, kind: str) -> None:
    async with listening(silent) as port:
        check = Check(kind, timeout=0.1)
        assert await prober(Probe(check, "127.0.0.1", port)) == Outcome(False, "timed out after 0.1 s")


async def test_a_body_that_drips_runs_into_the_same_deadline(prober: Prober) -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while not reader.at_eof():
            writer.write(b"x")
            await asyncio.sleep(0.02)
        writer.close()

    async with listening(drip) as port:
        ok, detail, *_ = await prober(http(port, body="never", timeout=0.15))
    assert (ok, detail) == (False, "timed out after 0.15 s")


async def test_tcp(prober: Prober) -> None:
    async with listening(silent) as port:
        ok, detail, *_ = await prober(Probe(Check("tcp"), "127.0.0.1", port))
    assert ok
    assert re.fullmatch(r"connected in \d+ ms", detail)


async def test_a_host_name_is_resolved(prober: Prober) -> None:
    asked: list[bytes] = []
    async with listening(saying(OK, asked)) as port:
        ok, detail, *_ = await prober(Probe(Check("http"), "localhost", port))
        if not ok and "refused" in detail:
            pytest.fail("localhost is not 127.0.0.1 first on this machine")
    assert f"Host: localhost:{port}\r\n".encode() in asked[0]


async def test_a_host_name_that_is_none(prober: Prober) -> None:
    ok, detail, *_ = await prober(Probe(Check("tcp"), "a" * 64 + ".invalid", 80))
    assert not ok
    assert detail.startswith("name not resolved: ")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key and self-signed certificate of www.example.com in one file."""
    return self_signed(tmp_path_factory.mktemp("tls"), "www.example.com")


@pytest.fixture
def server_tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture
async def knowing(certificate: Path) -> AsyncIterator[Prober]:
    """A prober that trusts the certificate."""
    prober = Prober(LOOPBACK, ssl.create_default_context(cafile=str(certificate)))
    yield prober
    await prober.close()


async def test_https_verifies_the_name_and_sends_it(knowing: Prober, server_tls: ssl.SSLContext) -> None:
    sent: list[str | None] = []
    server_tls.sni_callback = lambda _sock, name, _context: sent.append(name)
    async with listening(saying(OK), server_tls) as port:
        ok, detail, *_ = await knowing(Probe(Check("https", host="www.example.com"), "127.0.0.1", port))
    assert ok, detail
    assert sent == ["www.example.com"]


async def test_sni_may_differ_from_the_host(knowing: Prober, server_tls: ssl.SSLContext) -> None:
    asked: list[bytes] = []
    check = Check("https", host="other.example.com", sni="www.example.com")
    async with listening(saying(OK, asked), server_tls) as port:
        assert (await knowing(Probe(check, "127.0.0.1", port)))[0]
    assert b"Host: other.example.com\r\n" in asked[0]


async def test_tls_needs_a_good_handshake_and_tells_when_the_certificate_ends(
    knowing: Prober, server_tls: ssl.SSLContext
) -> None:
    async with listening(silent, server_tls) as port:
        good = await knowing(Probe(Check("tls", sni="www.example.com"), "127.0.0.1", port))
        bad = await knowing(Probe(Check("tls", sni="wrong.example.com"), "127.0.0.1", port))
        blind = await knowing(Probe(Check("tls", verify=False), "127.0.0.1", port))
    assert re.fullmatch(r"TLSv1\.3 in \d+ ms", good.detail)
    assert in_two_days(good.expires)
    assert bad.detail.startswith("certificate: hostname mismatch")
    assert (blind.ok, blind.expires) == (True, None)


def in_two_days(expires: float | None) -> bool:
    return expires is not None and abs(expires - time.time() - 2 * 86400) < 3600


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_https_tells_when_the_certificate_ends_and_http_nothing(
    knowing: Prober, server_tls: ssl.SSLContext, method: str
) -> None:
    check = Check("https", host="www.example.com", method=method)
    async with listening(saying(OK), server_tls) as port, listening(saying(OK)) as plain:
        assert in_two_days((await knowing(Probe(check, "127.0.0.1", port))).expires)
        assert (await knowing(http(plain))).expires is None


@pytest.mark.parametrize(
    ("host", "detail"),
    [("wrong.example.com", "certificate: hostname mismatch"), (None, "certificate: IP address mismatch")],
)
async def test_a_certificate_of_another_name(
    knowing: Prober, server_tls: ssl.SSLContext, host: str | None, detail: str
) -> None:
    async with listening(saying(OK), server_tls) as port:
        ok, said, *_ = await knowing(Probe(Check("https", host=host), "127.0.0.1", port))
        trusting, *_ = await knowing(Probe(Check("https", host=host, verify=False), "127.0.0.1", port))
    assert not ok
    assert said.startswith(detail)
    assert trusting


async def test_a_certificate_that_nobody_vouches_for(prober: Prober, server_tls: ssl.SSLContext) -> None:
    async with listening(saying(OK), server_tls) as port:
        ok, detail, *_ = await prober(Probe(Check("https", host="www.example.com"), "127.0.0.1", port))
    assert (ok, detail) == (False, "certificate: self-signed certificate")


async def test_https_to_a_port_that_speaks_no_tls(prober: Prober) -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example.com ESMTP\r\n")
        await reader.read()
        writer.close()

    async with listening(plain) as port:
        ok, detail, *_ = await prober(Probe(Check("https"), "127.0.0.1", port))
    assert not ok
    assert detail.startswith("TLS: ")


@pytest.mark.parametrize(
    ("address", "what"),
    [
        ("127.0.0.1", "this machine"),
        ("0.0.0.0", "this machine"),
        ("::1", "this machine"),
        ("::ffff:127.0.0.1", "this machine"),
        ("64:ff9b::7f00:1", "this machine"),
        ("2002:7f00:1::", "this machine"),
        ("169.254.169.254", "cloud metadata"),
        ("fd00:ec2::254", "cloud metadata"),
        ("100.100.100.200", "cloud metadata"),
        ("169.254.1.1", "link-local"),
        ("fe80::1%eth0", "link-local"),
        ("239.1.1.1", "no single host"),
        ("10.0.0.1", None),
        ("192.0.2.1", None),
        ("2001:db8::1", None),
        ("64:ff9b::c000:201", None),
    ],
)
def test_what_probes_may_not_reach(address: str, what: str | None) -> None:
    said = Vetting().refusal(address)
    assert said == (what and f"not allowed: {address} is {what} (probes.allow)")


def test_what_is_allowed_is_open_and_nothing_beside_it() -> None:
    vetting = Vetting(["127.0.0.2/32", "fe80::/10"])
    assert [bool(vetting.refusal(a)) for a in ("127.0.0.2", "127.0.0.1", "fe80::1", "::1")] == [
        False,
        True,
        False,
        True,
    ]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("kind", ["http", "https", "tcp"])
async def test_a_closed_address_is_never_connected_to(host: str, kind: str) -> None:
    met: list[bytes] = []

    async def meet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        met.append(b"")
        writer.close()

    prober = Prober()
    async with listening(meet) as port:
        ok, detail, *_ = await prober(Probe(Check(kind), host, port))
        await asyncio.sleep(0.02)
    await prober.close()
    assert not ok
    assert detail.startswith("not allowed: ")
    assert met == []


def test_details_are_one_short_line() -> None:
    said = describe(ValueError("a\nb\x1b[31m" + "x" * 1000))
    assert said.isprintable()
    assert len(said) == 200
