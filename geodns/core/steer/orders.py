"""From a place to an order of preference over a pool's regions: the first rule that matches, spelled out.

The order is what makes a *class*: it depends on configuration and geography alone, never on health.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from functools import lru_cache
from math import asin, cos, radians, sin, sqrt

from geodns.core.place import Place, Uses, unmet, uses
from geodns.model import AnyRegion, Nearest, Policy, Region, Rule, Split, When

EARTH_KM = 6371.0


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


def distance(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Great-circle distance in kilometres between two (latitude, longitude) pairs in degrees."""
    lat_a, lon_a, lat_b, lon_b = radians(a[0]), radians(a[1]), radians(b[0]), radians(b[1])
    h = sin((lat_b - lat_a) / 2) ** 2 + cos(lat_a) * cos(lat_b) * sin((lon_b - lon_a) / 2) ** 2
    return 2 * EARTH_KM * asin(sqrt(min(1.0, h)))


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

    def alike(self, place: Place) -> Hashable:
        """What of a place the order depends on: places for which this is equal have the same order."""
        asked = _asked_values(self.policy)
        ranking = tuple(region.id for region in sort_by_distance(self.regions, place))
        return asked(place), ranking

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


class _Values:
    """The values that a policy's rules ask for: what else a place holds makes no difference to them."""

    def __init__(self, policy: Policy) -> None:
        whens = [rule.when for rule in policy.rules]
        self._own = frozenset(n for when in whens for n in when.networks)
        self._lines = frozenset(line for when in whens for line in when.lines)
        self._asns = frozenset(asn for when in whens for asn in when.asns)
        self._cities = any(when.cities for when in whens)
        self._subdivisions = frozenset(s for when in whens for s in when.subdivisions)
        self._countries = frozenset(c for when in whens for c in when.countries)
        self._continents = frozenset(c for when in whens for c in when.continents)

    def __call__(self, place: Place) -> Hashable:
        return (
            place.own & self._own,
            place.lines & self._lines,
            place.asn if place.asn in self._asns else 0,
            (place.city, place.geoname_id, place.subdivisions) if self._cities else (),
            self._subdivisions.intersection(place.subdivisions),
            place.country if place.country in self._countries else "",
            place.continent if place.continent in self._continents else "",
        )


@lru_cache(maxsize=256)
def _asked_values(policy: Policy) -> _Values:
    return _Values(policy)


def sort_by_distance(regions: tuple[Region, ...], place: Place) -> list[Region]:
    """Nearest first; regions without coordinates last; without a place, and on a tie, the file's order."""
    here = place.at
    if here is None:
        return list(regions)
    return sorted(regions, key=lambda r: distance(here, r.at) if r.at else float("inf"))


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
