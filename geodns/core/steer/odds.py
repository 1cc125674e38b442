"""From an order of preference to odds: which endpoints may be told, with which weights, and why.

The first group with an available region serves. Five stages, each only when the one before finds nothing:
`available` (healthy endpoints reach the region's minimum), `held` (what is healthy and was held out after a
failure), `reduced` (what `minimum_healthy` withheld), `unprobed` (what was never probed too), `open`
(everything that is not paused: a wrong answer may work, no answer cannot). Whatever the stage, nobody is told
of an endpoint while a healthier one beside it is there. Below its `panic` share a pool skips them all: what
operators did not take out serves as if it were up.

A region whose weight is lowered by hand, or which sheds load, keeps that share of its clients; the group
keeps the largest share of its regions, and the next group that can serve takes the rest. Where the load of
all that serve behind the first group is known they take it together, by what each can bear beside.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from math import gcd, lcm
from typing import NamedTuple

from geodns.core.health import Health, Verdict
from geodns.core.overrides import WHOLE
from geodns.core.steer.conditions import Conditions, Heedless, Site, deciding_family, needs, value_of
from geodns.core.steer.orders import Group, Order
from geodns.core.steer.strength import panics
from geodns.model import AllDown, Endpoint, Pool, PoolRegion

MAX_TOTAL = 2**31 - 1  # a total of weights fits 32 bits in every lane


class Stage(StrEnum):
    AVAILABLE = "available"
    HELD = "held"
    REDUCED = "reduced"
    UNPROBED = "unprobed"
    OPEN = "open"
    BACKUP = "backup"
    NODATA = "nodata"
    PANIC = "panic"
    PAUSED = "paused"


# At each stage, whose turn it is: the healthier first. The family asked may be in better health than the
# family that decided the stage.
_TURNS = {
    Stage.AVAILABLE: (Stage.AVAILABLE,),
    Stage.HELD: (Stage.AVAILABLE, Stage.HELD),
    Stage.REDUCED: (Stage.REDUCED,),
    Stage.UNPROBED: (Stage.REDUCED, Stage.UNPROBED),
    Stage.OPEN: (Stage.REDUCED, Stage.UNPROBED, Stage.OPEN),
}


@dataclass(frozen=True, slots=True)
class Member:
    """One possible answer: an endpoint's address of the family (or its target) and its integer weight."""

    region: str
    name: str
    value: str | bytes
    weight: int


@dataclass(frozen=True, slots=True)
class Looked:
    """What became of a region: `dropped` is empty where it serves, with `share` percent of its clients."""

    region: str
    group: int
    healthy: int
    total: int
    needed: int
    dropped: str
    share: int = WHOLE


