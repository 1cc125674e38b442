"""From a place to an order, from an order to odds: held against a slow reading of DESIGN §4 word for word."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import acos, asin, cos, dist, radians, sin
from random import Random

import core_worlds as worlds
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geodns.core.health import Health, Verdict
from geodns.core.place import Place, matches
from geodns.core.steer.odds import Odds, Stage, decide
from geodns.core.steer.orders import Group, Order, Plan, by_distance, direction, sort_by_distance
from geodns.core.world import Override
from geodns.model import AllDown, AnyRegion, Endpoint, Nearest, Pool, PoolRegion, Region, Split

STEADY = settings(deadline=None, derandomize=True, max_examples=120)
seeds = st.integers(0, 2**32 - 1)

EARTH_KM = 6371.0

UP, DOWN, UNKNOWN = Verdict.UP, Verdict.DOWN, Verdict.UNKNOWN


@dataclass
class Weather:
    """Conditions by (endpoint name, family), up where nothing is said; paused regions with their ends."""

    health: dict[tuple[str, int], Health]
    pauses: dict[str, float | None]

    def health_of(self, endpoint: Endpoint, family: int) -> Health:
        if endpoint.check is None:
            return Health(UP)
        return self.health.get((endpoint.name, family), Health(UP))

    def paused(self, region: str) -> Override | None:
        if region not in self.pauses:
            return None
        return Override("pause", region, "", "", 0, self.pauses[region])

    def verdict(self, endpoint: Endpoint, family: int) -> Verdict:
        return self.health_of(endpoint, family).verdict


@dataclass
class Scene:
    """A pool, an order over some of its regions, conditions: all from a seed."""

    pool: Pool
    order: Order
    weather: Weather
    family: int


def scene(seed: int) -> Scene:
    chance = Random(seed)
    pool = worlds.pool("p", "p", chance)
    held = [r.region for r in pool.regions]
    chance.shuffle(held)
    groups = []
    while held and chance.random() < 0.9:
        take = chance.choice((1, 1, 2, 3))
        shares = tuple((r, chance.choice((1, 1, 3, 10))) for r in held[:take])
        groups.append(Group(shares, by_weight=chance.random() < 0.3))
        held = held[take:]
    health = {
        (e.name, family): worlds.health(chance, 1000)
        for r in pool.regions
        for e in r.endpoints
        for family in (0, 4, 6)
    }
    regions = [r.region for r in pool.regions]
    pauses = {r: chance.choice((None, 1010.0, 1030.5)) for r in regions if chance.random() < 0.25}
    family = 0 if pool.targets else chance.choice((4, 6))
    return Scene(pool, tuple(groups), Weather(health, pauses), family)


def answers(endpoint: Endpoint, family: int) -> bool:
    return (endpoint.target if family == 0 else endpoint.ipv4 if family == 4 else endpoint.ipv6) is not None


def deciders(region: PoolRegion) -> tuple[int, list[Endpoint]]:
    """Where a region has IPv4 endpoints, IPv4 decides; an IPv6-only region goes by IPv6."""
    for family in (0, 4, 6):
        able = [e for e in region.endpoints if answers(e, family)]
        if able:
            return family, able
    raise AssertionError("a region has endpoints")


class Oracle:
    """DESIGN §4, 4 to 6, read slowly: shares as fractions, region by region."""

    def __init__(self, scene_: Scene) -> None:
        self.pool, self.order, self.weather, self.family = (
            scene_.pool,
            scene_.order,
            scene_.weather,
            scene_.family,
        )

    def healthy(self, region: PoolRegion, allowed: set[Verdict]) -> int:
        family, able = deciders(region)
        return sum(self.weather.verdict(e, family) in allowed for e in able)

    def available(self, region: PoolRegion) -> bool:
        minimum = region.minimum_healthy
        _, able = deciders(region)
        needed: Fraction | int = minimum.count
        if minimum.percent is not None:
            needed = Fraction(len(able) * minimum.percent, 100)
        return self.healthy(region, {UP}) >= max(1, needed)

    def shares(self) -> dict[str, Fraction]:
        """Each possible answer's share; nothing for NODATA."""
        regions = {region.region: region for region in self.pool.regions}
        steps = [[(regions[r], share) for r, share in group.shares] for group in self.order]
        open_ = [[(r, s) for r, s in step if r.region not in self.weather.pauses] for step in steps]
        if not any(open_):
            return {}
        for step, group in zip(open_, self.order, strict=True):
            serving = [(r, s) for r, s in step if self.available(r)]
            if serving:
                return self.tell(serving, group.by_weight, [{UP}])
        if self.pool.when_all_down is AllDown.NODATA:
            return {}
        if self.pool.when_all_down is AllDown.BACKUP:
            wanted = [a for a in self.pool.backup if (":" in a) == (self.family == 6)]
            return {a: Fraction(1, len(wanted)) for a in wanted}
        circles = [{UP}, {UP, UNKNOWN}, {UP, UNKNOWN, DOWN}]
        for number, allowed in enumerate(circles):
            for step, group in zip(open_, self.order, strict=True):
                serving = [(r, s) for r, s in step if self.healthy(r, allowed)]
                if serving:
                    return self.tell(serving, group.by_weight, circles[: number + 1])
        raise AssertionError("failing open always finds somebody")

    def tell(
        self, regions: list[tuple[PoolRegion, int]], by_weight: bool, circles: list[set[Verdict]]
    ) -> dict[str, Fraction]:
        """The lowest tiers of the regions, in the family asked, the healthiest circle that has anybody."""
        for allowed in circles:
            told = {}
            for region, share in regions:
                able = [
                    e
                    for e in region.endpoints
                    if answers(e, self.family) and self.weather.verdict(e, self.family) in allowed
                ]
                lowest = [e for e in able if e.tier == min(x.tier for x in able)]
                weighty = [e for e in lowest if e.weight] or lowest
                if weighty:
                    told[region.region] = (share, weighty)
            if told:
                return by_weights(told, self.family) if by_weight else by_shares(told, self.family)
        return {}


