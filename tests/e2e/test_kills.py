"""Real backends die, hang and return under load: when geodns is right again, and when unbound is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from e2e_support import Server

from tests.failover.run import run


def test_thirty_kills_are_told_in_time_and_short_flaps_never(
    required: Callable[[str], str], tmp_path: Path
) -> None:
    """As `make failover`, with fewer kills and a short TTL: p50 ≤ 3 s and p99 ≤ 4.5 s at 1 s × 3 and 1 s
    timeout; through unbound by no more than the TTL later; no answer lost or wrong; no verdict of a flap.
    """
    report = run(required, tmp_path, lane=Server.lane, kills=30, flaps=30, names=30, ttl=2, rate=1000)
    assert report.within(), f"\n{report}"
