"""The rules of the files that operators' changes may not break, and which of them a change would.

A rule is broken by what makes it worse: where it is broken already, another step in the same direction is
refused as well, and one that does not matter to it is not.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

from geodns.core.steer.conditions import Site, deciding_family, value_of
from geodns.core.steer.odds import available
from geodns.core.steer.strength import kept_out, unit
from geodns.core.world import World, differing
from geodns.model import Guard, Pool

AT_LEAST, NEVER_TOGETHER, MAX_PAUSED = "at-least", "never-pause-together", "max-paused-capacity"


class Broken(NamedTuple):
    """A rule (`at-least:web`, `leaves-no-region`) that a change would break, what would happen, and examples
    of the steered names that it hits, at most 10.
    """

    rule: str
    detail: str
    names: tuple[str, ...]


class Breach(NamedTuple):
    """A rule broken in one pool."""

    rule: str
    pool: str
    detail: str


def breaches(before: World, after: World) -> Iterator[Breach]:
    """What a change breaks; both worlds are of the same files."""
    for pool_id in sorted(differing(before, after)):
        pool = after.pools[pool_id]
        for guard in pool.guards:
            for kind, detail in (
                (AT_LEAST, _too_few(guard, pool, before, after)),
                (NEVER_TOGETHER, _together(guard, pool, before, after)),
                (MAX_PAUSED, _too_much(guard, pool, before, after)),
            ):
                if detail:
                    yield Breach(f"{kind}:{guard.id}", pool_id, detail)


def _too_few(guard: Guard, pool: Pool, before: World, after: World) -> str:
    was, now = (sum(available(pool, r, world) for r in pool.regions) for world in (before, after))
    if now >= guard.at_least or now >= was:
        return ""
    return f"{now} of {len(pool.regions)} regions would serve in pool {pool.id}, not {guard.at_least}"


def _together(guard: Guard, pool: Pool, before: World, after: World) -> str:
    was, now = (_taken_out(guard, pool, world) for world in (before, after))
    if len(now) < 2 or not set(now) - set(was):
        return ""
    return f"{' and '.join(now)} would be out together in pool {pool.id}"


def _taken_out(guard: Guard, pool: Pool, world: World) -> list[str]:
    """The regions of those never to be paused together that operators took out: paused, or forced down."""
    found = []
    for region in pool.regions:
        site, family = Site.of(pool, region, world), deciding_family(region)
        able = [e for e in region.endpoints if value_of(e, family) is not None]
        if region.region in guard.never_together and not any(map(site.is_left, able)):
            found.append(region.region)
    return found


def _too_much(guard: Guard, pool: Pool, before: World, after: World) -> str:
    if guard.max_paused is None:
        return ""
    was, now = (kept_out(pool, world) for world in (before, after))
    if now <= Fraction(guard.max_paused, 100) or now <= was:
        return ""
    what = f"{unit(pool)} of pool {pool.id}"
    return (
        f"{float(now):.0%} of the healthy {what} would be kept out by hand, not at most {guard.max_paused}%"
    )
