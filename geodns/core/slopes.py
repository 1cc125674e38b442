"""Shares that change by themselves: down to nothing (a drain), up to the whole (a ramp), step by step.

A share is a percent of the clients that a region would have, or of an endpoint's weight. It is a function of
time alone, so that a server that starts anew goes on where time says it is.
"""

from __future__ import annotations

from dataclasses import dataclass

MOST_DOWN = 9  # steps before nothing is left: 90, 80, …
UP = {1: (25,), 2: (10, 50), 3: (10, 25, 50)}  # by the number of steps before the whole
TTLS = 2  # a step lasts for that many, so that resolvers have heard of one before the next


@dataclass(frozen=True, slots=True)
class Slope:
    """Through `levels` (percent), each for an equal part of `over` seconds, and then `end`."""

    over: float
    levels: tuple[int, ...]
    end: int

    def at(self, since: float, now: float) -> int:
        """The share at a moment, where it began at `since` (Unix seconds)."""
        share = self.levels[0]
        for step, level in enumerate((*self.levels, self.end)):
            if self._begins(since, step) <= now:
                share = level
        return share

    def after(self, since: float, share: int) -> float | None:
        """When the share ceases to be this one; None where it is the last."""
        if share == self.end or share not in self.levels:
            return None
        last = len(self.levels) - 1 - self.levels[::-1].index(share)
        return self._begins(since, last + 1)

    def _begins(self, since: float, step: int) -> float:
        return since + step * self.over / len(self.levels)


def down(over: float, ttl: float, start: int = 100) -> Slope:
    """From a share to nothing, evenly; fewer and larger steps where the time is short for the TTL."""
    steps = _steps(over, ttl, MOST_DOWN)
    return Slope(over, tuple(-(-start * (steps - n) // (steps + 1)) for n in range(steps)), 0)


def up(over: float, ttl: float, start: int = 0) -> Slope:
    """From a share to the whole: 10, 25, 50, 100 %; it takes two TTLs at least."""
    over = max(over, TTLS * ttl)
    levels = tuple(level for level in UP[_steps(over, ttl, max(UP))] if level > start)
    return Slope(over, levels or (start,), 100)


def _steps(over: float, ttl: float, most: int) -> int:
    return max(1, min(most, int(over / (TTLS * ttl)))) if ttl else most
