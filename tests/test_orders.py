"""From a place to an order of preference: held against a slow reading of DESIGN §3 word for word."""

from __future__ import annotations

from math import acos, asin, cos, dist, radians, sin
from random import Random

import core_worlds as worlds
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geodns.core.place import Place, matches
from geodns.core.steer.orders import Plan, by_distance, direction, sort_by_distance
from geodns.model import AnyRegion, Nearest, Region, Split

STEADY = settings(deadline=None, derandomize=True, max_examples=120)
seeds = st.integers(0, 2**32 - 1)

EARTH_KM = 6371.0


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


def test_a_region_unknown_to_geography_comes_last() -> None:
    regions = (Region("nowhere"), Region("far", at=(0.0, 90.0)), Region("near", at=(0.0, 1.0)))
    assert [r.id for r in sort_by_distance(regions, Place(at=(0.0, 0.0)))] == ["near", "far", "nowhere"]
