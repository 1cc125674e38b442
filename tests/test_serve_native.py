"""The native listener: its own loop until threads begin, then theirs; what they pass is answered here.

The threads are stood in for by a service whose turn a test calls; the real ones: native/tests/serve.rs.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
from collections import deque
from collections.abc import Iterator

import pytest
from test_serve_udp import Wakes, client_of, echo

from geodns.errors import GeodnsError
from geodns.serve.door import Door
from geodns.serve.native import NativeListener
from geodns.serve.sockets import bound, siblings
from geodns.serve.udp import BATCH, UdpListener

THREADS = 3
Client = tuple[str, tuple[socket.socket, tuple[str, int]]]


class Service:
    """Answers "native:" and the packet, in the caller's thread; passes what begins with "pass"."""

    def __init__(self, descriptors: list[int]) -> None:
        self.sockets = [socket.socket(fileno=os.dup(descriptor)) for descriptor in descriptors]
        self.by_socket = [0] * len(descriptors)
        self.bell, self.ear = socket.socketpair()
        self.waiting: deque[tuple[bytes, Client]] = deque()
        self.log = socket.socketpair()
        self.told: deque[tuple[bytes, str, bytes | None]] = deque()
        self.counted = dict.fromkeys(
            ("received", "silent", "faults", "errors", "unsent", "passed", "unpassed", "unshown"), 0
        )
        self.refuses = False

    def turn(self) -> None:
        """What the threads do when packets are there."""
        for index, sock in enumerate(self.sockets):
            with contextlib.suppress(BlockingIOError):
                while True:
                    packet, client = sock.recvfrom(4096)
                    self.by_socket[index] += 1
                    self.counted["received"] += 1
                    if packet.startswith(b"pass"):
                        self.counted["passed"] += 1
                        self.waiting.append((packet, (client[0], (sock, client))))
                    else:
                        sock.sendto(b"native:" + packet, client)

    def fileno(self) -> int:
        return self.ear.fileno()

    def recvfrom(self, size: int, /) -> tuple[bytes, Client]:
        if not self.waiting:
            raise BlockingIOError
        return self.waiting.popleft()

    def sendto(self, reply: bytes, client: Client, /) -> None:
        if self.refuses:
            raise OSError("no")
        sock, address = client[1]
        sock.sendto(reply, address)

    def shown_fileno(self) -> int:
        return self.log[1].fileno()

    def shown(self) -> tuple[bytes, str, bytes | None] | None:
        return self.told.popleft() if self.told else None

    def counts(self) -> dict[str, int]:
        return dict(self.counted)

    def last_fault(self) -> str:
        return "a panic"

    def stop(self) -> None:
        for sock in (*self.sockets, self.bell, self.ear, *self.log):
            sock.close()


class Served:
    def __init__(self, door: Door, address: str, threads: int) -> None:
        self.told: list[tuple[bytes, str, bytes | None]] = []
        self.listener = NativeListener(address, 0, door, 900, threads, lambda *told: self.told.append(told))
        self.loop = Wakes()
        self.service: Service

    def begin(self, descriptors: list[int]) -> Service:
        self.service = Service(descriptors)
        return self.service

    def client(self, address: str = "127.0.0.1") -> contextlib.AbstractContextManager[socket.socket]:
        return client_of(address, self.listener.port)


@contextlib.contextmanager
def serving(door: Door = echo, address: str = "127.0.0.1", threads: int = THREADS) -> Iterator[Served]:
    served = Served(door, address, threads)
    served.listener.start(served.loop)  # type: ignore[arg-type]
    try:
        yield served
    finally:
        served.listener.stop()


def test_its_own_loop_answers_until_threads_begin_and_none_is_lost_between() -> None:
    with serving() as served, served.client() as client:
        client.send(b"1")
        served.loop.wake()
        client.send(b"2")
        served.listener.hand_over(served.begin)
        served.service.turn()
        assert [client.recv(100), client.recv(100)] == [b"re:1", b"native:2"]
        assert served.service.by_socket == [1, 0, 0], "what came before stays with the first socket"
        assert served.listener.stats.received == served.listener.stats.answered == 2


