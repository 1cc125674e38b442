"""Timers by the ten thousand for one of the event loop's: a heap of plain tuples, woken for the first.

Of those that are due at once, after the loop was held up, only so many are called in one turn of it.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

BATCH = 16  # calls in one turn: about a millisecond of beginning probes, the longest that others wait
_SPARED = 256  # cancelled timers that may stay in any heap


@dataclass(slots=True, eq=False)
class Timer:
    """`call` is None once it was called or cancelled."""

    call: Callable[[], None] | None


class Timers:
    """All methods belong to one event loop."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timer]] = []
        self._number = count()  # those due at the same moment keep the order in which they were set
        self._cancelled = 0
        self._wake: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        """How many are held, cancelled ones too: at most as many again as are set, and a few."""
        return len(self._heap)

    def at(self, due: float, call: Callable[[], None]) -> Timer:
        """Call once at `due` (event loop time)."""
        timer = Timer(call)
        heapq.heappush(self._heap, (due, next(self._number), timer))
        if self._wake is None or due < self._wake.when():
            self._arm()
        return timer

    def cancel(self, timer: Timer) -> None:
        """Harmless where it was called already."""
        if timer.call is None:
            return
        timer.call = None
        self._cancelled += 1
        if self._cancelled > _SPARED + len(self._heap) // 2:
            self._heap = [item for item in self._heap if item[2].call is not None]
            heapq.heapify(self._heap)
            self._cancelled = 0

    def _arm(self) -> None:
        if self._wake is not None:
            self._wake.cancel()
        due = self._heap[0][0]
        self._wake = asyncio.get_running_loop().call_at(due, self._run, due)

    def _run(self, due: float) -> None:
        now = max(asyncio.get_running_loop().time(), due)  # the loop wakes a hair too early
        try:
            for _ in range(BATCH):
                if not self._heap or self._heap[0][0] > now:
                    break
                self._call(heapq.heappop(self._heap)[2])
        finally:
            if self._heap:
                self._arm()
            else:
                self._wake = None

    def _call(self, timer: Timer) -> None:
        call, timer.call = timer.call, None
        if call is None:
            self._cancelled -= 1
        else:
            call()
