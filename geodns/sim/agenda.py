"""What comes when, on a virtual clock: the same order in every run."""

from __future__ import annotations

import heapq
from collections.abc import Callable

Turn = Callable[[float], None]


class Agenda:
    """Times are seconds since the start; of what is due at the same time, what was put first comes first."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Turn]] = []
        self._put = 0

    def at(self, when: float, turn: Turn) -> None:
        """`turn` is called with the time at which it was due."""
        self._put += 1
        heapq.heappush(self._heap, (when, self._put, turn))

    def run(self, until: float) -> None:
        """Everything due until then, what it brings about included."""
        while self._heap and self._heap[0][0] <= until:
            when, _, turn = heapq.heappop(self._heap)
            turn(when)
