"""When a probe's rounds are due: on a fixed grid, `interval` apart from the probe's own phase.

So neither slow answers nor restarts make probes drift into step. While results disagree, rounds are nearer to
each other and off the grid. Times are seconds of any steady clock.
"""

from __future__ import annotations

import hashlib
import math

FIRST_ROUND = 1.0  # seconds over which probes that nothing is known of are spread
FIRST_RATE = (
    500  # of them a second where that makes it longer: as many as can begin in time, whatever their kind
)
MOMENT = 1e-6  # share of the interval that tells two points of the grid apart
LATE = 0.1  # share of the interval by which a start may miss its time before it counts as late


def phase(probe_id: str) -> float:
    """A number in [0, 1), the same for a probe in every run, so that starts are spread and stay so."""
    digest = hashlib.blake2b(probe_id.encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64


def opening(interval: float, unknown: int) -> float:
    """Seconds over which the first rounds are spread where nothing is known of `unknown` probes."""
    return min(interval, max(FIRST_ROUND, unknown / FIRST_RATE))


def following(
    grid: float, due: float, interval: float, between: float, now: float, *, retried: bool
) -> tuple[float, int]:
    """When the next round is due, and how many points of the grid were missed by `now`.

    `grid` is one point of the grid, `due` when the last round was. `between` less than `interval` means that
    results disagree: the next is that much later, wherever the grid is. Otherwise it is a point of the grid
    at least half an interval later; after a retry (`retried`) any point will do: to wait for a later one
    would delay what the failover counts on.
    """
    if between < interval:
        return max(now, due + between), 0
    after = MOMENT if retried else 0.5
    point = grid + math.ceil((due - grid) / interval + after) * interval
    missed = max(0, math.ceil((now - point) / interval - LATE))
    return point + missed * interval, missed
