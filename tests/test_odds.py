"""From an order to odds: held against a slow reading of DESIGN §4 word for word."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from random import Random

import core_worlds as worlds
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geodns.core.health import Health, Verdict
from geodns.core.loads import Gauge
from geodns.core.overrides import (
    DRAIN,
    FORCE,
    HOLD,
    PAUSE,
    RAMP,
    WEIGHT,
    Override,
    Setting,
    setting_in,
    settings_of,
)
from geodns.core.steer.odds import Odds, Stage, decide
from geodns.core.steer.orders import Group, Order
from geodns.model import AllDown, Endpoint, Pool, PoolRegion

STEADY = settings(deadline=None, derandomize=True, max_examples=120)
seeds = st.integers(0, 2**32 - 1)

UP, DOWN, UNKNOWN = Verdict.UP, Verdict.DOWN, Verdict.UNKNOWN


@dataclass
class Weather:
    """Conditions by (endpoint name, family), up where nothing is said; what is set by hand."""

    health: dict[tuple[str, int], Health]
    overrides: list[Override]
    gauges: dict[str, Gauge] = field(default_factory=dict)

    def health_of(self, endpoint: Endpoint, family: int) -> Health:
        if endpoint.check is None:
            return Health(UP)
        return self.health.get((endpoint.name, family), Health(UP))

    def setting(self, pool: str, region: str) -> Setting:
        return setting_in(settings_of({(o.kind, o.subject): o for o in self.overrides}), pool, region)

    def gauge(self, pool: str, region: str) -> Gauge | None:
        return self.gauges.get(region)

    def on(self, kind: str, *subjects: str) -> int | None:
        """The value of the override on the first of these subjects that has one."""
        found = {o.subject: o.value for o in self.overrides if o.kind == kind}
        return next((found[subject] for subject in subjects if subject in found), None)

    def is_open(self, region: str, endpoint: Endpoint) -> bool:
        inside = region, f"{region}:p", f"{region}:p:{endpoint.name}"
        drained = [o for o in self.overrides if o.kind == DRAIN and o.subject in inside and not o.value]
        return self.on(PAUSE, *inside) is None and not drained

    def is_free(self, region: str, endpoint: Endpoint | None = None) -> bool:
        """Whether an endpoint, or a region, is not held out."""
        inside = (f"{region}:p:{endpoint.name}",) if endpoint else (f"{region}:p", region)
        return self.on(HOLD, *inside) is None

    def closed(self, region: PoolRegion) -> bool:
        return not any(self.is_open(region.region, e) for e in deciders(region)[1])

    def verdict(self, region: str, endpoint: Endpoint, family: int) -> Verdict:
        forced = self.on(FORCE, f"{region}:p:{endpoint.name}", f"{region}:p", region)
        if forced is not None:
            return UP if forced else DOWN
        return self.health_of(endpoint, family).verdict

    def weight(self, region: str, endpoint: Endpoint) -> int:
        """In hundredths, so that what drains and ramps leave of it is a number."""
        own = self.on(WEIGHT, f"{region}:p:{endpoint.name}")
        return (endpoint.weight if own is None else own) * self.left(f"{region}:p:{endpoint.name}")

    def left(self, subject: str) -> int:
        """The percent that a drain and a ramp of a subject leave."""
        drained, ramped = (self.on(kind, subject) for kind in (DRAIN, RAMP))
        return (100 if drained is None else drained) * (100 if ramped is None else ramped) // 100

    def share(self, region: str) -> Fraction:
        """How much of its clients a region keeps."""
        set_ = self.on(WEIGHT, f"{region}:p", region)
        percent = 100 if set_ is None else set_
        for subject in (region, f"{region}:p"):
            percent = max(1, percent * self.left(subject) // 100)
        if region in self.gauges:
            percent = max(1, percent * self.gauges[region].keep // 100)
        return Fraction(percent, 100)


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
    count = chance.choice((0, 0, 1, 2, 5, 9))
    family = 0 if pool.targets else chance.choice((4, 6))
    overrides = [worlds.override({"p": pool}, chance, 1000) for _ in range(count)]
    unique = {(o.kind, o.subject): o for o in overrides}
    known = chance.choice((0.0, 0.0, 0.7, 1.0))
    gauges = {
        r.region: Gauge(
            chance.choice((10, 100, 1000)), chance.randrange(0, 110, 5), chance.choice((100, 85)), 0
        )
        for r in pool.regions
        if chance.random() < known
    }
    return Scene(pool, tuple(groups), Weather(health, [*unique.values()], gauges), family)


def gauge(chance: Random) -> Gauge:
    return Gauge(chance.choice((10, 100, 1000)), chance.randrange(0, 110, 5), chance.choice((100, 85)), 0.0)


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

    def healthy(self, region: PoolRegion, allowed: set[Verdict], *, free: bool = False) -> int:
        family, able = deciders(region)
        return sum(
            self.weather.is_open(region.region, e)
            and (not free or self.weather.is_free(region.region, e))
            and self.weather.verdict(region.region, e, family) in allowed
            for e in able
        )

    def available(self, region: PoolRegion, *, free: bool) -> bool:
        minimum = region.minimum_healthy
        _, able = deciders(region)
        needed: Fraction | int = minimum.count
        if minimum.percent is not None:
            needed = Fraction(len(able) * minimum.percent, 100)
        there = not free or self.weather.is_free(region.region)
        return there and self.healthy(region, {UP}, free=free) >= max(1, needed)

    def panics(self) -> bool:
        """Whether less of what no operator took out is healthy than the pool asks for."""
        if self.pool.panic is None:
            return False
        by_capacity = all(region.capacity for region in self.pool.regions)
        healthy, left = Fraction(0), Fraction(0)
        for region in self.pool.regions:
            here, (family, able) = region.region, deciders(region)
            mine = [
                e
                for e in able
                if self.weather.is_open(here, e)
                and self.weather.on(FORCE, f"{here}:p:{e.name}", f"{here}:p", here) != 0
            ]
            free = [e for e in mine if self.weather.is_free(here, e)]
            well = [e for e in free if self.weather.verdict(here, e, family) is UP]
            well = well if self.available(region, free=True) else []
            lowest = min(e.tier for e in well or mine or able)
            whole = sum(e.weight for e in able if e.tier == lowest)
            one = {e.name: e.weight if whole else 1 for e in able if e.tier == lowest}
            size = Fraction(region.capacity or 0, sum(one.values())) if by_capacity else 1
            healthy += sum(one.get(e.name, 0) for e in well) * size
            left += sum(one.get(e.name, 0) for e in mine) * size
        return healthy < left * self.pool.panic / 100

    def shares(self) -> dict[str, Fraction]:
        """Each possible answer's share; nothing for NODATA."""
        if self.panics():
            calm = Weather({}, [o for o in self.weather.overrides if o.kind != HOLD])
            pool = replace(self.pool, panic=None)
            return Oracle(Scene(pool, self.order, calm, self.family)).shares()
        regions = {region.region: region for region in self.pool.regions}
        steps = [[(regions[r], share) for r, share in group.shares] for group in self.order]
        open_ = [[(r, s) for r, s in step if not self.weather.closed(r)] for step in steps]
        if not any(open_):
            return {}
        for free in (True, False):
            serving = [[(r, s) for r, s in step if self.available(r, free=free)] for step in open_]
            if any(serving):
                return self.one_by_one(serving, [({UP}, True), ({UP}, False)][: 2 - free])
            self.weather = replace(self.weather, gauges={})
        if self.pool.when_all_down is AllDown.NODATA:
            return {}
        if self.pool.when_all_down is AllDown.BACKUP:
            wanted = [a for a in self.pool.backup if (":" in a) == (self.family == 6)]
            return {a: Fraction(1, len(wanted)) for a in wanted}
        circles = [{UP}, {UP, UNKNOWN}, {UP, UNKNOWN, DOWN}]
        for number, allowed in enumerate(circles):
            serving = [[(r, s) for r, s in step if self.healthy(r, allowed)] for step in open_]
            if any(serving):
                return self.one_by_one(serving, [(circle, False) for circle in circles[: number + 1]])
        raise AssertionError("failing open always finds somebody")

    def one_by_one(
        self, steps: list[list[tuple[PoolRegion, int]]], circles: list[tuple[set[Verdict], bool]]
    ) -> dict[str, Fraction]:
        """Each step keeps the largest share of its regions, the next one gets what is left; of the healthiest
        circle that has anybody.
        """
        for allowed, free in circles:
            found: dict[str, Fraction] = {}
            left = Fraction(1)
            for number, (step, group) in enumerate(zip(steps, self.order, strict=True)):
                behind = self.spare([r.region for step in steps[1:] for r, _ in step])
                if number == 1 and behind:
                    by_id = {r.region: r for r in self.pool.regions}
                    calm = Oracle(Scene(self.pool, self.order, replace(self.weather, gauges={}), self.family))
                    told = calm.tell([(by_id[r], share) for r, share in behind.items()], False, allowed, free)
                    found |= {value_: share * left for value_, share in told.items()}
                    break
                kept = max((self.weather.share(r.region) for r, _ in step), default=Fraction(0))
                told = self.tell(step, group.by_weight, allowed, free)
                found |= {value_: share * left * kept for value_, share in told.items()}
                left *= 1 - kept if told else 1
                if kept == 1:
                    break
            if found:
                return {value_: share / sum(found.values()) for value_, share in found.items()}
        return {}

    def spare(self, regions: list[str]) -> dict[str, int]:
        """Percent of what all together can bear beside; nothing where that of one of them is not known."""
        gauges = [self.weather.gauges.get(region) for region in regions]
        known = [gauge for gauge in gauges if gauge is not None]
        if len(known) < len(gauges):
            return {}
        units = [gauge.capacity * max(0, 100 - gauge.used) for gauge in known]
        units = units if any(units) else [gauge.capacity for gauge in known]
        return {r: max(1, 100 * u // sum(units)) for r, u in zip(regions, units, strict=True) if u}

    def tell(
        self, regions: list[tuple[PoolRegion, int]], by_weight: bool, allowed: set[Verdict], free: bool
    ) -> dict[str, Fraction]:
        """The lowest tiers of the regions, in the family asked."""
        told: Told = {}
        for region, share in regions:
            here = region.region
            able = [
                e
                for e in region.endpoints
                if answers(e, self.family)
                and self.weather.is_open(here, e)
                and (not free or self.weather.is_free(here, e))
                and self.weather.verdict(here, e, self.family) in allowed
            ]
            lowest = [e for e in able if e.tier == min(x.tier for x in able)]
            lowest = [replace(e, weight=self.weather.weight(here, e)) for e in lowest]
            weighty = [e for e in lowest if e.weight] or lowest
            if weighty:
                told[here] = (share * self.weather.share(here), weighty)
        if not told:
            return {}
        return self.by_weights(told) if by_weight else by_shares(told, self.family)

    def by_weights(self, told: Told) -> dict[str, Fraction]:
        everybody = [(r, e) for r, (_, endpoints) in told.items() for e in endpoints]
        everybody = [(r, e) for r, e in everybody if e.weight] or everybody
        weights = {value(e, self.family): (e.weight or 1) * self.weather.share(r) for r, e in everybody}
        total = sum(weights.values())
        return {value_: weight / total for value_, weight in weights.items()}


Told = dict[str, tuple[Fraction, list[Endpoint]]]


def value(endpoint: Endpoint, family: int) -> str:
    return str(endpoint.target if family == 0 else endpoint.ipv4 if family == 4 else endpoint.ipv6)


def by_shares(told: Told, family: int) -> dict[str, Fraction]:
    whole = sum(share for share, _ in told.values())
    return {
        value(e, family): share / whole * Fraction(e.weight or 1, sum(x.weight or 1 for x in endpoints))
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
    assert {m.region for m in odds.members} <= named
    by_name = {e.name: e for r in seen.pool.regions for e in r.endpoints}
    assert all(seen.weather.is_open(m.region, by_name[m.name]) for m in odds.members if m.region)
    assert all(m.weight > 0 for m in odds.members)


@STEADY
@given(seeds)
def test_nobody_who_is_down_is_told_while_somebody_there_is_up(seed: int) -> None:
    """In the family asked, over the regions that serve: the healthier always stand before the others."""
    seen = scene(seed)
    odds = decide(seen.pool, seen.order, seen.weather, seen.family)
    if Oracle(seen).panics():
        return
    by_name = {e.name: e for r in seen.pool.regions for e in r.endpoints}
    told = {seen.weather.verdict(m.region, by_name[m.name], seen.family) for m in odds.members if m.region}
    for member in odds.members:
        region = seen.pool.region(member.region)
        for endpoint in region.endpoints if region else ():
            able = answers(endpoint, seen.family) and seen.weather.is_open(member.region, endpoint)
            if able and seen.weather.verdict(member.region, endpoint, seen.family) is UP:
                assert told == {UP}


@STEADY
@given(seeds)
def test_no_data_only_where_the_design_says_so(seed: int) -> None:
    seen = scene(seed)
    odds = decide(seen.pool, seen.order, seen.weather, seen.family)
    if odds.members:
        return
    if odds.stage is Stage.PAUSED:
        named = {r for group in seen.order for r, _ in group.shares}
        assert all(seen.weather.closed(r) for r in seen.pool.regions if r.region in named)
    elif odds.stage is Stage.NODATA:
        assert seen.pool.when_all_down is AllDown.NODATA
    elif odds.stage is Stage.BACKUP:
        assert not any((":" in a) == (seen.family == 6) for a in seen.pool.backup)
    else:
        assert odds.stage is not Stage.PANIC or not any(
            answers(e, seen.family) and seen.weather.is_open(r.region, e)
            for r in seen.pool.regions
            for e in r.endpoints
            if r.region in {x.region for x in odds.looked if not x.dropped}
            and seen.weather.verdict(r.region, e, seen.family) is UP
        )
        serving = {looked.region for looked in odds.looked if not looked.dropped}
        for region in seen.pool.regions:
            if region.region in serving:
                here = region.region
                able = [
                    e for e in region.endpoints if answers(e, seen.family) and seen.weather.is_open(here, e)
                ]
                assert all(seen.weather.verdict(here, e, seen.family) is not UP for e in able)


@STEADY
@given(seeds)
def test_odds_change_no_sooner_than_they_say(seed: int) -> None:
    """Let every doubt before `change_at` come true, every override before it end or step: the odds stay."""
    seen = scene(seed)
    odds = decide(seen.pool, seen.order, seen.weather, seen.family)
    soonest = odds.change_at or float("inf")
    flipped = {}
    for key, health in seen.weather.health.items():
        flips = 0 < health.doubt_until < soonest
        flipped[key] = Health(DOWN if health.verdict is UP else UP) if flips else health
    left = [o for o in seen.weather.overrides if o.until is None or int(o.until) >= soonest]
    left = [
        replace(o, value=o.slope.at(o.since, soonest - 1e-6) if o.slope and soonest > 1000 else o.value)
        for o in left
    ]
    later = decide(seen.pool, seen.order, Weather(flipped, left, seen.weather.gauges), seen.family)
    assert shares_of(later) == shares_of(odds)


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