@pytest.mark.parametrize(
    ("address", "asked"), [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.2"), ("::", "::1")]
)
@pytest.mark.usefixtures("ipv6")
def test_packets_are_spread_over_the_threads_sockets(address: str, asked: str) -> None:
    with serving(address=address) as served, served.client(asked) as client:
        served.listener.hand_over(served.begin)
        for _ in range(300):
            client.send(b"one client, one port")
        served.service.turn()
        assert sum(served.service.by_socket) == 300
        assert min(served.service.by_socket) > 50


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
def test_the_port_is_refused_to_another_geodns_with_threads_and_without(address: str) -> None:
    with serving(address=address) as served:
        port = served.listener.port
        for _ in range(2):
            with pytest.raises(GeodnsError, match=f"{port}/udp is taken by another program"):
                UdpListener(address, port, echo, 1232).bind()
            if served.listener._service is None:
                served.listener.hand_over(served.begin)


def test_who_joins_the_port_by_so_reuseport_gets_no_packet() -> None:
    with serving() as served, served.client() as client:
        served.listener.hand_over(served.begin)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            try:
                other.bind(("127.0.0.1", served.listener.port))
            except OSError:
                pytest.skip("this system refuses it, which is better still")
            other.setblocking(False)
            for _ in range(300):
                client.send(b"whose")
            served.service.turn()
            assert served.listener.stats.received == 300
            with pytest.raises(BlockingIOError):
                other.recv(100)


def test_sockets_that_cannot_be_had_leave_the_first_one_as_it_was() -> None:
    made: list[socket.socket] = []

    def prepare(sock: socket.socket) -> None:
        made.append(sock)
        if len(made) == 2:
            raise OSError("one was enough")

    with bound(socket.SOCK_DGRAM, "127.0.0.1", 0) as first:
        with pytest.raises(OSError, match="one was enough"):
            siblings(first, 3, prepare)
        assert {sock.fileno() for sock in made} == {-1}
        assert not first.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT)


def test_one_thread_needs_no_other_socket_and_shares_its_port_with_nobody() -> None:
    with serving(threads=1) as served, served.client() as client:
        served.listener.hand_over(served.begin)
        client.send(b"1")
        served.service.turn()
        assert client.recv(100) == b"native:1"
        assert not served.service.sockets[0].getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT)


def test_every_socket_has_what_the_first_one_has() -> None:
    with serving(address="0.0.0.0") as served:
        served.listener.hand_over(served.begin)
        options = [
            (socket.SOL_SOCKET, socket.SO_RCVBUF),
            (socket.SOL_SOCKET, socket.SO_REUSEPORT),
            (socket.IPPROTO_IP, 8),  # IP_PKTINFO
            (socket.IPPROTO_IP, 10),  # IP_MTU_DISCOVER
        ]
        found = {tuple(sock.getsockopt(*option) for option in options) for sock in served.service.sockets}
        assert len(found) == 1
        assert {sock.getsockname() for sock in served.service.sockets} == {("0.0.0.0", served.listener.port)}


def test_what_is_passed_is_answered_by_the_door_of_the_moment() -> None:
    seen = []

    def door(packet: bytes, client: str, limit: int) -> bytes:
        seen.append((packet, client, limit))
        return b"reply"

    with serving() as served, served.client() as client:
        served.listener.hand_over(served.begin)
        served.listener.door = door
        client.send(b"pass it")
        served.service.turn()
        served.loop.wake()
        assert client.recv(100) == b"reply"
        assert seen == [(b"pass it", "127.0.0.1", 900)]


def test_one_turn_takes_at_most_one_batch_of_what_is_passed() -> None:
    with serving() as served, served.client() as client:
        served.listener.hand_over(served.begin)
        for _ in range(BATCH + 10):
            client.send(b"pass")
        served.service.turn()
        served.loop.wake()
        assert len(served.service.waiting) == 10
        assert served.listener.stats.received == BATCH, "the others have not reached a door"


