"""DNS over TCP (RFC 7766, RFC 9210): framed messages, pipelined, answered in order.

A reply of many messages, a zone transfer, does not keep what was asked after it waiting (RFC 7766 §6.2.1.1):
before each of its messages the connection is read and answered as far as one read goes, and the other
connections have their turn. Several go on in turns. Their number is the door's to bound.

What one client can hold is bounded on every side. In: one unfinished message (65,537 octets) and one read.
Out: once its unsent replies pass what the system holds for it, and the transport's high-water mark, nothing
more of its input is read or answered until it has taken them. Time: a connection that got no answer for
`idle` seconds is closed, whatever it sends, so half a message or an octet now and then wins nothing. Count:
`connections` in all and `per_address` from one IPv4 address or one IPv6 /64; the next one is let in and the
one that was idle longest is closed for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import Counter, OrderedDict, deque
from dataclasses import dataclass
from typing import cast

from geodns.serve.door import DoorStats, Messages, StreamDoor
from geodns.serve.sockets import bound, endpoint, refusal

LIMIT = 65_535  # octets of a message
HEADER = 12  # octets; less is no DNS message
READ = 4096  # octets read at once: also bounds how much one client is answered before the others' turn
FLUSH = 16_384  # octets of replies gathered into one write
UNSENT = 65_536  # octets that the system may hold for a client beyond what that one has room for
BACKLOG = 512
AT_ONCE = 32  # connections accepted at one turn of the loop, before those closed for them are gone
STOP_WITHIN = 1.0  # seconds for queued replies to leave


@dataclass(slots=True)
class TcpStats(DoorStats):
    accepted: int = 0
    malformed: int = 0
    """Connections closed for a message shorter than a DNS header."""
    idle_closed: int = 0
    evicted_total: int = 0
    """Connections closed for newer ones because all places were taken."""
    evicted_address: int = 0
    """Connections closed for newer ones of the same address."""

    @property
    def answered(self) -> int:
        return self.received - self.silent - self.faults


class TcpListener:
    """Serves one address and port. `door` may be replaced at any time: the next message uses the new one.

    `idle` is in seconds and counts from the last answer (or the start) of a connection.
    """

    def __init__(
        self,
        address: str,
        port: int,
        door: StreamDoor,
        *,
        connections: int = 1000,
        per_address: int = 50,
        idle: float = 10.0,
    ) -> None:
        self.address = address
        self.port = port
        self.door = door
        self.connections = connections
        self.per_address = per_address
        self.idle = idle
        self.stats = TcpStats()
        self.scratch = memoryview(bytearray(READ))
        """Where every connection's reads land; each empties it before the loop reads for another."""
        self._socket: socket.socket | None = None
        self._server: asyncio.Server | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._active: OrderedDict[_Connection, float] = OrderedDict()  # last answer; longest idle first
        self._sources: Counter[str] = Counter()
        self._empty = asyncio.Event()
        self._empty.set()

    def __str__(self) -> str:
        return endpoint(socket.SOCK_STREAM, self.address, self.port)

    @property
    def open(self) -> int:
        """Connections now."""
        return len(self._active)

    def bind(self) -> None:
        """Take the address and port (0 becomes the one that was given). Raises GeodnsError in one line."""
        if self._socket is None:
            self._socket = bound(socket.SOCK_STREAM, self.address, self.port)
            self.port = self._socket.getsockname()[1]
            _tune(self._socket)

    async def start(self) -> None:
        """Bind if `bind` was not called, and accept from now on. Raises GeodnsError in one line."""
        self.bind()
        assert self._socket is not None
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(
                lambda: _Connection(self), sock=self._socket, backlog=AT_ONCE
            )
            self._socket.listen(BACKLOG)
        except OSError as error:
            await self.stop()
            raise refusal(error, socket.SOCK_STREAM, self.address, self.port) from None

    async def stop(self) -> None:
        """Give the port back, let queued replies leave, close all; harmless when not started."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for connection in list(self._active):
            connection.transport.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_WITHIN):
                await self._empty.wait()
        for connection in list(self._active):
            connection.transport.abort()

    def reap(self, now: float) -> None:
        """Close the connections whose last answer is `idle` seconds or more before `now` (loop time)."""
        while self._active:
            connection, since = next(iter(self._active.items()))
            if now - since < self.idle:
                return
            self.stats.idle_closed += 1
            self._end(connection)

    def enter(self, connection: _Connection) -> None:
        """A client connected: make room for it and start its idle time."""
        if self._server is None:
            connection.transport.abort()
            return
        self.stats.accepted += 1
        source = connection.source
        if self._sources[source] >= self.per_address:
            self.stats.evicted_address += 1
            self._end(next(other for other in self._active if other.source == source))
        elif len(self._active) >= self.connections:
            self.stats.evicted_total += 1
            self._end(next(iter(self._active)))
        self._active[connection] = asyncio.get_running_loop().time()
        self._sources[source] += 1
        self._empty.clear()
        self._arm()

    def answered(self, connection: _Connection) -> None:
        """This connection got an answer just now: its idle time starts anew."""
        if connection in self._active:
            self._active[connection] = asyncio.get_running_loop().time()
            self._active.move_to_end(connection)

    def leave(self, connection: _Connection) -> None:
        """This connection is gone, or as good as; harmless to say twice."""
        if self._active.pop(connection, None) is None:
            return
        self._sources[connection.source] -= 1
        if not self._sources[connection.source]:
            del self._sources[connection.source]
        if not self._active:
            self._empty.set()

    def _end(self, connection: _Connection) -> None:
        self.leave(connection)
        if connection.transport.get_write_buffer_size():
            connection.transport.abort()  # it does not take its replies: a close would wait for that forever
        else:
            connection.transport.close()

    def _arm(self) -> None:
        """One timer for all: it waits for the connection that is idle longest."""
        if self._timer is None and self._active:
            due = next(iter(self._active.values())) + self.idle
            self._timer = asyncio.get_running_loop().call_at(due, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self.reap(asyncio.get_running_loop().time())
        self._arm()


class _Connection(asyncio.BufferedProtocol):
    transport: asyncio.Transport
    source: str = ""

    def __init__(self, listener: TcpListener) -> None:
        self._listener = listener
        self._pending = bytearray()
        self._blocked = False  # the client does not take its replies
        self._streams: deque[Messages] = deque()  # replies of many messages, the next one's turn first
        self._asked_all = False
        self._due = False  # a message of a stream will be written two turns of the loop from now

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        if not peer:  # already gone
            self.transport.abort()
            return
        self._client: str = peer[0]
        self.source = _source(self._client)
        self._listener.enter(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._listener.leave(self)
        while self._streams:
            self._streams.popleft().close()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._listener.scratch

    def buffer_updated(self, nbytes: int) -> None:
        self._pending += self._listener.scratch[:nbytes]
        self._answer_all()

    def eof_received(self) -> bool:
        # The client has asked all it wants. Reading means not blocked, so every whole message has its answer
        # or its stream: False lets the transport close once the answers have left.
        self._asked_all = True
        return bool(self._streams)

    def pause_writing(self) -> None:
        self._blocked = True
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        self._blocked = False
        if self.transport.is_closing():  # what was written still leaves, nothing is added
            return
        self._listener.answered(self)
        self._answer_all()
        if not self._blocked:
            self.transport.resume_reading()
        self._continue()

    def _answer_all(self) -> None:
        """Answer every whole message that has come, in order, until the client stops taking answers."""
        pending, start = self._pending, 0
        replies: list[bytes] = []
        gathered = 0
        while not self._blocked and len(pending) - start >= 2:
            length = int.from_bytes(pending[start : start + 2], "big")
            if length < HEADER:
                self._write(replies)
                self._listener.stats.malformed += 1
                self.transport.close()
                pending.clear()
                return
            end = start + 2 + length
            if end > len(pending):
                break
            reply = self._ask(bytes(pending[start + 2 : end]))
            start = end
            if reply is not None:
                replies.append(reply)
                gathered += len(reply)
                if gathered >= FLUSH:
                    self._write(replies)
                    replies, gathered = [], 0
        self._write(replies)
        del pending[:start]

    def _ask(self, message: bytes) -> bytes | None:
        """The reply with its length before it, or None for silence; one of many messages becomes a stream."""
        stats = self._listener.stats
        stats.received += 1
        try:
            reply = self._listener.door(message, self._client, LIMIT)
            if isinstance(reply, bytes):
                return _framed(reply)
        except Exception as error:
            stats.fault(error)
            return None
        if reply is None:
            stats.silent += 1
        else:
            self._streams.append(reply)
            self._continue()
        return None

    def _continue(self) -> None:
        """Write the next message of a stream, but not before what the client sends meanwhile is answered."""
        if self._streams and not self._due:
            self._due = True
            loop = asyncio.get_running_loop()
            loop.call_soon(loop.call_soon, self._stream)  # between the two, the loop reads

    def _stream(self) -> None:
        self._due = False
        if self._blocked or not self._streams or self.transport.is_closing():
            return
        stream = self._streams.popleft()
        try:
            message = next(stream, b"")
            framed = _framed(message)
        except Exception as error:
            self._listener.stats.fault(error)
            self.transport.abort()  # whoever has half of a reply must not take it for the whole
            return
        if message:
            self._streams.append(stream)
            self._write([framed])
        elif self._asked_all and not self._streams:
            self.transport.close()
        self._continue()

    def _write(self, replies: list[bytes]) -> None:
        if replies:
            self._listener.answered(self)
            self.transport.write(b"".join(replies))


def _tune(sock: socket.socket) -> None:
    """What clients leave lying: the system would take megabytes for each (connections inherit this)."""
    with contextlib.suppress(OSError, AttributeError):  # not every system has it
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT)


def _framed(message: bytes) -> bytes:
    return len(message).to_bytes(2, "big") + message


def _source(client: str) -> str:
    """What counts as one address: an IPv4 address, or the /64 that one IPv6 host has for itself."""
    if ":" not in client:
        return client
    packed = socket.inet_pton(socket.AF_INET6, client)
    return socket.inet_ntop(socket.AF_INET6, packed[:8] + bytes(8)) + "/64"
