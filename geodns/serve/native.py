"""DNS over UDP by threads that replay the table without the interpreter.

Until they begin, this listener is the one of `serve/udp.py`. Then each thread has a socket of its own on the
same address and port, and what they pass comes here over a bounded queue, is answered by the door like any
packet, and leaves from the socket and the address that it came to.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Protocol

from geodns.errors import GeodnsError
from geodns.serve.door import Door
from geodns.serve.sockets import siblings
from geodns.serve.udp import BATCH, Datagrams, UdpListener, UdpStats, dropped


class Service(Datagrams, Protocol):
    """`geodns._native.UdpService`: threads that answer, and what they pass, like a non-blocking socket."""

    def fileno(self) -> int: ...
    def shown_fileno(self) -> int: ...
    def shown(self) -> tuple[bytes, str, bytes | None] | None: ...
    def counts(self) -> Mapping[str, int]: ...
    def last_fault(self) -> str: ...
    def stop(self) -> None: ...


Begin = Callable[[list[int]], Service]
"""Starts a thread on each of the bound UDP sockets with these descriptors, which it duplicates. OSError."""
Tell = Callable[[bytes, str, bytes | None], None]
"""(packet, client's address, reply or None for silence): what the threads answered and the log is to show."""


class NativeListener(UdpListener):
    """Serves one address and port, from `hand_over` on by `threads` threads of the native lane."""

    def __init__(self, address: str, port: int, door: Door, limit: int, threads: int, tell: Tell) -> None:
        super().__init__(address, port, door, limit)
        self._threads = threads
        self._tell = tell
        self._siblings: list[socket.socket] = []
        self._service: Service | None = None

    def hand_over(self, begin: Begin) -> None:
        """Let threads answer from now on; the listener was started. No packet is lost meanwhile.

        Raises GeodnsError in one line, and goes on answering by itself then.
        """
        assert self._socket is not None and self._loop is not None and self._service is None
        self._loop.remove_reader(self._socket)
        try:
            self._siblings = siblings(self._socket, self._threads - 1, self._prepare)
            service = begin([sock.fileno() for sock in (self._socket, *self._siblings)])
        except OSError as error:
            self._close_siblings()
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 0)
            self._socket.setblocking(False)  # threads would have had it otherwise
            self.start(self._loop)
            raise GeodnsError(f"{self} cannot be served by threads: {error.strerror or error}") from None
        self._loop.add_reader(service, self._answer, service)
        self._loop.add_reader(service.shown_fileno(), self._show, service)
        self._service = service

    def stop(self) -> None:
        """Stop answering, threads included, and give the port back; harmless when not started."""
        if self._service is not None and self._loop is not None:
            self._loop.remove_reader(self._service)
            self._loop.remove_reader(self._service.shown_fileno())
            self._service.stop()
            self._stats, self._service = self.stats, None
        self._close_siblings()
        super().stop()

    @property
    def stats(self) -> UdpStats:
        """What was counted since the start, here and in the threads. What is passed is received here."""
        own = self._stats
        if self._service is None:
            return own
        theirs = self._service.counts()
        return replace(
            own,
            received=own.received + theirs["received"] - theirs["passed"],
            silent=own.silent + theirs["silent"],
            faults=own.faults + theirs["faults"],
            last_fault=own.last_fault or self._service.last_fault(),
            errors=own.errors + theirs["errors"],
            unsent=own.unsent + theirs["unsent"],
            passed=theirs["passed"],
            unpassed=theirs["unpassed"],
            unshown=theirs["unshown"],
        )

    @property
    def overflowed(self) -> int:
        """Datagrams that the system dropped because a receive buffer was full (Linux; elsewhere 0)."""
        return super().overflowed + sum(map(dropped, self._siblings))

    def _show(self, service: Service) -> None:
        for _ in range(BATCH):
            shown = service.shown()
            if shown is None:
                break
            self._tell(*shown)

    def _close_siblings(self) -> None:
        for sock in self._siblings:
            sock.close()
        self._siblings = []