Told = dict[str, tuple[int, list[Endpoint]]]


def value(endpoint: Endpoint, family: int) -> str:
    return str(endpoint.target if family == 0 else endpoint.ipv4 if family == 4 else endpoint.ipv6)


def by_weights(told: Told, family: int) -> dict[str, Fraction]:
    everybody = [e for _, endpoints in told.values() for e in endpoints]
    everybody = [e for e in everybody if e.weight] or everybody
    total = sum(e.weight or 1 for e in everybody)
    if not any(e.weight for e in everybody):
        total = len(everybody)
    return {value(e, family): Fraction(e.weight or 1, total) for e in everybody}


def by_shares(told: Told, family: int) -> dict[str, Fraction]:
    whole = sum(share for share, _ in told.values())
    return {
        value(e, family): Fraction(share, whole)
        * Fraction(e.weight or 1, sum(x.weight or 1 for x in endpoints))
        for share, endpoints in told.values()
        for e in endpoints
    }


def shares_of(odds: Odds) -> dict[str, Fraction]:
    total = sum(m.weight for m in odds.members)
    return {str(m.value): Fraction(m.weight, total) for m in odds.members}


@STEADY
@given(seeds)
def test_odds_are_what_the_design_says(seed: int) -> None:
    seen = scene(seed)
    assert shares_of(decide(seen.pool, seen.order, seen.weather, seen.family)) == Oracle(seen).shares()


@STEADY
@given(seeds)
def test_nobody_who_is_paused_or_outside_the_order_is_told(seed: int) -> None:
    seen = scene(seed)
    odds = decide(seen.pool, seen.order, seen.weather, seen.family)
    named = {r for group in seen.order for r, _ in group.shares} | {""}
    assert {m.region for m in odds.members} <= named - set(seen.weather.pauses)
    assert all(m.weight > 0 for m in odds.members)


@STEADY
@given(seeds)
def test_nobody_who_is_down_is_told_while_somebody_there_is_up(seed: int) -> None:
    """In the family asked, over the regions that serve: the healthier always stand before the others."""
    seen = scene(seed)
    odds = decide(seen.pool, seen.order, seen.weather, seen.family)
    by_name = {e.name: e for r in seen.pool.regions for e in r.endpoints}
    told = {seen.weather.verdict(by_name[m.name], seen.family) for m in odds.members if m.region}
    for member in odds.members:
        region = seen.pool.region(member.region)
        for endpoint in region.endpoints if region else ():
            if answers(endpoint, seen.family) and seen.weather.verdict(endpoint, seen.family) is UP:
                assert told == {UP}


