"""From a report of load, or the end of one, to the event that takes it into the world."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import isfinite

from geodns.core.loads import Gauge, Load, step, told
from geodns.core.overrides import Subject
from geodns.core.steer.odds import available
from geodns.core.verbs import require
from geodns.core.world import Reported, World
from geodns.errors import GeodnsError
from geodns.model import Pool, PoolRegion

LASTS = 60.0  # seconds for which a report holds that says nothing else
MAX_LASTS = 600.0
MAX_UNITS = 1e12


def report(world: World, load: Load) -> Reported:
    """What a report changes. Raises UnknownSubject, GeodnsError for a load or capacity that cannot be."""
    require(world, load.subject)
    if not (isfinite(load.load) and 0 <= load.load <= MAX_UNITS):
        raise GeodnsError(f"a load is a number from 0 to {MAX_UNITS:g}")
    if load.capacity is not None and not (isfinite(load.capacity) and 0 < load.capacity <= MAX_UNITS):
        raise GeodnsError(f"a capacity is a number above 0, at most {MAX_UNITS:g}")
    return _reported(world, {load.subject: load}, load.at)


def expired(world: World, now: float) -> Reported | None:
    """What the end of reports changes that no newer one replaced; None where all hold still."""
    over: dict[str, Load | None] = {s: None for s, load in world.loads.items() if load.until <= now}
    return _reported(world, over, now) if over else None


def _reported(world: World, changed: Mapping[str, Load | None], at: float) -> Reported:
    loads = {s: load for s, load in {**world.loads, **changed}.items() if load is not None}
    gauges: dict[tuple[str, str], Gauge | None] = {}
    for pool, region in _under(world, changed):
        found, key = told(region, pool.id, loads), (pool.id, region.region)
        if found is None:
            gauges[key] = None
            continue
        shed = pool.shed if _others(world, pool, region) else None
        gauges[key] = step(world.gauges.get(key), *found, shed, at)
    return Reported(changed, gauges)


def _under(world: World, subjects: Iterable[str]) -> Iterable[tuple[Pool, PoolRegion]]:
    """The regions of pools that subjects are, or are a part of."""
    for region_id, pool_id in {Subject.parse(subject)[:2] for subject in subjects}:
        for pool in [world.pools[pool_id]] if pool_id in world.pools else world.pools.values():
            region = pool.region(region_id)
            if region is not None and pool_id in ("", pool.id):
                yield pool, region


def _others(world: World, pool: Pool, region: PoolRegion) -> bool:
    """Whether anybody could take what a region gives up. Were it to shed for nobody, it would shed more and
    more, and all of that at once on the first who comes back.
    """
    return any(available(pool, other, world) for other in pool.regions if other is not region)
