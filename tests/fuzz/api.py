"""The admin API: any method, path and body to the real HTTP server, without a socket.

The first line of the input is `METHOD PATH`, what follows is the body. A server in a box is behind it; what
`explain` asks is the real thing.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

from geodns.admin.server import AdminServer
from geodns.operations import explained
from tests.admin_support import NOW, TOKEN, FakeControl
from tests.fuzz.table import Lab, lab

METHODS = frozenset({b"GET", b"PUT", b"POST", b"DELETE", b"HEAD", b"PATCH", b"OPTIONS"})
SECONDS = 5.0


class Control(FakeControl):
    """The stand-in of the tests, with the real explanations."""

    def __init__(self, core: Lab) -> None:
        super().__init__()
        self.core = core
        self.geography: Any = SimpleNamespace(locate=core.geography, explain=lambda address: ())

    def explain(self, name: str, rtype: str, client: str) -> Mapping[str, object]:
        return explained(self.core.replay, self.core.sheets, self.geography, (name, rtype, client))


class Wire(asyncio.Transport):
    """A client that takes everything; `closed` comes true when the server has said all."""

    def __init__(self) -> None:
        super().__init__()
        self.out = bytearray()
        self.closed = asyncio.Event()

    def write(self, data: Any) -> None:
        self.out += data

    def close(self) -> None:
        self.closed.set()

    abort = close

    def is_closing(self) -> bool:
        return self.closed.is_set()

    def pause_reading(self) -> None:
        pass

    resume_reading = pause_reading


def target() -> Callable[[bytes], None]:
    loop = asyncio.new_event_loop()
    control = Control(lab())
    server = AdminServer(control, TOKEN, clock=lambda: NOW)
    loop.run_until_complete(server.start("127.0.0.1", 0))
    return lambda data: loop.run_until_complete(one(server, data))


async def one(server: AdminServer, data: bytes) -> None:
    line, _, body = data.partition(b"\n")
    method, _, path = line.partition(b" ")
    if method not in METHODS:
        method = b"PUT"
    path = b"/" + bytes(octet for octet in path.lstrip(b"/") if octet > 32)  # the line stays one of HTTP
    status, kind, content = await asked(server, method, path, body)
    assert 200 <= status < 500, f"{status} {content[:2000]!r}"
    if method == b"HEAD" or kind == b"text/plain":
        return
    told = json.loads(content) if b"json" in kind else {}
    if status >= 400 and kind != b"text/plain; charset=utf-8":  # what is no HTTP gets the library's word
        assert kind == b"application/problem+json", kind
        assert told["status"] == status
        assert told["code"]
        assert told["detail"]
        assert told["detail"].isprintable(), told["detail"]


async def asked(server: AdminServer, method: bytes, path: bytes, body: bytes) -> tuple[int, bytes, bytes]:
    """Status, content type and content of the response."""
    wire = Wire()
    connection: Any = server._connection()
    connection.connection_made(wire)
    head = b"%b %b HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %b\r\nContent-Length: %d\r\n\r\n"
    connection.data_received(head % (method, path, TOKEN.encode(), len(body)) + body)
    async with asyncio.timeout(SECONDS):
        await wire.closed.wait()
    connection.connection_lost(None)
    response, _, content = bytes(wire.out).partition(b"\r\n\r\n")
    first, *headers = response.split(b"\r\n")
    kinds = [h.partition(b":")[2].strip() for h in headers if h.lower().startswith(b"content-type:")]
    return int(first.split()[1]), kinds[0] if kinds else b"", content