@STEADY
@given(seeds)
def test_no_data_only_where_the_design_says_so(seed: int) -> None:
    seen = scene(seed)
    odds = decide(seen.pool, seen.order, seen.weather, seen.family)
    if odds.members:
        return
    if odds.stage is Stage.PAUSED:
        assert {r for group in seen.order for r, _ in group.shares} <= set(seen.weather.pauses)
    elif odds.stage is Stage.NODATA:
        assert seen.pool.when_all_down is AllDown.NODATA
    elif odds.stage is Stage.BACKUP:
        assert not any((":" in a) == (seen.family == 6) for a in seen.pool.backup)
    else:
        serving = {looked.region for looked in odds.looked if not looked.dropped}
        for region in seen.pool.regions:
            if region.region in serving:
                healthy = [e for e in region.endpoints if answers(e, seen.family)]
                assert all(seen.weather.verdict(e, seen.family) is not UP for e in healthy)


@STEADY
@given(seeds)
def test_odds_change_no_sooner_than_they_say(seed: int) -> None:
    """Let every doubt before `change_at` come true, and every pause before it end: the odds stay the same."""
    seen = scene(seed)
    odds = decide(seen.pool, seen.order, seen.weather, seen.family)
    soonest = odds.change_at or float("inf")
    flipped = {}
    for key, health in seen.weather.health.items():
        flips = 0 < health.doubt_until < soonest
        flipped[key] = Health(DOWN if health.verdict is UP else UP) if flips else health
    pauses = {r: until for r, until in seen.weather.pauses.items() if until is None or int(until) >= soonest}
    later = decide(seen.pool, seen.order, Weather(flipped, pauses), seen.family)
    assert shares_of(later) == shares_of(odds)


# orders


def great_circle(a: tuple[float, float], b: tuple[float, float]) -> float:
    lat_a, lon_a, lat_b, lon_b = (radians(x) for x in (*a, *b))
    product = sin(lat_a) * sin(lat_b) + cos(lat_a) * cos(lat_b) * cos(lon_a - lon_b)
    return 6371.0 * acos(max(-1.0, min(1.0, product)))


def place(chance: Random) -> Place:
    country = chance.choice((*worlds.COUNTRIES, ""))
    at = (float(chance.randrange(-80, 80)), float(chance.randrange(-170, 170)))
    return Place(
        own=frozenset(worlds.network(chance) for _ in range(chance.randrange(2))),
        lines=frozenset(chance.sample(tuple(worlds.LINES), chance.randrange(2))),
        asn=chance.choice((*worlds.ASNS, 0)),
        subdivisions=(f"{country}-A",) if country and chance.random() < 0.5 else (),
        country=country,
        continent=chance.choice((*worlds.CONTINENTS, "")),
        at=at if chance.random() < 0.7 else None,
        at_from="location",
    )


def naive_order(plan: Plan, here: Place) -> list[tuple[dict[str, int], bool]]:
    """DESIGN §3, `to`: first matching rule, its steps one after the other, and the implied nearest."""
    rule = next(r for r in plan.policy.rules if matches(r.when, here))
    left = [r.id for r in plan.regions]
    at = {r.id: r.at for r in plan.regions}
    groups: list[tuple[dict[str, int], bool]] = []
    for step in [*rule.to, *([] if rule.fence else [Nearest()])]:
        if isinstance(step, Split):
            group = {r: w for r, w in step.shares if r in left}
            groups += [(group, False)] if group else []
        elif isinstance(step, AnyRegion):
            group = dict.fromkeys(left, 1)
            groups += [(group, True)] if group else []
        else:
            near = list(left)
            if here.at:
                far = {r: great_circle(here.at, x) if (x := at[r]) else float("inf") for r in left}
                near.sort(key=lambda r: (round(far[r], 3), left.index(r)))
            chosen = near[: step.limit] if step.limit else near
            groups += [({r: 1}, False) for r in chosen]
            group = dict.fromkeys(chosen, 1)
        left = [r for r in left if r not in group]
    return groups


@STEADY
@given(seeds)
def test_orders_are_what_the_design_says(seed: int) -> None:
    chance = Random(seed)
    regions = worlds.model(chance).regions
    plan = Plan(
        worlds.policy("p", chance),
        tuple(regions[r] for r in chance.sample(worlds.REGIONS, chance.randrange(1, 6))),
    )
    here = place(chance)
    ordered = plan.order(here)
    assert [(dict(g.shares), g.by_weight) for g in ordered.order] == naive_order(plan, here)
    named = [r for g in ordered.order for r, _ in g.shares]
    assert len(named) == len(set(named))
    if not plan.policy.rules[ordered.rule].fence:
        assert set(named) == {r.id for r in plan.regions}