def test_the_counters_are_those_of_the_threads_and_of_what_was_passed() -> None:
    def door(packet: bytes, client: str, limit: int) -> bytes | None:
        if packet == b"pass: bug":
            raise ValueError("a bug")
        return None if packet == b"pass: no" else packet

    with serving(door, threads=1) as served, served.client() as client:
        client.send(b"before")
        served.loop.wake()
        served.listener.hand_over(served.begin)
        for packet in (b"1", b"2", b"pass: bug", b"pass: no", b"pass: yes", b"pass: refused"):
            client.send(packet)
        served.service.turn()
        last = served.service.waiting.pop()
        served.loop.wake()
        served.service.waiting.append(last)
        served.service.refuses = True
        served.loop.wake()
        served.service.counted |= {"silent": 10, "faults": 20, "errors": 30, "unsent": 40, "unpassed": 50}
        served.service.counted["received"] += 10 + 20 + 40 + 50
        stats = served.listener.stats
        assert (stats.received, stats.silent, stats.faults) == (7 + 120, 11, 21)
        assert (stats.errors, stats.unsent, stats.passed, stats.unpassed) == (30, 41, 4, 50)
        assert stats.answered == 4
        assert stats.last_fault == "ValueError('a bug')"
        served.listener.stop()
        assert served.listener.stats == stats


def test_a_fault_in_a_thread_is_told() -> None:
    with serving() as served:
        served.listener.hand_over(served.begin)
        assert served.listener.stats.last_fault == "a panic"


def test_where_threads_cannot_begin_its_own_loop_goes_on() -> None:
    def begin(descriptors: list[int]) -> Service:
        with socket.socket(fileno=os.dup(descriptors[0])) as sock:
            sock.setblocking(True)  # as threads have it
        raise OSError("no thread is left")

    with serving() as served, served.client() as client:
        client.send(b"1")
        line = f"127.0.0.1:{served.listener.port}/udp cannot be served by threads: no thread is left"
        with pytest.raises(GeodnsError, match=f"^{re.escape(line)}$"):
            served.listener.hand_over(begin)
        client.send(b"2")
        served.loop.wake()
        assert [client.recv(100), client.recv(100)] == [b"re:1", b"re:2"]
        with pytest.raises(GeodnsError, match="taken"):
            UdpListener("127.0.0.1", served.listener.port, echo, 1232).bind()
        served.listener.hand_over(served.begin)
        client.send(b"3")
        served.service.turn()
        assert client.recv(100) == b"native:3"


def test_it_stops_with_its_threads_and_gives_the_port_back() -> None:
    with serving() as served:
        served.listener.hand_over(served.begin)
        served.listener.stop()
        served.listener.stop()
        assert {sock.fileno() for sock in served.service.sockets} == {-1}
        other = UdpListener("127.0.0.1", served.listener.port, echo, 1232)
        other.bind()
        other.stop()


def test_full_receive_buffers_are_counted_over_all_sockets() -> None:
    with serving() as served, served.client() as client:
        served.listener.hand_over(served.begin)
        for sock in served.service.sockets:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        for _ in range(300):
            client.send(bytes(100))
        served.service.turn()
        assert served.listener.overflowed + served.listener.stats.received == 300
        assert served.listener.overflowed > 200


def test_the_log_is_told_of_what_threads_answered_a_batch_at_a_time() -> None:
    with serving() as served:
        served.listener.hand_over(served.begin)
        shown = [(b"asked", "192.0.2.1", b"told"), (b"short", "192.0.2.1", None)]
        served.service.told.extend(shown)
        served.service.counted["unshown"] = 3
        served.listener._show(served.service)
        assert served.told == shown
        assert served.listener.stats.unshown == 3
        served.service.told.extend(shown * BATCH)
        served.listener._show(served.service)
        assert len(served.told) == 2 + BATCH
