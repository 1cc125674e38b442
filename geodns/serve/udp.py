"""DNS over UDP: the hot path.

One non-blocking socket and one reader on the event loop, which drains a bounded batch at each wake: per
packet one system call in, one call of the door, one system call out, and nothing else that costs. What the
batch leaves is found at the next turn of the loop, so timers, TCP and the API get their turn under any
load.

A wildcard address (`0.0.0.0`, `::`) needs to know which address was asked, for the reply must leave from
it: there packets travel with their destination in ancillary data (RFC 3542, Linux's ip(7)). Where the
system has no such thing, or no constant for it is known here (IPv4 outside Linux), the wildcard works like
any address and the system chooses the reply's source: list the addresses one by one on such a machine if it
has several.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import sys
from dataclasses import dataclass
from typing import Any, Protocol

from geodns.serve.door import Door, DoorStats
from geodns.serve.sockets import bound, endpoint

BATCH = 128  # datagrams at one wake: about a millisecond, the longest that others wait
QUERY_MAX = 4096  # octets read of a datagram; the rest of a longer one is cut off by the system
RECEIVE_BUFFER = 4 << 20  # octets asked for; Linux grants at most net.core.rmem_max

# Linux's numbers, from <linux/in.h> and <linux/in6.h>: the socket module has some, and only from Python 3.12.
_LINUX = sys.platform == "linux"
_IP_PKTINFO = 8
_IP_MTU_DISCOVER = 10
_IPV6_MTU_DISCOVER = 23
_PMTUDISC_OMIT = 5
_SO_MEMINFO = 55
_MEMINFO = struct.Struct("@9I")  # the last one counts the datagrams dropped at a full buffer

_NO_INTERFACE = bytes(4)
_ANCILLARY = socket.CMSG_SPACE(20)  # in6_pktinfo, the larger of the two


@dataclass(slots=True)
class UdpStats(DoorStats):
    errors: int = 0
    """Receives that failed, mostly the ICMP error to an earlier reply."""
    unsent: int = 0
    """Replies the system would not take (full queue, firewall, no route): dropped, the client asks again."""
    passed: int = 0
    """Messages that the native lane left to Python (serve/native.py)."""
    unpassed: int = 0
    """Messages that it would have left to Python, dropped because too many waited."""
    unshown: int = 0
    """Messages that it answered, and that the log was to show when too many waited for it."""

    @property
    def answered(self) -> int:
        return self.received - self.silent - self.faults - self.unsent - self.unpassed


class Datagrams(Protocol):
    """What a batch is read from and answered to: a non-blocking socket, or what is like one."""

    def recvfrom(self, size: int, /) -> tuple[bytes, Any]: ...
    def sendto(self, reply: bytes, client: Any, /) -> object: ...


class UdpListener:
    """Serves one address and port. `door` may be replaced at any time: the next batch uses the new one.

    `limit` is the ceiling of a reply in octets, handed to the door with every packet.
    """

    def __init__(self, address: str, port: int, door: Door, limit: int) -> None:
        self.address = address
        self.port = port
        self.door = door
        self.limit = limit
        self._stats = UdpStats()
        self._socket: socket.socket | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wildcard = False

    @property
    def stats(self) -> UdpStats:
        """What was counted since the start."""
        return self._stats

    def __str__(self) -> str:
        return endpoint(socket.SOCK_DGRAM, self.address, self.port)

    def bind(self) -> None:
        """Take the address and port (0 becomes the one that was given). Raises GeodnsError in one line."""
        if self._socket is None:
            self._socket = bound(socket.SOCK_DGRAM, self.address, self.port)
            self.port = self._socket.getsockname()[1]
            _tune(self._socket)
            self._wildcard = _tells_destination(self._socket)

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Bind if `bind` was not called, and answer from now on. Raises GeodnsError in one line."""
        self.bind()
        assert self._socket is not None
        self._loop = loop
        loop.add_reader(self._socket, self._drain_wildcard if self._wildcard else self._drain)

    def stop(self) -> None:
        """Stop answering and give the port back; harmless when not started."""
        if self._socket is None:
            return
        if self._loop is not None:
            self._loop.remove_reader(self._socket)
        self._socket.close()
        self._socket = self._loop = None

    @property
    def overflowed(self) -> int:
        """Datagrams that the system dropped because the receive buffer was full (Linux; elsewhere 0)."""
        return 0 if self._socket is None else dropped(self._socket)

    def _prepare(self, sock: socket.socket) -> None:
        """Give a socket that is not bound yet what this listener's own has."""
        _tune(sock)
        if self._wildcard:
            _tell_destination(sock)

    def _drain(self) -> None:
        assert self._socket is not None
        self._answer(self._socket)

    def _answer(self, datagrams: Datagrams) -> None:
        """Answer one batch. A `try` costs nothing until it catches."""
        receive, send = datagrams.recvfrom, datagrams.sendto
        door, limit, stats = self.door, self.limit, self._stats
        taken = 0
        for _ in range(BATCH):
            try:
                packet, client = receive(QUERY_MAX)
            except BlockingIOError:
                break
            except OSError:
                stats.errors += 1
                continue
            taken += 1
            try:
                reply = door(packet, client[0], limit)
            except Exception as error:
                stats.fault(error)
                continue
            if reply is None:
                stats.silent += 1
                continue
            try:
                send(reply, client)
            except OSError:
                stats.unsent += 1
        stats.received += taken

    def _drain_wildcard(self) -> None:
        """`_answer` with the packet's destination carried over to the reply's source."""
        assert self._socket is not None
        receive, send = self._socket.recvmsg, self._socket.sendmsg
        door, limit, stats = self.door, self.limit, self._stats
        taken = 0
        for _ in range(BATCH):
            try:
                packet, ancillary, _flags, client = receive(QUERY_MAX, _ANCILLARY)
            except BlockingIOError:
                break
            except OSError:
                stats.errors += 1
                continue
            taken += 1
            try:
                reply = door(packet, client[0], limit)
            except Exception as error:
                stats.fault(error)
                continue
            if reply is None:
                stats.silent += 1
                continue
            try:
                send((reply,), _from_destination(ancillary), 0, client)
            except OSError:
                stats.unsent += 1
        stats.received += taken


