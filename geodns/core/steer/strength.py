"""How much of a pool can serve, and how much of that operators keep out.

Counted in the capacity of its regions where all of them declare one, else in the weight of endpoints. A
region is worth the share that is healthy of its lowest tier with a healthy endpoint: a standby that took over
stands for all of it, and a region below its minimum is worth nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from typing import NamedTuple

from geodns.core.health import Verdict
from geodns.core.overrides import NOTHING, WHOLE
from geodns.core.steer.conditions import Conditions, Site, deciding_family, needs, value_of
from geodns.model import Endpoint, Pool


class Part(NamedTuple):
    """Of a region's tier, in weight: what is healthy and not held, of what no operator took out, of all."""

    healthy: int
    left: int
    whole: int


class Strength(NamedTuple):
    """Of a pool, in capacity or weight: what is healthy of what no operator took out."""

    healthy: Fraction
    left: Fraction


def unit(pool: Pool) -> str:
    """What a pool's strength is counted in: `capacity` or `weight`."""
    return "weight" if any(region.capacity is None for region in pool.regions) else "capacity"


def strength(pool: Pool, conditions: Conditions) -> Strength:
    """How much of a pool can serve."""
    healthy, left = Fraction(), Fraction()
    for region in pool.regions:
        part = part_of(Site.of(pool, region, conditions))
        size = _size(pool, region.capacity, part)
        healthy += size * Fraction(part.healthy, part.whole)
        left += size * Fraction(part.left, part.whole)
    return Strength(healthy, left)


def panics(pool: Pool, conditions: Conditions) -> bool:
    """Whether so little of a pool is healthy that it fails open: nobody's health counts any more."""
    if pool.panic is None:
        return False
    healthy, left = strength(pool, conditions)
    return healthy * WHOLE < left * pool.panic


def kept_out(pool: Pool, conditions: Conditions) -> Fraction:
    """The share (0 to 1) of what could serve that operators keep out: paused, forced down, or by weight."""
    could, out = Fraction(), Fraction()
    for region in pool.regions:
        site = Site.of(pool, region, conditions)
        without, now = (part_of(replace(site, setting=setting)) for setting in (NOTHING, site.setting.free()))
        size = _size(pool, region.capacity, without)
        mine = size * Fraction(without.healthy, without.whole)
        kept = size * Fraction(now.healthy, now.whole) * Fraction(site.setting.share, WHOLE)
        could += mine
        out += max(Fraction(), mine - kept)
    return out / could if could else Fraction()


def part_of(site: Site) -> Part:
    """What of a region can serve."""
    here, family = site.here, deciding_family(site.here)
    able = [e for e in here.endpoints if value_of(e, family) is not None]
    left = [e for e in able if site.is_left(e)]
    free = [e for e in left if site.is_free(e)] if site.setting.hold is None else []
    healthy = [e for e in free if site.health(e, family).verdict is Verdict.UP]
    if len(healthy) < needs(here.minimum_healthy, len(able)):
        healthy = []
    tier = min(e.tier for e in healthy or left or able)
    even = not _weight(able, tier)
    return Part(*(_weight(among, tier, even=even) for among in (healthy, left, able)))


def _weight(endpoints: Iterable[Endpoint], tier: int, *, even: bool = False) -> int:
    return sum(1 if even else e.weight for e in endpoints if e.tier == tier)


def _size(pool: Pool, capacity: int | None, part: Part) -> int:
    return part.whole if capacity is None or unit(pool) == "weight" else capacity
