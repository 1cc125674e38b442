"""From an order of preference to odds: which endpoints may be told, with which weights, and why.

The first group with an available region serves. Four stages, each only when the one before finds nothing:
`available` (healthy endpoints reach the region's minimum), `reduced` (what `minimum_healthy` withheld),
`unprobed` (what was never probed too), `open` (everything that is not paused: a wrong answer may work, no
answer cannot). Whatever the stage, nobody is told of an endpoint while a healthier one beside it is there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import gcd, lcm
from typing import Protocol

from geodns.core.health import Health, Verdict
from geodns.core.steer.orders import Group, Order
from geodns.core.world import ALWAYS_UP, Override
from geodns.model import AllDown, Endpoint, Minimum, Pool, PoolRegion

MAX_TOTAL = 2**31 - 1  # a total of weights fits 32 bits in every lane


class Stage(StrEnum):
    AVAILABLE = "available"
    REDUCED = "reduced"
    UNPROBED = "unprobed"
    OPEN = "open"
    BACKUP = "backup"
    NODATA = "nodata"
    PAUSED = "paused"


# At each stage, whose turn it is: the healthier first. The family asked may be in better health than the
# family that decided the stage.
_TURNS = {
    Stage.AVAILABLE: (Stage.AVAILABLE,),
    Stage.REDUCED: (Stage.REDUCED,),
    Stage.UNPROBED: (Stage.REDUCED, Stage.UNPROBED),
    Stage.OPEN: (Stage.REDUCED, Stage.UNPROBED, Stage.OPEN),
}


class Conditions(Protocol):
    """What a decision asks of the world."""

    def health_of(self, endpoint: Endpoint, family: int) -> Health: ...

    def paused(self, region: str) -> Override | None: ...


class AllUp:
    """Conditions under which nothing is down and nothing paused: what depends on the files alone."""

    def health_of(self, endpoint: Endpoint, family: int) -> Health:
        return ALWAYS_UP

    def paused(self, region: str) -> Override | None:
        return None


@dataclass(frozen=True, slots=True)
class Member:
    """One possible answer: an endpoint's address of the family (or its target) and its integer weight."""

    region: str
    name: str
    value: str | bytes
    weight: int


@dataclass(frozen=True, slots=True)
class Looked:
    """What became of a region: `dropped` is empty where it serves."""

    region: str
    group: int
    healthy: int
    total: int
    needed: int
    dropped: str


@dataclass(frozen=True, slots=True)
class Odds:
    """The weighted answers a decision allows, before chance picks one. No members: NODATA.

    `change_at`: the earliest Unix second at which the odds may differ (a verdict in doubt, the end of a
    pause); 0 where nothing is in sight. `group`: the index in the order that served, or -1. `split`: the
    regions among which a split divides the clients, with their shares; empty for one region, and for `any`.
    """

    members: tuple[Member, ...]
    stage: Stage
    group: int
    change_at: int
    looked: tuple[Looked, ...] = ()
    split: tuple[tuple[str, int], ...] = ()

    def shares(self) -> Mapping[str, float]:
        """The share of answers that each region gets; they add up to 1 unless there are no members."""
        total = sum(m.weight for m in self.members)
        found: dict[str, float] = {}
        for member in self.members:
            found[member.region] = found.get(member.region, 0.0) + member.weight / total
        return found


def decide(pool: Pool, order: Order, conditions: Conditions, family: int) -> Odds:
    """The odds of one answer set. `family` is 4, 6, or 0 for a pool of targets."""
    present = {region.region: region for region in pool.regions}
    open_regions = {r for r in present if conditions.paused(r) is None}
    looked: list[Looked] = []
    if not any(region in open_regions for group in order for region, _ in group.shares):
        return _nothing(Stage.PAUSED, pool, order, conditions, looked)
    for stage in _stages(pool):
        looked.clear()
        for index, group in enumerate(order):
            chosen = _serving(group, index, present, conditions, stage, looked)
            if chosen:
                able = _able(chosen, conditions, stage, family)
                # Who comes back further down the order changes an answer only where that is a makeshift.
                decisive = order[: index + 1] if stage is Stage.AVAILABLE else order
                return Odds(
                    _members(able, family, by_weight=group.by_weight),
                    stage,
                    index,
                    _change_at(decisive, present, conditions),
                    tuple(looked),
                    () if group.by_weight or len(able) < 2 else tuple((r.region, s) for r, s, _ in able),
                )
    if pool.when_all_down is AllDown.BACKUP:
        return _backup(pool, order, conditions, family, looked)
    return _nothing(Stage.NODATA, pool, order, conditions, looked)


def _stages(pool: Pool) -> tuple[Stage, ...]:
    if pool.when_all_down is AllDown.SERVE:
        return (Stage.AVAILABLE, Stage.REDUCED, Stage.UNPROBED, Stage.OPEN)
    return (Stage.AVAILABLE,)


def _nothing(stage: Stage, pool: Pool, order: Order, conditions: Conditions, looked: list[Looked]) -> Odds:
    present = {region.region: region for region in pool.regions}
    return Odds((), stage, -1, _change_at(order, present, conditions), tuple(looked))


def _backup(pool: Pool, order: Order, conditions: Conditions, family: int, looked: list[Looked]) -> Odds:
    wanted = [a for a in pool.backup if (":" in a) == (family == 6)]
    members = tuple(Member("", a, a, 1) for a in wanted)
    present = {region.region: region for region in pool.regions}
    return Odds(members, Stage.BACKUP, -1, _change_at(order, present, conditions), tuple(looked))


