"""From a place to an order of preference over a pool's regions: the first rule that matches, spelled out.

The order is what makes a *class*: it depends on configuration and geography alone, never on health.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import cos, dist, inf, radians, sin

from geodns.core.place import Place, Uses, unmet, uses
from geodns.model import AnyRegion, Nearest, Policy, Region, Rule, Split, When

Direction = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Group:
    """Regions that are tried together, with their shares; `by_weight`: each by its healthy weight instead."""

    shares: tuple[tuple[str, int], ...]
    by_weight: bool = False


Order = tuple[Group, ...]


@dataclass(frozen=True, slots=True)
class Tried:
    """A rule that was looked at: the key it failed on, or an empty string where it matched."""

    index: int
    unmet: str


@dataclass(frozen=True, slots=True)
class Ordered:
    """An order, how it came about, and which parts of the place were asked on the way (for the scope).

    `implied` is the index of the first group that no rule named but the implied `nearest` added;
    `nearest_from` tells what distances were measured from: the location, the country, or the file's order.
    """

    order: Order
    rule: int
    tried: tuple[Tried, ...]
    asked: Uses
    implied: int
    nearest_from: str = ""


def direction(at: tuple[float, float]) -> Direction:
    """The unit vector from the earth's centre to a (latitude, longitude) in degrees."""
    latitude, longitude = radians(at[0]), radians(at[1])
    around = cos(latitude)
    return around * cos(longitude), around * sin(longitude), sin(latitude)


_direction_of_region = lru_cache(maxsize=4096)(direction)


def directions(regions: tuple[Region, ...]) -> list[Direction | None]:
    """Where regions lie; None for one without coordinates."""
    return [_direction_of_region(region.at) if region.at else None for region in regions]


def by_distance(here: Direction, there: Sequence[Direction | None]) -> list[int]:
    """The indices of `there`, nearest first, None last, a tie as it stands.

    What is nearer along a great circle is nearer along the straight line, too, which is quickly measured.
    """
    far = [inf if place is None else dist(here, place) for place in there]
    return sorted(range(len(far)), key=far.__getitem__)


@dataclass(frozen=True, slots=True)
class Plan:
    """A policy over one set of regions, in the pool's order: what a client's class is computed with."""

    policy: Policy
    regions: tuple[Region, ...]

    def order(self, place: Place) -> Ordered:
        """The order of preference of a place. Every policy has a catch-all, so there always is one."""
        tried: list[Tried] = []
        asked = Uses(own=False, asn=False, geo=False)
        for index, rule in enumerate(self.policy.rules):
            failed = unmet(rule.when, place)
            asked = _merge(asked, _asked(rule.when, failed))
            tried.append(Tried(index, failed))
            if not failed:
                break
        return self._spell_out(rule, index, tuple(tried), asked, place)

    def _spell_out(
        self, rule: Rule, index: int, tried: tuple[Tried, ...], asked: Uses, place: Place
    ) -> Ordered:
        groups: list[Group] = []
        left = {region.id: region for region in self.regions}
        measured = ""
        implied = -1
        steps = rule.to if rule.fence else (*rule.to, Nearest())
        for number, step in enumerate(steps):
            if number == len(rule.to):
                implied = len(groups)
            match step:
                case Split(shares):
                    present = tuple((r, w) for r, w in shares if r in left)
                    if present:
                        groups.append(Group(present))
                        for region, _ in present:
                            del left[region]
                case Nearest(limit):
                    if len(left) > 1 and any(region.at for region in left.values()):
                        asked = _merge(asked, Uses(own=False, asn=False, geo=True))
                        measured = place.at_from or "file order"
                    for near in sort_by_distance(tuple(left.values()), place)[:limit]:
                        groups.append(Group(((near.id, 1),)))
                        del left[near.id]
                case AnyRegion():
                    if left:
                        groups.append(Group(tuple((region, 1) for region in left), by_weight=True))
                    left.clear()
        if implied == len(groups):
            implied = -1
        return Ordered(tuple(groups), index, tried, asked, implied, measured)


def sort_by_distance(regions: tuple[Region, ...], place: Place) -> list[Region]:
    """Nearest first; regions without coordinates last; without a place, and on a tie, the file's order."""
    if place.at is None:
        return list(regions)
    return [regions[i] for i in by_distance(direction(place.at), directions(regions))]


def _asked(when: When, failed: str) -> Uses:
    """Which parts of the place it took to find that `when` matched, or failed on its key `failed`."""
    everything = uses(when)
    match failed:
        case "network":
            return Uses(own=True, asn=False, geo=False)
        case "line" | "asn":
            return Uses(own=everything.own, asn=True, geo=False)
        case _:
            return everything


def _merge(a: Uses, b: Uses) -> Uses:
    return Uses(own=a.own or b.own, asn=a.asn or b.asn, geo=a.geo or b.geo)
