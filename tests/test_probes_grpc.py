"""gRPC checks: against a real gRPC server (its C core), and against peers that answer otherwise."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from http2_support import OK, Headers, replying, speaking
from hypothesis import given
from hypothesis import strategies as st
from probe_support import listening, silent

from geodns.core.health import Probe
from geodns.model import Check
from geodns.monitor.probes import Prober
from geodns.monitor.probes.grpc import _said, _varint
from geodns.monitor.probes.http2 import FailedError, Response

State = health_pb2.HealthCheckResponse
SERVING = b"\0\0\0\0\2\x08\x01"
DONE: Headers = [("grpc-status", "0")]
GRPC: Headers = [*OK, ("content-type", "application/grpc")]


class Backend:
    """A gRPC server with the health service, plain and over TLS."""

    def __init__(self, certificate: Path) -> None:
        self.health = health.HealthServicer()
        self.server = grpc.server(ThreadPoolExecutor(2))
        health_pb2_grpc.add_HealthServicer_to_server(self.health, self.server)
        pem = certificate.read_bytes()
        over_tls = grpc.ssl_server_credentials([(pem, pem)])
        self.plain = self.server.add_insecure_port("127.0.0.1:0")
        self.tls = self.server.add_secure_port("127.0.0.1:0", over_tls)
        self.server.start()


@pytest.fixture(scope="module")
def backend(certificate: Path) -> Iterator[Backend]:
    made = Backend(certificate)
    yield made
    made.server.stop(None)


def asking(port: int, kind: str = "grpc", **check: Any) -> Probe:
    return Probe(Check(kind, **check), "127.0.0.1", port)


@pytest.mark.parametrize(
    ("state", "detail"),
    [
        (State.NOT_SERVING, "NOT_SERVING"),
        (State.UNKNOWN, "UNKNOWN"),
        (State.SERVICE_UNKNOWN, "SERVICE_UNKNOWN"),
    ],
)
async def test_what_the_health_service_says(
    prober: Prober, backend: Backend, state: int, detail: str
) -> None:
    backend.health.set("", State.SERVING)
    ok, told, *_ = await prober(asking(backend.plain))
    assert ok
    assert re.fullmatch(r"SERVING in \d+ ms", told)
    backend.health.set("", state)
    assert (await prober(asking(backend.plain)))[:2] == (False, detail)


async def test_a_service_is_asked_about_by_its_name(prober: Prober, backend: Backend) -> None:
    name = "a.service." + "x" * 200  # longer than one octet can say
    backend.health.set("", State.NOT_SERVING)
    backend.health.set(name, State.SERVING)
    assert (await prober(asking(backend.plain, service=name))).ok
    ok, detail, *_ = await prober(asking(backend.plain, service="other"))
    assert not ok
    assert detail.startswith("NOT_FOUND")


async def test_a_server_without_the_health_service(prober: Prober) -> None:
    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    ok, detail, *_ = await prober(asking(port))
    server.stop(None)
    assert not ok
    assert detail == "UNIMPLEMENTED: Method not found!"


async def test_over_tls(prober: Prober, knowing: Prober, backend: Backend) -> None:
    backend.health.set("", State.SERVING)
    ok, detail, expires, *_ = await knowing(asking(backend.tls, "grpcs", host="www.example.com"))
    assert ok, detail
    assert expires is not None
    other = await knowing(asking(backend.tls, "grpcs", host="wrong.example.com"))
    assert other.detail.startswith("certificate: hostname mismatch")
    assert (await prober(asking(backend.tls, "grpcs", sni="www.example.com"))).detail.startswith(
        "certificate:"
    )
    assert (await prober(asking(backend.tls, "grpcs", verify=False))).ok


@pytest.mark.parametrize("kind", ["grpc", "grpcs"])
async def test_plain_and_tls_do_not_meet(prober: Prober, backend: Backend, kind: str) -> None:
    port = backend.tls if kind == "grpc" else backend.plain
    ok, detail, *_ = await prober(asking(port, kind, verify=False))
    assert not ok
    assert detail.startswith(("connection", "TLS: ", "not HTTP/2"))


async def test_an_http_check_of_version_2_understands_it_too(prober: Prober, backend: Backend) -> None:
    """The same peer, for the same protocol: it answers calls of what it does not know by status 200."""
    headers = (("Content-Type", "application/grpc"), ("TE", "trailers"))
    check = Check("http", version="2", method="POST", path="/no/such", headers=headers)
    ok, detail, *_ = await prober(Probe(check, "127.0.0.1", backend.plain))
    assert ok, detail
    assert detail.startswith("200 OK in ")


async def test_the_request_is_a_call(prober: Prober) -> None:
    asked: list[tuple[Headers, bytes]] = []
    async with listening(speaking(replying(GRPC, SERVING, DONE), asked)) as port:
        assert (await prober(asking(port, host="grpc.example.com", service="a.B", timeout=1.5))).ok
        assert (await prober(asking(port))).ok
    assert dict(asked[0][0]) == {
        ":method": "POST",
        ":scheme": "http",
        ":authority": "grpc.example.com",
        ":path": "/grpc.health.v1.Health/Check",
        "te": "trailers",
        "content-type": "application/grpc",
        "grpc-timeout": "1500m",
        "user-agent": "geodns",
    }
    assert asked[0][1] == b"\0\0\0\0\5\x0a\3a.B"
    assert asked[1][1] == b"\0\0\0\0\0"


NO_SERVICE = "not a health service: its answer is "


@pytest.mark.parametrize(
    ("headers", "body", "trailers", "detail"),
    [
        ([(":status", "404")], b"", None, "not gRPC: status 404"),
        (OK, b"<html>", None, "not gRPC: there is no grpc-status"),
        (
            [*GRPC, ("grpc-status", "14"), ("grpc-message", "try%20later%0A%FF")],
            b"",
            None,
            "UNAVAILABLE: try later \ufffd",
        ),
        (GRPC, b"", [("grpc-status", "99")], "status 99"),
        (GRPC, b"", [("grpc-status", "")], "not gRPC: there is no grpc-status"),
        (GRPC, b"", [("grpc-status", "9" * 5000)], "not gRPC: there is no grpc-status"),
        (GRPC, b"", [("grpc-status", "5"), ("grpc-message", "x" * 5000)], f"NOT_FOUND: {'x' * 188}…"),
        (GRPC, SERVING, [("grpc-status", "13")], "INTERNAL"),
        (GRPC, b"", DONE, f"{NO_SERVICE}not one plain message"),
        (GRPC, b"\0\0\0\0\0", DONE, "UNKNOWN"),  # a field with its default is left out
        (GRPC, b"\1" + SERVING[1:], DONE, f"{NO_SERVICE}not one plain message"),
        (GRPC, SERVING + SERVING, DONE, f"{NO_SERVICE}not one plain message"),
        (GRPC, b"\0\xff\xff\xff\xff\x08\x01", DONE, f"{NO_SERVICE}not one plain message"),
        (GRPC, b"\0\0\0\0\2\x08\x07", DONE, "status 7"),
        (GRPC, b"\0\0\0\0\1\x08", DONE, f"{NO_SERVICE}no message"),
        (GRPC, b"\0\0\0\0\x0b" + b"\xff" * 11, DONE, f"{NO_SERVICE}no message"),
        (GRPC, b"\0\0\0\0\2\x0f\x01", DONE, f"{NO_SERVICE}no message"),
        (GRPC, b"\0\0\0\0\5\x08\x01\x12\x09a", DONE, f"{NO_SERVICE}no message"),
        (GRPC, b"\0" * 2000, DONE, f"{NO_SERVICE}too long"),
    ],
)
async def test_peers_that_answer_otherwise(
    prober: Prober, headers: Headers, body: bytes, trailers: Headers | None, detail: str
) -> None:
    async with listening(speaking(replying(headers, body, trailers))) as port:
        assert (await prober(asking(port)))[:2] == (False, detail)


@given(st.binary(max_size=40))
def test_no_answer_is_an_exception(message: bytes) -> None:
    """It is a state, or told to be none."""
    body = bytearray(b"\0" + len(message).to_bytes(4) + message)
    try:
        assert _said(Response(200, trailers={"grpc-status": "0"}, body=body))
    except FailedError as error:
        assert str(error)


@given(st.integers(0, 3), st.lists(st.tuples(st.integers(2, 500), st.binary(max_size=200)), max_size=3))
def test_an_answer_is_read_as_protobuf_writes_it(state: int, unknown: list[tuple[int, bytes]]) -> None:
    """With fields of later versions behind it, which mean nothing here."""
    message = bytearray(State(status=state).SerializeToString())
    for number, content in unknown:
        message += _varint(number << 3 | 2) + _varint(len(content)) + content
    body = bytearray(b"\0" + len(message).to_bytes(4) + message)
    assert _said(Response(200, trailers={"grpc-status": "0"}, body=body)) == State.ServingStatus.Name(state)


async def test_fields_that_mean_nothing_here_are_passed_over(prober: Prober) -> None:
    message = b"\x10\xac\x02\x19" + b"8" * 8 + b"\x22\x03abc\x2d4444\x08\x01"
    body = b"\0" + len(message).to_bytes(4) + message
    async with listening(speaking(replying(GRPC, body, DONE))) as port:
        assert (await prober(asking(port))).ok


async def test_an_answer_that_does_not_end(prober: Prober) -> None:
    async with listening(speaking(replying(GRPC, SERVING, end=False))) as port:
        ok, detail, *_ = await prober(asking(port, timeout=0.3))
    assert (ok, detail) == (False, "timed out after 0.3 s")
    async with listening(silent) as port:
        assert (await prober(asking(port, timeout=0.2)))[:2] == (False, "timed out after 0.2 s")