@STEADY
@given(seeds)
def test_only_what_was_asked_of_a_place_has_a_part_in_the_order(seed: int) -> None:
    """The scope is made from `asked`: whatever else of the place differs, the order is the same."""
    chance = Random(seed)
    regions = tuple(worlds.model(chance).regions.values())
    plan = Plan(worlds.policy("p", chance), regions)
    here, other = place(chance), place(chance)
    ordered = plan.order(here)
    asked = ordered.asked
    mixed = Place(
        own=here.own if asked.own else other.own,
        lines=here.lines if asked.own or asked.asn else other.lines,
        asn=here.asn if asked.asn else other.asn,
        subdivisions=here.subdivisions if asked.geo else other.subdivisions,
        country=here.country if asked.geo else other.country,
        continent=here.continent if asked.geo else other.continent,
        at=here.at if asked.geo else other.at,
        at_from=here.at_from if asked.geo else other.at_from,
    )
    assert plan.order(mixed).order == ordered.order


@pytest.mark.parametrize(
    ("a", "b", "kilometres"),
    [
        ((0.0, 0.0), (0.0, 0.0), 0),
        ((0.0, 0.0), (0.0, 180.0), 20015),
        ((90.0, 0.0), (-90.0, 0.0), 20015),
        ((23.13, 113.26), (39.90, 116.40), 1889),
        ((50.11, 8.68), (45.52, -122.68), 8394),
        ((0.0, 179.0), (0.0, -179.0), 222),
    ],
)
def test_directions_are_as_far_apart_as_great_circles_say(
    a: tuple[float, float], b: tuple[float, float], kilometres: float
) -> None:
    straight = dist(direction(a), direction(b))
    assert 2 * EARTH_KM * asin(min(1, straight / 2)) == pytest.approx(kilometres, rel=0.01, abs=1)


def test_an_order_by_distance_is_that_of_the_haversine_formula() -> None:
    chance = Random(1)
    for _ in range(500):
        here, *there = ((chance.uniform(-90, 90), chance.uniform(-180, 180)) for _ in range(9))
        expected = sorted(range(8), key=lambda i: haversine(here, there[i]))
        assert by_distance(direction(here), [direction(at) for at in there]) == expected


def haversine(a: tuple[float, float], b: tuple[float, float]) -> float:
    lat_a, lon_a, lat_b, lon_b = map(radians, (*a, *b))
    return sin((lat_b - lat_a) / 2) ** 2 + cos(lat_a) * cos(lat_b) * sin((lon_b - lon_a) / 2) ** 2


def test_regions_in_one_spot_are_taken_in_the_order_of_the_file() -> None:
    spot, other = direction((23.13, 113.26)), direction((39.9, 116.4))
    assert by_distance(direction((22.5, 114.1)), [None, spot, spot, other, spot]) == [1, 2, 4, 3, 0]


def test_weights_too_large_for_32_bits_are_scaled_and_keep_their_shares() -> None:
    """A split over regions whose sums have no common factor multiplies them: it must still fit every lane."""
    sizes = (999_983, 999_979, 999_961)
    pool = Pool(
        "p",
        "p",
        tuple(
            PoolRegion(
                f"r{i}", (Endpoint(f"e{i}", "192.0.2.1", weight=w), Endpoint(f"f{i}", "192.0.2.2", weight=1))
            )
            for i, w in enumerate(sizes)
        ),
    )
    order = (Group(tuple((f"r{i}", 1000 + i) for i in range(3))),)
    odds = decide(pool, order, Weather({}, {}), 4)
    assert sum(m.weight for m in odds.members) < 2**31
    assert all(m.weight > 0 for m in odds.members)
    for i in range(3):
        assert odds.shares()[f"r{i}"] == pytest.approx((1000 + i) / 3003, rel=1e-5)


def test_a_region_unknown_to_geography_comes_last() -> None:
    regions = (Region("nowhere"), Region("far", at=(0.0, 90.0)), Region("near", at=(0.0, 1.0)))
    assert [r.id for r in sort_by_distance(regions, Place(at=(0.0, 0.0)))] == ["near", "far", "nowhere"]
