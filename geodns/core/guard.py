"""Guard rails: what an operator's change would break, found before it is made."""

from __future__ import annotations

from geodns.core.steer.odds import available
from geodns.core.world import World
from geodns.errors import GeodnsError
from geodns.model import AnyRegion, Nearest, Policy, Pool, Rule, Split

MAX_NAMES = 10


class UnknownRegion(GeodnsError):  # noqa: N818 - what was found, like Refused
    """A region that no file defines; `known` are those that there are."""

    def __init__(self, region: str, known: tuple[str, ...]) -> None:
        listed = f"known regions: {', '.join(known)}" if known else "no regions are configured"
        super().__init__(f"there is no region '{region}'; {listed}")
        self.region = region
        self.known = known


class Refused(GeodnsError):  # noqa: N818 - a refusal is an answer, and may be returned as well as raised
    """A change that would do harm. `code` is stable; `names` are examples of those hit, at most 10."""

    def __init__(self, code: str, message: str, names: tuple[str, ...]) -> None:
        super().__init__(message)
        self.code = code
        self.names = names


def guard_pause(world: World, region: str) -> Refused | None:
    """Why `region` should not be paused: steered names that would have clients without any region.

    A region without enough healthy endpoints is as good as none where this one is serving. None where the
    pause does no such harm, or is in force already.
    """
    if world.paused(region):
        return None
    paused = frozenset(r for r in world.regions if world.paused(r)) | {region}
    return _refused(world, region, paused, healthy=False) or _refused(world, region, paused, healthy=True)


def _refused(world: World, region: str, paused: frozenset[str], *, healthy: bool) -> Refused | None:
    """The refusal of a pause after which rules lead to paused regions only, or to none that is `healthy`."""
    names: list[str] = []
    because: list[str] = []
    for (pool_id, policy_id), examples in world.steered.items():
        pool, policy = world.pools.get(pool_id), world.policies.get(policy_id)
        if pool is None or policy is None:
            continue
        failed = frozenset(r.region for r in pool.regions if healthy and not available(r, world))
        rule = None if region in failed else _starved(pool, policy, region, paused | failed)
        if rule is not None:
            names.extend(examples)
            because.append(f"rule {rule + 1} of policy {policy_id} over pool {pool_id}")
    return _refusal(region, sorted(set(names)), because, healthy=healthy) if because else None


def _starved(pool: Pool, policy: Policy, region: str, paused: frozenset[str]) -> int | None:
    """The index of the first rule that leads to `region` and may have nothing but paused regions."""
    present = frozenset(r.region for r in pool.regions)
    if region not in present:
        return None
    for index, rule in enumerate(policy.rules):
        certain, choice, limit = _reach(rule, present)
        reaches = region in certain or (limit > 0 and region in choice)
        if reaches and certain <= paused and len(choice & paused) >= min(limit, len(choice)):
            return index
    return None


def _reach(rule: Rule, present: frozenset[str]) -> tuple[frozenset[str], frozenset[str], int]:
    """The regions every client of the rule is led to, and of which others it gets how many, its nearest.

    Which ones are nearest depends on the client, so any `limit` of them may be all that somebody has.
    """
    if not rule.fence or any(_is_all(step) for step in rule.to):
        return present, frozenset(), 0
    certain: set[str] = set()
    choice = present
    limit = 0
    for step in rule.to:
        if isinstance(step, Split):
            certain |= {r for r, _ in step.shares} & present
        elif isinstance(step, Nearest) and step.limit is not None:
            if not limit:
                choice = present - certain
            limit += step.limit
    return frozenset(certain), choice, limit


def _is_all(step: object) -> bool:
    return isinstance(step, AnyRegion) or (isinstance(step, Nearest) and step.limit is None)


def _refusal(region: str, names: list[str], because: list[str], *, healthy: bool) -> Refused:
    shown = names[:MAX_NAMES]
    listed = ", ".join(shown[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    whom = listed or "names"
    more = f" (and {len(because) - 1} more)" if len(because) > 1 else ""
    return Refused(
        "leaves-no-healthy-region" if healthy else "leaves-no-region",
        f"pausing {region} would leave clients of {whom} without a {'healthy ' if healthy else ''}region: "
        f"{because[0]}{more} would lead only to {'paused or failed' if healthy else 'paused'} regions; "
        f"{'mend' if healthy else 'resume'} another one first, or force it",
        tuple(shown),
    )
