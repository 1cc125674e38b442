"""The UDP listener: batches, replies from the asked address, a port of its own, and what it survives."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import re
import socket
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from geodns.errors import GeodnsError
from geodns.serve.door import Door
from geodns.serve.udp import BATCH, UdpListener


def echo(packet: bytes, client: str, limit: int) -> bytes:
    return b"re:" + packet


class Wakes:
    """Stands in for the event loop: keeps the readers, so that a test says when they wake."""

    def __init__(self) -> None:
        self.readers: dict[object, Callable[[], None]] = {}

    def wake(self) -> None:
        for reader in [*self.readers.values()]:
            reader()

    def add_reader(self, fd: object, callback: Callable[..., None], *args: object) -> None:
        self.readers[fd] = partial(callback, *args)

    def remove_reader(self, fd: object) -> None:
        self.readers.pop(fd, None)


@contextlib.contextmanager
def serving(door: Door, address: str = "127.0.0.1", limit: int = 1232) -> Iterator[tuple[UdpListener, Wakes]]:
    listener, loop = UdpListener(address, 0, door, limit), Wakes()
    listener.start(loop)  # type: ignore[arg-type]
    try:
        yield listener, loop
    finally:
        listener.stop()


@contextlib.contextmanager
def client_of(address: str, port: int) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.settimeout(5)
        sock.connect((address, port))  # so that a reply from any other address would not be received
        yield sock


def test_the_door_gets_packet_client_and_limit_and_its_reply_goes_back() -> None:
    seen = []

    def door(packet: bytes, client: str, limit: int) -> bytes:
        seen.append((packet, client, limit))
        return b"reply"

    with serving(door, limit=900) as (listener, loop), client_of("127.0.0.1", listener.port) as client:
        client.send(b"query")
        loop.wake()
        assert client.recv(100) == b"reply"
    assert seen == [(b"query", "127.0.0.1", 900)]


async def test_it_runs_on_a_real_event_loop() -> None:
    listener = UdpListener("127.0.0.1", 0, echo, 1232)
    loop = asyncio.get_running_loop()
    listener.start(loop)
    with client_of("127.0.0.1", listener.port) as client:
        client.setblocking(False)
        await loop.sock_sendall(client, b"hello")
        async with asyncio.timeout(5):
            assert await loop.sock_recv(client, 100) == b"re:hello"
    listener.stop()
    listener.stop()


def test_one_wake_answers_at_most_one_batch_so_that_others_get_their_turn() -> None:
    with serving(echo) as (listener, loop), client_of("127.0.0.1", listener.port) as client:
        for number in range(BATCH + 10):
            client.send(b"%d" % number)
        loop.wake()
        assert listener.stats.received == BATCH
        loop.wake()
        assert listener.stats.received == listener.stats.answered == BATCH + 10
        assert [client.recv(100) for _ in range(BATCH + 10)] == [b"re:%d" % n for n in range(BATCH + 10)]
        loop.wake()  # for nothing: harmless
        assert listener.stats.errors == 0


def test_a_door_put_in_its_place_while_running_takes_the_next_batch() -> None:
    with serving(echo) as (listener, loop), client_of("127.0.0.1", listener.port) as client:

        def old(packet: bytes, address: str, limit: int) -> bytes:
            listener.door = echo
            return b"old"

        listener.door = old
        client.send(b"1")
        client.send(b"2")
        loop.wake()
        client.send(b"3")
        loop.wake()
        assert [client.recv(100) for _ in range(3)] == [b"old", b"old", b"re:3"]


def test_none_is_silence() -> None:
    def door(packet: bytes, client: str, limit: int) -> bytes | None:
        return None if packet == b"no" else packet

    with serving(door) as (listener, loop), client_of("127.0.0.1", listener.port) as client:
        client.send(b"no")
        client.send(b"yes")
        loop.wake()
        assert client.recv(100) == b"yes"
        assert (listener.stats.received, listener.stats.silent, listener.stats.answered) == (2, 1, 1)


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
def test_an_exception_in_the_door_costs_one_reply_and_is_counted(address: str) -> None:
    def door(packet: bytes, client: str, limit: int) -> bytes:
        if packet == b"bad":
            raise ValueError("a bug")
        return packet

    with serving(door, address) as (listener, loop), client_of("127.0.0.1", listener.port) as client:
        for packet in (b"1", b"bad", b"2"):
            client.send(packet)
        loop.wake()
        assert [client.recv(100), client.recv(100)] == [b"1", b"2"]
        assert (listener.stats.faults, listener.stats.answered) == (1, 2)
        assert listener.stats.last_fault == "ValueError('a bug')"


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
def test_a_reply_that_the_system_refuses_is_dropped_and_counted(address: str) -> None:
    with (
        serving(lambda packet, *_: bytes(70_000) if packet == b"huge" else packet, address) as (
            listener,
            loop,
        ),
        client_of("127.0.0.1", listener.port) as client,
    ):
        client.send(b"huge")
        client.send(b"small")
        loop.wake()
        assert client.recv(100) == b"small"
        assert (listener.stats.unsent, listener.stats.answered) == (1, 1)


class Scripted:
    """A socket that fails as told, for errors that loopback does not have."""

    def __init__(self, incoming: list[OSError | bytes], outgoing: list[OSError | None]) -> None:
        self.incoming, self.outgoing, self.sent = incoming, outgoing, []  # type: ignore[var-annotated]

    def recvfrom(self, size: int) -> tuple[bytes, tuple[str, int]]:
        item = self.incoming.pop(0) if self.incoming else BlockingIOError()
        if isinstance(item, OSError):
            raise item
        return item, ("192.0.2.1", 53)

    def sendto(self, reply: bytes, client: tuple[str, int]) -> None:
        outcome = self.outgoing.pop(0)
        if outcome:
            raise outcome
        self.sent.append(reply)


def test_icmp_errors_and_a_full_or_forbidden_way_out_do_not_end_the_batch() -> None:
    script = Scripted(
        [ConnectionRefusedError(), b"1", b"2", b"3", b"4"],
        [BlockingIOError(), OSError(errno.ENOBUFS, ""), PermissionError(), None],
    )
    with serving(echo) as (listener, loop):
        real, listener._socket = listener._socket, script  # type: ignore[assignment]
        loop.wake()
        listener._socket = real
    assert script.sent == [b"re:4"]
    assert (listener.stats.errors, listener.stats.received, listener.stats.unsent) == (1, 4, 3)


@pytest.mark.parametrize("asked", ["127.0.0.1", "127.0.0.2"])
def test_a_wildcard_replies_from_the_address_that_was_asked(asked: str) -> None:
    with serving(echo, "0.0.0.0") as (listener, loop), client_of(asked, listener.port) as client:
        client.send(b"who")
        loop.wake()
        assert client.recv(100) == b"re:who"


def test_the_ipv6_wildcard_answers_and_leaves_ipv4_alone(ipv6: str) -> None:
    with serving(echo, "::") as (listener, loop), client_of(ipv6, listener.port) as client:
        client.send(b"who")
        loop.wake()
        assert client.recv(100) == b"re:who"
        with serving_at("0.0.0.0", listener.port):
            pass


@contextlib.contextmanager
def serving_at(address: str, port: int) -> Iterator[UdpListener]:
    listener = UdpListener(address, port, echo, 1232)
    listener.bind()
    try:
        yield listener
    finally:
        listener.stop()


def test_the_door_sees_an_ipv6_client_as_plain_text(ipv6: str) -> None:
    with (
        serving(lambda packet, client, limit: client.encode(), ipv6) as (listener, loop),
        client_of(ipv6, listener.port) as client,
    ):
        client.send(b"who am I")
        loop.wake()
        assert client.recv(100) == b"::1"


@pytest.mark.parametrize("option", [None, "SO_REUSEADDR", "SO_REUSEPORT"])
@pytest.mark.parametrize("held", ["127.0.0.1", "0.0.0.0"])
def test_a_taken_port_is_one_clear_line_whatever_its_holder_allows(option: str | None, held: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        if option:
            holder.setsockopt(socket.SOL_SOCKET, getattr(socket, option), 1)
        holder.bind((held, 0))
        port = holder.getsockname()[1]
        line = (
            f"127.0.0.1:{port}/udp is taken by another program: "
            "stop it or choose another port with --dns-port or DNS_PORT"
        )
        with pytest.raises(GeodnsError, match=f"^{re.escape(line)}$"), serving_at("127.0.0.1", port):
            pass


@pytest.mark.parametrize(
    ("address", "line"),
    [
        (
            "192.0.2.1",
            "192.0.2.1:5300/udp cannot be listened on: no interface of this machine has that address",
        ),
        ("localhost", "'localhost' is no IPv4 or IPv6 address to listen on"),
        ("2001:db8::1", "[2001:db8::1]:5300/udp cannot be listened on"),
    ],
)
def test_an_address_that_cannot_be_had_is_one_clear_line(address: str, line: str) -> None:
    with pytest.raises(GeodnsError, match=f"^{re.escape(line)}"), serving_at(address, 5300):
        pass


def test_a_full_receive_buffer_drops_and_is_counted() -> None:
    with serving(echo) as (listener, loop), client_of("127.0.0.1", listener.port) as client:
        assert listener._socket is not None
        listener._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        for _ in range(100):
            client.send(bytes(100))
        for _ in range(3):
            loop.wake()
        if not listener.overflowed:
            pytest.skip("this system does not tell")
        assert listener.overflowed + listener.stats.received == 100
