"""DNS over UDP by the native lane: threads that answer, and a queue of what they pass on to Python.

The socket is bound and, until the server is ready, read as in `serve.udp`. Then it is handed over: it and
its siblings, bound to the same address with SO_REUSEPORT, are served by a thread each. The first one was
bound without that option, so a port that somebody else has is refused, whatever the other one set.
"""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

from geodns.serve.door import Door
from geodns.serve.sockets import refusal
from geodns.serve.udp import BATCH, UdpListener, UdpStats, dropped, tune

if TYPE_CHECKING:
    from geodns._native import Lane, Passed, Service

WAITING = 1024  # packets that wait for Python


@dataclass(slots=True)
class NativeStats(UdpStats):
    passed: int = 0
    """Packets that threads passed on to Python."""
    lost: int = 0
    """Packets that they would have passed on, but too many waited."""


class NativeListener(UdpListener):
    """`UdpListener` whose packets, once it is handed over, only come to `door` where threads pass them on.

    Its threads are the lane's from number `first` on; they are held on `cores` in turn, where there are some.
    """

    def __init__(
        self, address: str, port: int, door: Door, limit: int, *, threads: int, first: int, cores: list[int]
    ) -> None:
        super().__init__(address, port, door, limit)
        self.first = first
        self._threads = threads
        self._cores = cores
        self._siblings: list[socket.socket] = []
        self._service: Service | None = None
        self._ended = (0,) * 7

    @property
    def stats(self) -> NativeStats:
        own, service = self._stats, self._service
        received, silent, faults, errors, unsent, passed, lost = service.counts() if service else self._ended
        return NativeStats(
            received=own.received + received,
            silent=own.silent + silent,
            faults=own.faults + faults,
            last_fault=(service.last_fault() if service else "") or own.last_fault,
            errors=own.errors + errors,
            unsent=own.unsent + unsent,
            passed=passed,
            lost=lost,
        )

    @property
    def overflowed(self) -> int:
        return super().overflowed + sum(map(dropped, self._siblings))

    def hand_over(self, lane: Lane) -> None:
        """Let threads answer from now on. Raises GeodnsError in one line."""
        assert self._socket is not None
        assert self._loop is not None
        try:
            self._loop.remove_reader(self._socket)
            self._join()
            files = [sock.fileno() for sock in (self._socket, *self._siblings)]
            self._service = lane.serve(files, first=self.first, waiting=WAITING, cores=self._cores)
        except OSError as error:
            raise refusal(error, socket.SOCK_DGRAM, self.address, self.port) from None
        self._loop.add_reader(self._service.ear, self._answer_passed, self._service)

    def stop(self) -> None:
        service, self._service = self._service, None
        if service is not None:
            asyncio.get_running_loop().remove_reader(service.ear)
            service.stop()
            self._ended = service.counts()
        for sibling in self._siblings:
            sibling.close()
        self._siblings.clear()
        super().stop()

    def _join(self) -> None:
        """Bind a sibling for each further thread."""
        assert self._socket is not None
        if self._threads > 1:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        for _ in range(self._threads - 1):
            sibling = socket.socket(self._socket.family, socket.SOCK_DGRAM)
            self._siblings.append(sibling)
            sibling.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if sibling.family == socket.AF_INET6:
                sibling.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            tune(sibling)
            sibling.bind(self._socket.getsockname())

    def _answer_passed(self, service: Service) -> None:
        for passed in service.take(BATCH):
            self._answer(passed)

    def _answer(self, passed: Passed) -> None:
        try:
            reply = self.door(passed.packet, passed.client, self.limit)
        except Exception as error:
            self._stats.fault(error)
            return
        if reply is None:
            self._stats.silent += 1
        elif not passed.reply(reply):
            self._stats.unsent += 1
