"""The state that answers are made from: what the files say, what the probes say, what the operator set.

A world is never changed: `apply` gives the next one and the ids of the pools whose answers may differ.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import inf
from typing import NamedTuple, TypeVar

from geodns.core.health import Health, Probe, probes_of
from geodns.core.loads import Gauge, Load
from geodns.core.observations import verdict
from geodns.core.overrides import Override, Setting, Subject, setting_in, settings_of
from geodns.core.plans import Plan
from geodns.model import Endpoint, Model, Policy, Pool, Region

K = TypeVar("K")
V = TypeVar("V")


class Ttls(NamedTuple):
    """The longest TTL of a pool's names, and the longest that one is lowered to before a change; seconds."""

    longest: int = 0
    lowered: int = 0


@dataclass(frozen=True, slots=True)
class Loaded:
    """New files are in force. `steered` and `ttls`: see `World`."""

    model: Model
    steered: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    ttls: Mapping[str, Ttls] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Observed:
    """Probes whose health changed."""

    health: Mapping[Probe, Health]


@dataclass(frozen=True, slots=True)
class Overridden:
    override: Override


@dataclass(frozen=True, slots=True)
class Lifted:
    """An override is gone: by hand, or because its time came."""

    kind: str
    subject: str


@dataclass(frozen=True, slots=True)
class Planned:
    """An override will be set; what is planned twice is planned once."""

    plan: Plan


@dataclass(frozen=True, slots=True)
class Dropped:
    """A plan is gone: by hand, or because it has begun."""

    id: str


@dataclass(frozen=True, slots=True)
class Batch:
    """What operators change at once: nobody sees a world in between."""

    changes: tuple[Done, ...]


Made = Overridden | Lifted
Done = Made | Planned | Dropped


@dataclass(frozen=True, slots=True)
class Reported:
    """Loads by subject, and the gauges by (pool, region) that they come to; None: not known any more."""

    loads: Mapping[str, Load | None]
    gauges: Mapping[tuple[str, str], Gauge | None]


Event = Loaded | Observed | Done | Batch | Reported


@dataclass(frozen=True, slots=True)
class World:
    """`pools_of` tells which pools a probe decides about; it follows from the pools. `settings` is what the
    overrides, by (kind, subject), and the plans, by their id, come to, and `next_at` when time changes one
    of them (Unix seconds); both follow from them.

    `steered`: the (pool id, policy id) pairs that names are steered by, with at most three such names each.
    `ttls`: those of the names of each pool that has any. `loads` and `gauges`: see `Reported`.
    """

    regions: Mapping[str, Region] = field(default_factory=dict)
    pools: Mapping[str, Pool] = field(default_factory=dict)
    policies: Mapping[str, Policy] = field(default_factory=dict)
    health: Mapping[Probe, Health] = field(default_factory=dict)
    overrides: Mapping[tuple[str, str], Override] = field(default_factory=dict)
    plans: Mapping[str, Plan] = field(default_factory=dict)
    settings: Mapping[tuple[str, str], Setting] = field(default_factory=dict)
    pools_of: Mapping[Probe, frozenset[str]] = field(default_factory=dict)
    steered: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    ttls: Mapping[str, Ttls] = field(default_factory=dict)
    next_at: float = inf
    loads: Mapping[str, Load] = field(default_factory=dict)
    gauges: Mapping[tuple[str, str], Gauge] = field(default_factory=dict)

    def health_of(self, endpoint: Endpoint, family: int) -> Health:
        """The health that stands for an endpoint's address of a family (4, 6; 0 for a target)."""
        return verdict(endpoint, family, self.health)

    def setting(self, pool: str, region: str) -> Setting:
        """What operators set that holds for a pool's region."""
        return setting_in(self.settings, pool, region)

    def gauge(self, pool: str, region: str) -> Gauge | None:
        """How much of a pool's region is in use, where that is known."""
        return self.gauges.get((pool, region))

    def paused(self, region: str) -> Override | None:
        """The pause of a whole region."""
        return self.setting("", region).region.paused

    def ttls_under(self, subject: str) -> Ttls:
        """Those of all names that a subject has a part in."""
        found = [self.ttls.get(pool, Ttls()) for pool in under(self, subject)]
        return Ttls(max((t.longest for t in found), default=0), max((t.lowered for t in found), default=0))

    def set_on(self, subject: str) -> list[Override]:
        return [override for (_, on), override in self.overrides.items() if on == subject]


def families(endpoint: Endpoint) -> Iterator[int]:
    """The families an endpoint answers: 4, 6, or 0 for a target."""
    if endpoint.target is not None:
        yield 0
    if endpoint.ipv4 is not None:
        yield 4
    if endpoint.ipv6 is not None:
        yield 6


class User(NamedTuple):
    """One address of an endpoint (family 4 or 6), or its target (0), about which a probe decides."""

    region: str
    pool: str
    endpoint: str
    family: int

    @property
    def subject(self) -> str:
        return str(Subject(self.region, self.pool, self.endpoint))


