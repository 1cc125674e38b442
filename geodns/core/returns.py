"""How what was out comes back, and when: what failures leave behind, and what time changes by itself.

A region that fails in a pool whose `failback` is not `auto` gets a hold there (`core.overrides`): it serves
only where nothing else does, until it was healthy for long enough or somebody resumes it. A ramp whose
subject fails ends in a hold. All that are overrides by `FAILBACK`, kept and shown as operators' are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from geodns.core.health import Verdict
from geodns.core.overrides import HOLD, NOTHING, OUT, RAMP, WHOLE, Override, Subject
from geodns.core.plans import Plan
from geodns.core.slopes import up
from geodns.core.steer.conditions import Site, deciding_family
from geodns.core.steer.odds import sound
from geodns.core.verbs import Asked, Change, planned
from geodns.core.world import Batch, Lifted, Made, Observed, Overridden, World, apply, under
from geodns.model import Endpoint, Pool, PoolRegion

FAILBACK = "failback"  # an actor that is no person

Changes = Iterator[Made]


def following(before: World, after: World, event: Observed, now: float) -> Batch:
    """What verdicts bring with them: holds and aborted ramps of what failed, returns of what recovered."""
    found: list[Made] = []
    for pool_id in sorted({p for probe in event.health for p in after.pools_of.get(probe, ())}):
        pool = after.pools[pool_id]
        for region in pool.regions:
            if pool.failback.at_once and after.setting(pool.id, region.region) is NOTHING:
                continue
            was, is_ = sound(pool, region, before), sound(pool, region, after)
            if was and not is_:
                found.extend(_failed(after, pool, region, now))
            elif is_ and not was:
                found.extend(_recovered(after, pool, region, now))
            found.extend(_endpoints(before, after, pool, region, now))
    return _batch(found)


def passed(world: World, now: float) -> Batch:
    """What time has changed: steps of drains and ramps, ends of overrides, returns that were waited for."""
    if world.next_at > now:
        return Batch(())
    found: list[Made] = []
    for override in world.overrides.values():
        at = override.next_at()
        if at is not None and at <= now:
            found.extend(_moved(world, override, now))
    then, _ = apply(world, Batch(tuple(found)))
    for change in tuple(found):
        if isinstance(change, Lifted) and change.kind in OUT:
            found.extend(_still_failing(world, then, change.subject, now))
    return _batch(found)


def begun(world: World, plan: Plan, now: float) -> Batch:
    """What the moment of a plan brings: its override, as if asked for then, unless its end is over as well.

    Raises UnknownSubject where the files have lost its subject.
    """
    if plan.ends is not None and plan.ends <= now:
        return Batch(())
    change = Change(plan.kind, plan.subject, value=plan.value, until=plan.ends, over=plan.over)
    return planned(world, Asked((change,), plan.reason, plan.actor), plan.begins)


def reconsidered(world: World, now: float) -> Batch:
    """What new files change: regions whose pool's `failback` lets them return by now."""
    found: list[Made] = []
    for (kind, subject), override in world.overrides.items():
        region, pool_id, _ = Subject.parse(subject)
        pool = world.pools.get(pool_id)
        here = pool and pool.region(region)
        if kind == HOLD and override.until is None and pool and here and sound(pool, here, world):
            found.extend(_recovered(world, pool, here, now))
    return _batch(found)


def course(world: World, override: Override) -> dict[str, float | None]:
    """When the share of a drain or a ramp is another, when it is the last, and when no resolver tells of what
    is drained any more (Unix seconds).
    """
    slope = override.slope
    if slope is None:
        return {}
    step, end = slope.after(override.since, override.value), override.since + slope.over
    if override.kind == RAMP:
        return {"next_at": step, "whole_at": end}
    return {
        "next_at": step,
        "paused_at": end,
        "drained_at": end + world.ttls_under(override.subject).lowered + 1,
    }


def _batch(found: list[Made]) -> Batch:
    """The last word on each override."""
    words = {_key(made): made for made in found}
    return Batch(tuple(words.values()))


def _key(made: Made) -> tuple[str, str]:
    what = made.override if isinstance(made, Overridden) else made
    return what.kind, what.subject


