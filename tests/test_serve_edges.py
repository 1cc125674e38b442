"""The listeners where systems differ and clients are odd: what loopback alone does not show."""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import Any

import pytest
from test_serve_udp import client_of, echo, serving

from geodns.serve import udp
from geodns.serve.tcp import TcpListener, _Connection
from geodns.serve.udp import BATCH, UdpListener

Ancillary = list[tuple[int, int, bytes]]


class Wildcard:
    """A socket that tells packets' destinations, and fails as told."""

    def __init__(self, incoming: list[OSError | bytes], unsent: int = 0) -> None:
        self.incoming = incoming
        self.unsent = unsent
        self.sent: list[tuple[bytes, Ancillary]] = []

    def recvmsg(self, size: int, ancillary: int) -> tuple[bytes, Ancillary, int, tuple[str, int]]:
        item = self.incoming.pop(0) if self.incoming else BlockingIOError()
        if isinstance(item, OSError):
            raise item
        told = [(socket.IPPROTO_IP, 8, b"\7\0\0\0" + bytes((192, 0, 2, 53)) * 2)]
        return item, told, 0, ("192.0.2.1", 53)

    def sendmsg(self, parts: tuple[bytes], ancillary: Ancillary, flags: int, client: tuple[str, int]) -> None:
        if self.unsent:
            self.unsent -= 1
            raise OSError(errno.ENOBUFS, "")
        self.sent.append((parts[0], ancillary))


def wake(listener: UdpListener, sock: Wildcard) -> None:
    real, listener._socket = listener._socket, sock  # type: ignore[assignment]
    listener._drain_wildcard()
    listener._socket = real


def test_a_wildcard_s_batch_outlives_errors_on_both_ways_and_is_bounded() -> None:
    sock = Wildcard([ConnectionRefusedError(), b"1", b"no", b"2", *[b"x"] * BATCH], unsent=1)
    with serving(lambda packet, *_: None if packet == b"no" else packet, "0.0.0.0") as (listener, _):
        wake(listener, sock)
        stats = listener.stats
        assert (stats.errors, stats.received, stats.silent, stats.unsent) == (1, BATCH - 1, 1, 1)
        assert sock.sent[0] == (b"2", [(socket.IPPROTO_IP, 8, bytes(4) + bytes((192, 0, 2, 53)) * 2)])
        wake(listener, sock)
        assert stats.received == BATCH + 3


def test_an_ipv6_destination_loses_its_interface_only() -> None:
    address = bytes(range(16))
    told = [(socket.IPPROTO_IPV6, 50, address + b"\7\0\0\0")]
    assert udp._from_destination(told) == [(socket.IPPROTO_IPV6, 50, address + bytes(4))]


def test_where_a_system_does_not_tell_destinations_the_wildcard_is_like_any_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(udp, "_LINUX", False)
    with serving(echo, "0.0.0.0") as (listener, loop), client_of("127.0.0.1", listener.port) as client:
        assert not listener._wildcard
        client.send(b"who")
        loop.wake()
        assert client.recv(100) == b"re:who"
        assert listener.overflowed == 0


class Refusing:
    """A socket to which a system grants no wish."""

    family = socket.AF_INET6

    def __init__(self, error: Exception) -> None:
        self.error = error

    def setsockopt(self, *_: Any) -> None:
        raise self.error

    def getsockname(self) -> tuple[str, int]:
        return "::", 53


def test_wishes_that_a_system_does_not_grant_stop_nothing() -> None:
    refusing: Any = Refusing(OSError(errno.ENOPROTOOPT, ""))
    udp._tune(refusing)
    assert not udp._tells_destination(refusing)
    assert not udp._tells_destination(Refusing(AttributeError()))  # type: ignore[arg-type]


async def test_listeners_say_what_they_listen_on_and_are_bound_once() -> None:
    for listener, kind in (
        (UdpListener("127.0.0.1", 0, echo, 1232), "udp"),
        (TcpListener("::1", 0, echo), "tcp"),
    ):
        listener.bind()
        port = listener.port
        listener.bind()
        host = "127.0.0.1" if kind == "udp" else "[::1]"
        assert (listener.port, str(listener)) == (port, f"{host}:{port}/{kind}")
        stopped = listener.stop()
        if stopped is not None:
            await stopped


def test_what_was_never_started_stops_and_has_lost_nothing() -> None:
    listener = UdpListener("127.0.0.1", 0, echo, 1232)
    assert listener.overflowed == 0
    listener.bind()
    listener.stop()
    assert listener._socket is None


class Gone(asyncio.Transport):
    """A transport, of a client that is perhaps no longer there."""

    def __init__(self, peer: tuple[str, int] | None) -> None:
        super().__init__({"peername": peer})
        self.aborted = False

    def abort(self) -> None:
        self.aborted = True


@pytest.mark.parametrize("started", [True, False])
async def test_a_client_that_is_gone_or_comes_at_the_end_takes_no_place(started: bool) -> None:
    listener = TcpListener("127.0.0.1", 0, echo)
    await listener.start()
    if not started:
        await listener.stop()
    transport = Gone(None if started else ("192.0.2.1", 53))
    connection = _Connection(listener)
    connection.connection_made(transport)
    assert transport.aborted
    connection.connection_lost(None)
    assert (listener.open, listener.stats.accepted) == (0, 0)
    await listener.stop()


async def test_an_answer_to_who_has_been_put_out_gives_no_place_back() -> None:
    listener = TcpListener("127.0.0.1", 0, echo)
    await listener.start()
    connection = _Connection(listener)
    connection.connection_made(Gone(("192.0.2.1", 53)))
    listener.leave(connection)
    listener.answered(connection)
    assert listener.open == 0
    await listener.stop()