def users(pools: Mapping[str, Pool]) -> Mapping[Probe, list[User]]:
    """Every probe that the pools need, with those about whom it decides."""
    found: defaultdict[Probe, list[User]] = defaultdict(list)
    for pool in pools.values():
        for region in pool.regions:
            for endpoint in region.endpoints:
                for family in families(endpoint):
                    for probe in dict.fromkeys(probes_of(endpoint, family)):
                        found[probe].append(User(region.region, pool.id, endpoint.name, family))
    return found


def probes(pools: Mapping[str, Pool]) -> Mapping[Probe, frozenset[str]]:
    """Every probe that the pools need, with the ids of the pools it decides about."""
    return {probe: frozenset(user.pool for user in of) for probe, of in users(pools).items()}


def apply(world: World, event: Event) -> tuple[World, frozenset[str]]:
    """The world after an event, and the ids of the pools whose answers it may have changed."""
    match event:
        case Loaded():
            return _load(world, event)
        case Observed(health):
            touched = frozenset(p for probe in health for p in world.pools_of.get(probe, ()))
            known = {probe: h for probe, h in health.items() if probe in world.pools_of}
            return replace(world, health={**world.health, **known}), touched  # plain: copied without a hash
        case Overridden() | Lifted() | Planned() | Dropped():
            return _change(world, (event,))
        case Batch(changes):
            return _change(world, changes)
        case Reported(loads, gauges):
            return _report(world, loads, gauges)


def _report(
    world: World, loads: Mapping[str, Load | None], gauges: Mapping[tuple[str, str], Gauge | None]
) -> tuple[World, frozenset[str]]:
    moved = {key: gauge for key, gauge in gauges.items() if gauge is not world.gauges.get(key)}
    reported = replace(
        world,
        loads=_put(world.loads, loads),
        gauges=_put(world.gauges, moved) if moved else world.gauges,
    )
    return reported, frozenset(pool for pool, _ in moved)


def _put(known: Mapping[K, V], new: Mapping[K, V | None]) -> Mapping[K, V]:
    return {key: value for key, value in {**known, **new}.items() if value is not None}


def _load(world: World, files: Loaded) -> tuple[World, frozenset[str]]:
    model = files.model
    watched = probes(model.pools)
    loaded = replace(
        world,
        regions=model.regions,
        pools=model.pools,
        policies=model.policies,
        pools_of=watched,
        steered=files.steered,
        ttls=files.ttls,
        health={p: h for p, h in world.health.items() if p in watched},
        gauges={
            (pool, region): gauge
            for (pool, region), gauge in world.gauges.items()
            if pool in model.pools and model.pools[pool].region(region)
        },
    )
    return loaded, frozenset(model.pools)


def _change(world: World, changes: tuple[Done, ...]) -> tuple[World, frozenset[str]]:
    overrides, plans = dict(world.overrides), dict(world.plans)
    touched: set[str] = set()
    for change in changes:
        match change:
            case Overridden(override):
                overrides[override.kind, override.subject] = override
                touched |= under(world, override.subject)
            case Lifted(kind, subject):
                overrides.pop((kind, subject), None)
                touched |= under(world, subject)
            case Planned(plan):
                plans[plan.id] = plan
                touched |= under(world, plan.subject)
            case Dropped(id):
                gone = plans.pop(id, None)
                touched |= under(world, gone.subject) if gone else set()
    moments = [at for override in overrides.values() if (at := override.next_at()) is not None]
    moments += [plan.begins for plan in plans.values()]
    changed = replace(
        world,
        overrides=overrides,
        plans=plans,
        settings=settings_of(overrides, plans.values()),
        next_at=min(moments, default=inf),
    )
    return changed, frozenset(touched)


def under(world: World, subject: str) -> set[str]:
    """The ids of the pools of which a subject is a part."""
    region, pool, _ = Subject.parse(subject)
    return {p.id for p in world.pools.values() if pool in ("", p.id) and p.region(region)}


def differing(before: World, after: World) -> frozenset[str]:
    """The ids of the pools of `after` whose answers may not be those that they are in `before`.

    Both were made from the same files.
    """
    found: set[str] = set()
    for probe in _differing(before.health, after.health):
        found.update(after.pools_of.get(probe, ()))
    for _, subject in _differing(before.overrides, after.overrides):
        found.update(under(after, subject))
    for id in _differing(before.plans, after.plans):
        found.update(under(after, (after.plans.get(id) or before.plans[id]).subject))
    found.update(pool for pool, _ in _differing(before.gauges, after.gauges) if pool in after.pools)
    return frozenset(found)


def _differing(before: Mapping[K, object], after: Mapping[K, object]) -> set[K]:
    return {key for key in before.keys() | after.keys() if before.get(key) is not after.get(key)}