def _serving(
    group: Group,
    index: int,
    present: Mapping[str, PoolRegion],
    conditions: Conditions,
    stage: Stage,
    looked: list[Looked],
) -> list[tuple[PoolRegion, int]]:
    chosen: list[tuple[PoolRegion, int]] = []
    for region_id, share in group.shares:
        region = present[region_id]
        seen = _look(region, index, conditions, stage)
        looked.append(seen)
        if not seen.dropped:
            chosen.append((region, share))
    return chosen


def available(region: PoolRegion, conditions: Conditions) -> bool:
    """Whether a region may serve: not paused, and enough of its endpoints healthy."""
    return not _look(region, 0, conditions, Stage.AVAILABLE).dropped


def deciding_family(region: PoolRegion) -> int:
    """Whose health decides whether a region is available: IPv4 where it has any, else IPv6; 0 for targets."""
    if any(e.target is not None for e in region.endpoints):
        return 0
    return 4 if any(e.ipv4 is not None for e in region.endpoints) else 6


def value_of(endpoint: Endpoint, family: int) -> str | bytes | None:
    """What is told of an endpoint: its address of a family, or its target's wire name (family 0)."""
    return endpoint.target if family == 0 else endpoint.ipv4 if family == 4 else endpoint.ipv6


def _look(region: PoolRegion, index: int, conditions: Conditions, stage: Stage) -> Looked:
    family = deciding_family(region)
    able = [e for e in region.endpoints if value_of(e, family) is not None]
    healthy = sum(fit(conditions.health_of(e, family), stage) for e in able)
    needed = needs(region.minimum_healthy, len(able)) if stage is Stage.AVAILABLE else 1
    paused = conditions.paused(region.region)
    dropped = (
        "paused"
        if paused
        else f"{healthy} of {len(able)} healthy, needs {needed}"
        if healthy < needed
        else ""
    )
    return Looked(region.region, index, healthy, len(able), needed, dropped)


def needs(minimum: Minimum, total: int) -> int:
    """How many of `total` endpoints must be healthy; at least one."""
    if minimum.percent is None:
        return max(1, minimum.count)
    return max(1, -(-total * minimum.percent // 100))


def fit(health: Health, stage: Stage) -> bool:
    """Whether an endpoint of this health may serve at this stage."""
    match stage:
        case Stage.AVAILABLE | Stage.REDUCED:
            return health.verdict is Verdict.UP
        case Stage.UNPROBED:
            return health.verdict is not Verdict.DOWN
        case _:
            return True


_Able = list[tuple[PoolRegion, int, list[tuple[Endpoint, int]]]]


def _able(chosen: list[tuple[PoolRegion, int]], conditions: Conditions, stage: Stage, family: int) -> _Able:
    """The regions that have something to tell in the family, with their shares and serving endpoints."""
    for turn in _TURNS[stage]:
        by_region = [(region, share, _tier(region, conditions, turn, family)) for region, share in chosen]
        able = [(region, share, serving) for region, share, serving in by_region if serving]
        if able:
            return able
    return []


def _members(able: _Able, family: int, *, by_weight: bool) -> tuple[Member, ...]:
    if by_weight:
        able = [(r, s, serving) for r, s, serving in able if any(w for _, w in serving)] or able
    able = [(r, s, [(e, w or 1) for e, w in serving]) for r, s, serving in able]
    if by_weight or len(able) == 1:
        parts = [(region, e, w) for region, _, serving in able for e, w in serving]
    else:
        sums = [sum(w for _, w in serving) for _, _, serving in able]
        common = lcm(*sums) if sums else 1
        parts = [
            (region, e, w * share * (common // total))
            for (region, share, serving), total in zip(able, sums, strict=True)
            for e, w in serving
        ]
    weights = _reduce([w for _, _, w in parts])
    return tuple(
        Member(region.region, e.name, value, weight)
        for (region, e, _), weight in zip(parts, weights, strict=True)
        if (value := value_of(e, family)) is not None
    )


def _tier(
    region: PoolRegion, conditions: Conditions, stage: Stage, family: int
) -> list[tuple[Endpoint, int]]:
    """The lowest tier's healthy endpoints and their weights; those of weight 0 only where they are alone."""
    healthy = [
        e
        for e in region.endpoints
        if value_of(e, family) is not None and fit(conditions.health_of(e, family), stage)
    ]
    if not healthy:
        return []
    lowest = min(e.tier for e in healthy)
    tier = [e for e in healthy if e.tier == lowest]
    weighted = [(e, e.weight) for e in tier if e.weight > 0]
    return weighted or [(e, 0) for e in tier]


def _reduce(weights: list[int]) -> list[int]:
    divisor = gcd(*weights) if weights else 1
    small = [w // divisor for w in weights]
    total = sum(small)
    return small if total <= MAX_TOTAL else [max(1, w * (MAX_TOTAL - len(small)) // total) for w in small]


def _change_at(groups: Iterable[Group], present: Mapping[str, PoolRegion], conditions: Conditions) -> int:
    """The earliest moment at which a region of these groups may come, go or change."""
    moments: list[float] = []
    for group in groups:
        for region_id, _ in group.shares:
            paused = conditions.paused(region_id)
            if paused is not None:
                moments.append(paused.until or 0.0)
                continue
            for endpoint in present[region_id].endpoints:
                for family in (0, 4, 6):
                    if value_of(endpoint, family) is not None:
                        moments.append(conditions.health_of(endpoint, family).doubt_until)
    return min((int(m) for m in moments if m), default=0)