def _tune(sock: socket.socket) -> None:
    """Room for a burst, and no fragments (RFC 9715): every step is a wish that a system may not know."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    if not _LINUX:
        return
    with contextlib.suppress(OSError):
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER, _PMTUDISC_OMIT)
        else:
            sock.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _PMTUDISC_OMIT)


def dropped(sock: socket.socket) -> int:
    """Datagrams that the system dropped at a full receive buffer (Linux; elsewhere 0)."""
    if not _LINUX:
        return 0
    data = sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
    return int(_MEMINFO.unpack(data)[-1]) if len(data) == _MEMINFO.size else 0


def _tells_destination(sock: socket.socket) -> bool:
    """Whether this socket listens on all addresses and the system agreed to tell which one was asked."""
    return not any(socket.inet_pton(sock.family, sock.getsockname()[0])) and _tell_destination(sock)


def _tell_destination(sock: socket.socket) -> bool:
    """Let a socket tell which address was asked; False where the system does not."""
    try:
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        elif _LINUX:
            sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        else:
            return False
    except (OSError, AttributeError):
        return False
    return True


def _from_destination(ancillary: list[tuple[int, int, bytes]]) -> list[tuple[int, int, bytes]]:
    """The received packet's in_pktinfo or in6_pktinfo, turned into the reply's.

    The interface is left out: the way back need not be the way here, and a link-local client's own address
    already carries its zone.
    """
    return [
        (level, kind, data[:16] + _NO_INTERFACE if level == socket.IPPROTO_IPV6 else _NO_INTERFACE + data[4:])
        for level, kind, data in ancillary
    ]
