"""A gRPC check: the endpoint is well when its health service says SERVING.

That is grpc.health.v1.Health/Check, one call over HTTP/2. Its two messages have one field each: they are
written and read here (https://protobuf.dev/programming-guides/encoding/).
"""

from __future__ import annotations

import asyncio
import ssl
from urllib.parse import unquote

from geodns.core.health import Outcome, Probe
from geodns.monitor.probes.failure import describe, shorten
from geodns.monitor.probes.http2 import FailedError, Request, Response, ask

MAX_MESSAGE = 1024  # octets of a response: a varint is enough
_PATH = "/grpc.health.v1.Health/Check"
_HEADER = 5  # octets before a message: whether it is compressed, and its length
_SERVING = ("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")
_CODES = (
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)


async def probe(p: Probe, address: str, tls: ssl.SSLContext | None) -> Outcome:
    """Ask the health service at `address` (numeric) for the check's service. No deadline of its own."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        response = await ask(p, address, _request(p), tls, lambda response: len(response.body) > MAX_MESSAGE)
        said = _said(response)
    except FailedError as error:
        return Outcome(False, shorten(str(error)))
    except OSError as error:
        return Outcome(False, describe(error))
    if said != "SERVING":
        return Outcome(False, said, response.expires)
    return Outcome(True, f"{said} in {(loop.time() - began) * 1000:.0f} ms", response.expires)


def _request(p: Probe) -> Request:
    service = (p.check.service or "").encode()
    message = b"\x0a" + _varint(len(service)) + service if service else b""
    fields = {
        "te": "trailers",
        "content-type": "application/grpc",
        "grpc-timeout": f"{p.check.timeout * 1000:.0f}m",
        "user-agent": "geodns",
    }
    return Request("POST", _PATH, fields, b"\0" + len(message).to_bytes(4) + message)


def _said(response: Response) -> str:
    """`SERVING` or what else was said. Raises FailedError where that is no answer of a health service."""
    if response.status != 200:
        raise FailedError(f"not gRPC: status {response.status}")
    if len(response.body) > MAX_MESSAGE:
        raise FailedError("not a health service: its answer is too long")
    told = {**response.headers, **response.trailers}
    code = told.get("grpc-status", "")
    if not (code.isascii() and code.isdigit() and len(code) <= 3):
        raise FailedError("not gRPC: there is no grpc-status")
    if int(code):
        word = _CODES[int(code)] if int(code) < len(_CODES) else f"status {int(code)}"
        message = unquote(told.get("grpc-message", ""), errors="replace")
        raise FailedError(f"{word}: {message}" if message else word)
    number = _status(bytes(response.body))
    return _SERVING[number] if number < len(_SERVING) else f"status {number}"


def _status(body: bytes) -> int:
    """The field 1 of the only message; 0 where it is left out. Raises FailedError."""
    if len(body) < _HEADER or body[0] or int.from_bytes(body[1:_HEADER]) != len(body) - _HEADER:
        raise FailedError("not a health service: its answer is not one plain message")
    at, found = _HEADER, 0
    while at < len(body):
        key, at = _read(body, at)
        if key == 0x08:
            found, at = _read(body, at)
        else:
            at = _behind(body, at, key & 7)
    if at > len(body):
        raise FailedError("not a health service: its answer is no message")
    return found


def _behind(body: bytes, at: int, wire_type: int) -> int:
    """Where a field that means nothing here ends."""
    match wire_type:
        case 0:
            return _read(body, at)[1]
        case 1:
            return at + 8
        case 2:
            length, at = _read(body, at)
            return at + length
        case 5:
            return at + 4
    raise FailedError("not a health service: its answer is no message")


def _read(body: bytes, at: int) -> tuple[int, int]:
    """A varint and where it ends."""
    value = 0
    for number, octet in enumerate(body[at : at + 10]):
        value |= (octet & 0x7F) << 7 * number
        if octet < 0x80:
            return value, at + number + 1
    raise FailedError("not a health service: its answer is no message")


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])
