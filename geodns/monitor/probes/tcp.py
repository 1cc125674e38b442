"""A TCP check: the endpoint is well when it accepts a connection.

Thousands a second are to cost little more than the system takes for a connection. So none has a task, a
transport or a place in the event loop: they share a selector, which is to the loop one file that becomes
readable, and their time-outs one of its timers.
"""

from __future__ import annotations

import asyncio
import errno
import selectors
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from os import strerror

from geodns.core.health import Outcome, Probe
from geodns.monitor.probes.failure import describe, timed_out
from geodns.monitor.timers import Timer, Timers

BATCH = 64  # connections looked at in one turn of the loop: about a millisecond
# Closed by a reset: thousands a second that end politely would each occupy the system for another minute.
_RESET = struct.pack("ii", 1, 0)

Done = Callable[[Outcome], None]


@dataclass(slots=True, eq=False)
class _Attempt:
    probe: Probe
    socket: socket.socket
    done: Done
    began: float  # event loop time
    timeout: Timer = field(init=False)


class Connections:
    """All that are being made. Opened and used in one event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._timers = Timers()
        self._selector = selectors.DefaultSelector()
        self._loop.add_reader(self._selector.fileno(), self._look)

    def begin(self, p: Probe, address: str, done: Done) -> Callable[[], None]:
        """Connect to `address` (numeric) at the probe's port within `check.timeout` seconds, and close.

        Returns what cancels it. `done` gets the outcome, later and once, unless it is cancelled.
        """
        try:
            connecting = _connecting(address, p.port)
        except OSError as error:
            return self._loop.call_soon(done, Outcome(False, describe(error))).cancel
        attempt = _Attempt(p, connecting, done, self._loop.time())
        attempt.timeout = self._timers.at(attempt.began + p.check.timeout, partial(self._late, attempt))
        self._selector.register(connecting, selectors.EVENT_WRITE, attempt)
        return partial(self._end, attempt)

    async def probe(self, p: Probe, address: str) -> Outcome:
        """The same, to be waited for."""
        outcome: asyncio.Future[Outcome] = self._loop.create_future()
        cancel = self.begin(p, address, outcome.set_result)
        try:
            return await outcome
        finally:
            cancel()

    def close(self) -> None:
        """Give up what is still being made."""
        for key in list(self._selector.get_map().values()):
            self._end(key.data)
        self._loop.remove_reader(self._selector.fileno())
        self._selector.close()

    def _look(self) -> None:
        for key, _ in self._selector.select(0)[:BATCH]:
            attempt: _Attempt = key.data
            failure = attempt.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            self._end(attempt)
            if failure:
                attempt.done(Outcome(False, describe(OSError(failure, strerror(failure)))))
            else:
                took = self._loop.time() - attempt.began
                attempt.done(Outcome(True, f"connected in {took * 1000:.0f} ms"))

    def _late(self, attempt: _Attempt) -> None:
        self._end(attempt)
        attempt.done(Outcome(False, timed_out(attempt.probe.check.timeout)))

    def _end(self, attempt: _Attempt) -> None:
        if attempt.socket.fileno() < 0:
            return
        self._timers.cancel(attempt.timeout)
        self._selector.unregister(attempt.socket)
        attempt.socket.close()


def _connecting(address: str, port: int) -> socket.socket:
    """A socket whose connection is under way. OSError where it cannot be."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        failure = found.connect_ex((address, port))
        if failure not in (0, errno.EINPROGRESS):
            raise OSError(failure, strerror(failure))
    except OSError:
        found.close()
        raise
    return found