def _failed(world: World, pool: Pool, region: PoolRegion, now: float) -> Changes:
    setting = world.setting(pool.id, region.region)
    for own in (setting.region, setting.pool):
        if own.ramp is not None:
            yield from _aborted(own.ramp, pool, now)
    subject = str(Subject(region.region, pool.id))
    held = world.overrides.get((HOLD, subject))
    if held is not None and held.until is not None:
        yield Overridden(replace(held, until=None))
    elif held is None and not (pool.failback.at_once or Site.of(pool, region, world).paused):
        yield Overridden(Override(HOLD, subject, _why(pool), FAILBACK, now))


def _why(pool: Pool) -> str:
    back = "it is resumed" if pool.failback.manual else "it is healthy again"
    if pool.failback.after and not pool.failback.manual:
        back = f"it was healthy for {pool.failback.after:g} s"
    return f"it failed; out until {back}"


def _aborted(ramp: Override, pool: Pool, now: float) -> Changes:
    """A ramp ends where it began: out; but for what returns by itself, until somebody resumes it."""
    yield Lifted(RAMP, ramp.subject)
    if ramp.actor != FAILBACK:
        reason = f"it failed in {pool.id} during its ramp ({ramp.reason}); out until it is resumed"
        yield Overridden(Override(HOLD, ramp.subject, reason, ramp.actor, now))


def _recovered(world: World, pool: Pool, region: PoolRegion, now: float) -> Changes:
    subject = str(Subject(region.region, pool.id))
    held = world.overrides.get((HOLD, subject))
    if held is None or held.actor != FAILBACK or held.until is not None or pool.failback.manual:
        return
    if pool.failback.after:
        yield Overridden(replace(held, until=now + pool.failback.after))
    else:
        yield from _returned(world, held, now)


def _returned(world: World, held: Override, now: float) -> Changes:
    """A region that was held serves again, with a part of its share at first where its pool says so."""
    yield Lifted(HOLD, held.subject)
    pool = world.pools.get(Subject.parse(held.subject).pool)
    if pool is not None and pool.failback.ramp and not pool.failback.manual:
        slope = up(pool.failback.ramp, world.ttls_under(held.subject).longest)
        why, share = "it is healthy again", slope.levels[0]
        yield Overridden(Override(RAMP, held.subject, why, FAILBACK, now, None, share, slope))


def _moved(world: World, override: Override, now: float) -> Changes:
    """What time makes of an override whose moment has come."""
    if override.until is not None and override.until <= now:
        if override.kind != HOLD:
            yield Lifted(override.kind, override.subject)
        elif _serves(world, override.subject):
            yield from _returned(world, override, now)
        else:
            yield Overridden(replace(override, until=None))
    elif override.slope is not None:
        share = override.slope.at(override.since, now)
        if override.kind == RAMP and not _serves(world, override.subject):
            yield Overridden(replace(override, since=now, value=override.slope.levels[0]))
        elif override.kind == RAMP and share == WHOLE:
            yield Lifted(RAMP, override.subject)
        else:
            yield Overridden(replace(override, value=share))


def _still_failing(before: World, after: World, subject: str, now: float) -> Changes:
    """Holds for the regions that were paused until now, and failed meanwhile."""
    for pool_id in sorted(under(after, subject)):
        pool = after.pools[pool_id]
        region = pool.region(Subject.parse(subject).region)
        if region is None or pool.failback.at_once or sound(pool, region, after):
            continue
        if Site.of(pool, region, before).paused and not Site.of(pool, region, after).paused:
            yield from _failed(after, pool, region, now)


def _endpoints(before: World, after: World, pool: Pool, region: PoolRegion, now: float) -> Changes:
    """Aborted ramps of endpoints."""
    for name, own in after.setting(pool.id, region.region).endpoints.items():
        if own.ramp is None:
            continue
        endpoint = next((e for e in region.endpoints if e.name == name), None)
        if endpoint and _up(before, pool, region, endpoint) and not _up(after, pool, region, endpoint):
            yield from _aborted(own.ramp, pool, now)


def _up(world: World, pool: Pool, region: PoolRegion, endpoint: Endpoint) -> bool:
    health = Site.of(pool, region, world).health(endpoint, deciding_family(region))
    return health.verdict is Verdict.UP


def _serves(world: World, subject: str) -> bool:
    """Whether a subject is healthy in any of its pools."""
    region_id, _, name = Subject.parse(subject)
    for pool_id in under(world, subject):
        pool = world.pools[pool_id]
        region = pool.region(region_id)
        if region is None:
            continue
        named = [e for e in region.endpoints if e.name == name]
        if any(_up(world, pool, region, e) for e in named) if name else sound(pool, region, world):
            return True
    return False