@dataclass(frozen=True, slots=True)
class Odds:
    """The weighted answers a decision allows, before chance picks one. No members: NODATA.

    `change_at`: the earliest Unix second at which the odds may differ (a verdict in doubt, the end of an
    override); 0 where nothing is in sight. `group`: the index of the first group in the order that served, or
    -1. `split`: the regions among which clients are divided, with their shares; empty for one region, and
    for `any`.
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


class _Part(NamedTuple):
    """A group that serves `share` percent of the clients whom the ones before it left."""

    number: int
    group: Group
    chosen: list[tuple[Site, int]]
    share: int


@dataclass(frozen=True, slots=True)
class Outlook:
    """What all decisions of a pool share: whether it fails open below its `panic` share, and when that may
    change (Unix seconds; 0: nothing is in sight).
    """

    panic: bool = False
    change_at: int = 0


CALM = Outlook()


def outlook_of(pool: Pool, conditions: Conditions) -> Outlook:
    """Worth keeping for all decisions under the same conditions: every endpoint is looked at."""
    if pool.panic is None:
        return CALM
    sites = {region.region: Site.of(pool, region, conditions) for region in pool.regions}
    everybody = Group(tuple((region, 1) for region in sites))
    return Outlook(panics(pool, conditions), _change_at((everybody,), sites))


def decide(
    pool: Pool, order: Order, conditions: Conditions, family: int, outlook: Outlook | None = None
) -> Odds:
    """The odds of one answer set. `family` is 4, 6, or 0 for a pool of targets. `outlook` is `outlook_of` the
    pool under these conditions, where it is known already.
    """
    if outlook is None:
        outlook = outlook_of(pool, conditions)
    if not outlook.panic:
        odds = _decide(pool, order, conditions, family)
        return replace(odds, change_at=outlook.change_at) if outlook.change_at else odds
    odds = _decide(pool, order, Heedless(conditions), family)
    stage = Stage.PANIC if odds.stage is Stage.AVAILABLE else odds.stage
    return replace(odds, stage=stage, change_at=outlook.change_at)


def _decide(pool: Pool, order: Order, conditions: Conditions, family: int) -> Odds:
    sites = {region.region: Site.of(pool, region, conditions) for region in pool.regions}
    looked: list[Looked] = []
    if all(sites[region].paused for group in order for region, _ in group.shares):
        return Odds((), Stage.PAUSED, -1, _change_at(order, sites))
    for stage in _stages(pool):
        looked.clear()
        parts: list[_Part] = []
        decisive = order
        if stage is not Stage.AVAILABLE:  # nothing is shed onto a makeshift
            sites = {region: replace(site, gauge=None) for region, site in sites.items()}
        for index, group in enumerate(order):
            rest = _rest(order, sites, looked) if index == 1 else None
            if rest is not None:
                parts.append(rest)
                break
            chosen = _serving(group, index, sites, stage, looked)
            if chosen:
                parts.append(_Part(index, group, chosen, max(site.share for site, _ in chosen)))
                if parts[-1].share == WHOLE:
                    # Who comes back further down the order changes an answer only where that is a makeshift.
                    decisive = order[: index + 1] if stage is Stage.AVAILABLE else order
                    break
        if parts:
            members, split = _told(parts, stage, family)
            return Odds(members, stage, parts[0].number, _change_at(decisive, sites), tuple(looked), split)
    change_at = _change_at(order, sites)
    if pool.when_all_down is AllDown.BACKUP:
        wanted = [a for a in pool.backup if (":" in a) == (family == 6)]
        backup = tuple(Member("", a, a, 1) for a in wanted)
        return Odds(backup, Stage.BACKUP, -1, change_at, tuple(looked))
    return Odds((), Stage.NODATA, -1, change_at, tuple(looked))


def _stages(pool: Pool) -> tuple[Stage, ...]:
    if pool.when_all_down is AllDown.SERVE:
        return (Stage.AVAILABLE, Stage.HELD, Stage.REDUCED, Stage.UNPROBED, Stage.OPEN)
    return (Stage.AVAILABLE, Stage.HELD)


def _serving(
    group: Group, index: int, sites: Mapping[str, Site], stage: Stage, looked: list[Looked]
) -> list[tuple[Site, int]]:
    chosen: list[tuple[Site, int]] = []
    for region_id, share in group.shares:
        site = sites[region_id]
        seen = _look(site, index, stage)
        looked.append(seen)
        if not seen.dropped:
            chosen.append((site, share))
    return chosen


def _rest(order: Order, sites: Mapping[str, Site], looked: list[Looked]) -> _Part | None:
    """All that serve behind the first group as one, by what each can bear beside; by capacity where nobody
    can bear more. None where that is not known of one of them.
    """
    seen: list[Looked] = []
    chosen = [
        site
        for index, group in enumerate(order[1:], 1)
        for site, _ in _serving(group, index, sites, Stage.AVAILABLE, seen)
    ]
    gauges = [site.gauge for site in chosen if site.gauge is not None]
    if not chosen or len(gauges) < len(chosen):
        return None
    spare = [gauge.spare for gauge in gauges]
    if not any(spare):
        spare = [gauge.capacity for gauge in gauges]
    full = {site.here.region for site, units in zip(chosen, spare, strict=True) if not units}
    looked += [replace(one, dropped="no capacity to spare") if one.region in full else one for one in seen]
    shares = [
        (replace(site, gauge=None), max(1, WHOLE * units // sum(spare)))  # it sheds nothing of what is left
        for site, units in zip(chosen, spare, strict=True)
        if units
    ]
    return _Part(1, Group(()), shares, WHOLE)


def available(pool: Pool, region: PoolRegion, conditions: Conditions) -> bool:
    """Whether a pool's region may serve: not paused, and enough of its endpoints healthy.

    One that is held may, where nothing else does.
    """
    return not _look(Site.of(pool, region, conditions), 0, Stage.HELD).dropped


def sound(pool: Pool, region: PoolRegion, conditions: Conditions) -> bool:
    """Whether enough of a region's endpoints are healthy, paused or not."""
    looked = _look(Site.of(pool, region, conditions), 0, Stage.HELD)
    return looked.healthy >= looked.needed


