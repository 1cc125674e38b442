"""Timers by the ten thousand for one of the event loop's.

A heap of plain tuples, and one timer of the loop for the soonest. What is due within a grain of time is done in
one wake: a turn of the loop costs as much as several timers do.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

BATCH = 16  # timers at one wake: about a millisecond of beginning probes, the longest that others wait
_SPARED = 256  # cancelled timers that the heap may always hold


@dataclass(slots=True, eq=False)
class Timer:
    call: Callable[[], None] | None


class Timers:
    """For one event loop. `grain`: seconds from one wake to the next, hence the most by which a timer is late
    (0: none waits for another).
    """

    def __init__(self, grain: float = 0.0) -> None:
        self._grain = grain
        self._heap: list[tuple[float, int, Timer]] = []
        self._number = count()  # timers due at the same moment go in the order in which they were set
        self._cancelled = 0
        self._wake: asyncio.TimerHandle | None = None
        self._woken = 0.0

    def __len__(self) -> int:
        """How many the heap holds, cancelled ones too."""
        return len(self._heap)

    def at(self, due: float, call: Callable[[], None]) -> Timer:
        """Call once at `due` (event loop time), or up to a grain later."""
        timer = Timer(call)
        heapq.heappush(self._heap, (due, next(self._number), timer))
        soonest = self._woken + self._grain
        if self._wake is None or max(due, soonest) < self._wake.when():
            self._arm(soonest)
        return timer

    def cancel(self, timer: Timer) -> None:
        """Harmless where it is over."""
        if timer.call is None:
            return
        timer.call = None
        self._cancelled += 1
        if self._cancelled > _SPARED + len(self._heap) // 2:
            self._heap = [item for item in self._heap if item[2].call is not None]
            heapq.heapify(self._heap)
            self._cancelled = 0

    def _arm(self, soonest: float) -> None:
        """Wake for the first timer, but not before `soonest`."""
        if self._wake is not None:
            self._wake.cancel()
        when = max(self._heap[0][0], soonest)
        self._wake = asyncio.get_running_loop().call_at(when, self._run, when)

    def _run(self, when: float) -> None:
        now = max(asyncio.get_running_loop().time(), when)  # the loop's clock may be a hair behind
        self._wake, self._woken = None, now
        try:
            for _ in range(BATCH):
                if not self._heap or self._heap[0][0] > now:
                    break
                self._call(heapq.heappop(self._heap)[2])
        finally:
            if self._heap:
                self._arm(now if self._heap[0][0] <= now else now + self._grain)

    def _call(self, timer: Timer) -> None:
        call, timer.call = timer.call, None
        if call is None:
            self._cancelled -= 1
        else:
            call()
