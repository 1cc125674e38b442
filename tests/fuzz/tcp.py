"""A stream cut anywhere, from a client that sometimes does not take its replies: what goes in comes out.

The first eight octets are the script: how much arrives at once, and when the client stops reading and goes
on. The rest is the stream. The reply of a message is made of its own octets, or silence, or a fault.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import cycle, islice
from typing import Any

from geodns.serve.tcp import HEADER, LIMIT, READ, TcpListener, _Connection

SCRIPT = 8


def door(message: bytes, client: str, limit: int) -> bytes | None:
    if message[:1] == b"\xff":
        raise ValueError("a bug")
    return None if message[:1] == b"\xfe" else message[::-1] * (1 + (message[:1] == b"\xfd"))


def replies(stream: bytes) -> tuple[bytes, int, bool]:
    """What a stream is answered with; how many messages it has; whether it ends in one that is none."""
    at, count, found = 0, 0, []
    while at + 2 <= len(stream):
        size = int.from_bytes(stream[at : at + 2])
        if size < HEADER:
            return b"".join(found), count, True
        message = stream[at + 2 : at + 2 + size]
        if len(message) < size:
            break
        at, count = at + 2 + size, count + 1
        if message[:1] not in (b"\xff", b"\xfe"):
            reply = door(message, "", 0) or b""
            if len(reply) <= LIMIT:
                found.append(len(reply).to_bytes(2) + reply)
    return b"".join(found), count, False


class Wire(asyncio.Transport):
    """A transport that keeps what is written, and says so when it is more than the client takes."""

    def __init__(self, connection: _Connection) -> None:
        super().__init__({"peername": ("192.0.2.1", 4242)})
        self.connection = connection
        self.out = bytearray()
        self.taken = True
        self.closing = False
        self.reading = True

    def write(self, data: Any) -> None:
        assert not self.closing, "something is written behind the close"
        self.out += data

    def close(self) -> None:
        self.closing = True

    abort = close

    def is_closing(self) -> bool:
        return self.closing

    def get_write_buffer_size(self) -> int:
        return 0 if self.taken else 1

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        assert not self.closing
        self.reading = True

    def take(self, yes: bool) -> None:
        """The client takes its replies from now on, or does not."""
        if yes != self.taken and not self.closing:
            self.taken = yes
            (self.connection.resume_writing if yes else self.connection.pause_writing)()


def target() -> Callable[[bytes], None]:
    loop = asyncio.new_event_loop()
    listener = TcpListener("127.0.0.1", 0, door, connections=4, per_address=2)
    loop.run_until_complete(listener.start())
    return lambda data: loop.run_until_complete(one(listener, data))


async def one(listener: TcpListener, data: bytes) -> None:
    before = listener.stats.received
    connection = _Connection(listener)
    wire = Wire(connection)
    connection.connection_made(wire)
    script, stream = data[:SCRIPT] or b"\0", data[SCRIPT:]
    at = 0
    for step in islice(cycle(script), 8 * SCRIPT + 2 * len(stream)):
        if at >= len(stream) or wire.closing:
            break
        if step & 0xC0 == 0xC0:
            wire.take(not wire.taken)
        elif wire.reading:
            at += feed(connection, stream[at : at + (step & 0x3F) * (step >> 6) * 8 + 1])
        else:
            wire.take(True)
        assert len(connection._pending) <= LIMIT + 2 + READ, "more than a message and a read is held"
    wire.take(True)
    expected, count, broken = replies(stream[:at])
    assert bytes(wire.out) == expected, "other replies than the messages have"
    assert listener.stats.received - before == count
    assert wire.closing == broken, "closed by a message that is none, and by nothing else"
    connection.connection_lost(None)
    assert listener.open == 0, "a place is not given back"


def feed(connection: _Connection, chunk: bytes) -> int:
    buffer = connection.get_buffer(-1)
    chunk = chunk[: len(buffer)]
    buffer[: len(chunk)] = chunk
    connection.buffer_updated(len(chunk))
    return len(chunk)