def failing_open(pool: Pool, conditions: Conditions) -> bool:
    """Whether clients are told of what is not known to be healthy: nothing is, or too little for `panic`."""
    if pool.when_all_down is not AllDown.SERVE or all(_is_paused(pool, r, conditions) for r in pool.regions):
        return False
    return panics(pool, conditions) or not any(available(pool, r, conditions) for r in pool.regions)


def _is_paused(pool: Pool, region: PoolRegion, conditions: Conditions) -> bool:
    return Site.of(pool, region, conditions).paused


def _look(site: Site, index: int, stage: Stage) -> Looked:
    here = site.here
    family = deciding_family(here)
    able = [e for e in here.endpoints if value_of(e, family) is not None]
    healthy = sum(_may(site, e, stage) and fit(site.health(e, family), stage) for e in able)
    needed = needs(here.minimum_healthy, len(able)) if stage in (Stage.AVAILABLE, Stage.HELD) else 1
    dropped = ""
    if site.paused:
        dropped = "paused"
    elif healthy < needed:
        dropped = f"{healthy} of {len(able)} healthy, needs {needed}"
    elif stage is Stage.AVAILABLE and site.setting.hold is not None:
        dropped = f"held out: {site.setting.hold.reason}"
    return Looked(here.region, index, healthy, len(able), needed, dropped, site.share)


def _may(site: Site, endpoint: Endpoint, stage: Stage) -> bool:
    """Whether what operators set lets an endpoint serve at a stage."""
    return site.is_open(endpoint) and (stage is not Stage.AVAILABLE or site.is_free(endpoint))


def fit(health: Health, stage: Stage) -> bool:
    """Whether an endpoint of this health may serve at this stage."""
    match stage:
        case Stage.AVAILABLE | Stage.HELD | Stage.REDUCED:
            return health.verdict is Verdict.UP
        case Stage.UNPROBED:
            return health.verdict is not Verdict.DOWN
        case _:
            return True


_Able = list[tuple[Site, int, list[tuple[Endpoint, int]]]]
_Weighed = list[tuple[Site, Endpoint, int]]


def _told(
    parts: list[_Part], stage: Stage, family: int
) -> tuple[tuple[Member, ...], tuple[tuple[str, int], ...]]:
    """The members of all groups that serve, and the split."""
    able = _able(parts, stage, family)
    weighed = [_weigh(each, by_weight=part.group.by_weight) for part, each in zip(parts, able, strict=True)]
    if len(parts) == 1:
        whole = parts[0].group.by_weight or len(able[0]) < 2
        split = () if whole else tuple((site.here.region, share) for site, share, _ in able[0])
        return _members(weighed[0], family), split
    members = _members(_blend(weighed, [part.share for part in parts]), family)
    return members, _by_region(members)


def _able(parts: list[_Part], stage: Stage, family: int) -> list[_Able]:
    """The regions that have something to tell in the family, with their shares and serving endpoints."""
    for turn in _TURNS[stage]:
        able = [_having(part.chosen, turn, family) for part in parts]
        if any(able):
            return able
    return [[] for _ in parts]


def _having(chosen: list[tuple[Site, int]], turn: Stage, family: int) -> _Able:
    unit = WHOLE if all(site.share == WHOLE for site, _ in chosen) else 1
    by_region = [(site, share, _tier(site, turn, family)) for site, share in chosen]
    return [(s, share * s.share // unit, serving) for s, share, serving in by_region if serving]


def _weigh(able: _Able, *, by_weight: bool) -> _Weighed:
    if by_weight:
        able = [(s, share, serving) for s, share, serving in able if any(w for _, w in serving)] or able
    able = [(s, share, [(e, w or 1) for e, w in serving]) for s, share, serving in able]
    if len(able) == 1:
        return [(site, e, w) for site, _, serving in able for e, w in serving]
    if by_weight:
        return [(site, e, w * site.share) for site, _, serving in able for e, w in serving]
    sums = [sum(w for _, w in serving) for _, _, serving in able]
    common = lcm(*sums) if sums else 1
    return [
        (site, e, w * share * (common // total))
        for (site, share, serving), total in zip(able, sums, strict=True)
        for e, w in serving
    ]


def _blend(weighed: list[_Weighed], shares: list[int]) -> _Weighed:
    """Groups behind one another, each with its share of what is left; who has nothing to tell has none."""
    found: _Weighed = []
    left = 1
    for group, share in zip(weighed, shares, strict=True):
        total = sum(w for _, _, w in group)
        if total:
            found = [(site, e, w * total * WHOLE) for site, e, w in found]
            found += [(site, e, w * left * share) for site, e, w in group]
            left *= total * (WHOLE - share)
    return found


def _members(weighed: _Weighed, family: int) -> tuple[Member, ...]:
    weights = _reduce([w for _, _, w in weighed])
    return tuple(
        Member(site.here.region, e.name, value, weight)
        for (site, e, _), weight in zip(weighed, weights, strict=True)
        if (value := value_of(e, family)) is not None
    )


def _by_region(members: tuple[Member, ...]) -> tuple[tuple[str, int], ...]:
    found: dict[str, int] = {}
    for member in members:
        found[member.region] = found.get(member.region, 0) + member.weight
    return tuple(found.items()) if len(found) > 1 else ()


def _tier(site: Site, stage: Stage, family: int) -> list[tuple[Endpoint, int]]:
    """The lowest tier's healthy endpoints and their weights; those of weight 0 only where they are alone."""
    healthy = [
        e
        for e in site.here.endpoints
        if value_of(e, family) is not None and _may(site, e, stage) and fit(site.health(e, family), stage)
    ]
    if not healthy:
        return []
    lowest = min(e.tier for e in healthy)
    weighed = [(e, site.weight(e) * site.kept(e)) for e in healthy if e.tier == lowest]
    return [(e, w) for e, w in weighed if w > 0] or weighed


def _reduce(weights: list[int]) -> list[int]:
    divisor = gcd(*weights) if weights else 1
    small = [w // divisor for w in weights]
    total = sum(small)
    return small if total <= MAX_TOTAL else [max(1, w * (MAX_TOTAL - len(small)) // total) for w in small]


def _change_at(groups: Iterable[Group], sites: Mapping[str, Site]) -> int:
    """The earliest moment at which a region of these groups may come, go or change."""
    moments: list[float] = []
    for group in groups:
        for region_id, _ in group.shares:
            site = sites[region_id]
            moments.extend(site.moments())
            if site.paused:
                continue
            for endpoint in site.here.endpoints:
                for family in (0, 4, 6):
                    if value_of(endpoint, family) is not None and site.is_open(endpoint):
                        moments.append(site.health(endpoint, family).doubt_until)
    return min((int(m) for m in moments if m), default=0)
