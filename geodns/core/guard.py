"""Guard rails: what an operator's change would break, found before it is made."""

from __future__ import annotations

from collections.abc import Callable

from geodns.core.steer.conditions import Site
from geodns.core.steer.odds import available
from geodns.core.world import World
from geodns.errors import GeodnsError
from geodns.model import AnyRegion, Nearest, Policy, Pool, Rule, Split

MAX_NAMES = 10
MAX_KNOWN = 50  # names that are told where one is unknown


class UnknownSubject(GeodnsError):  # noqa: N818 - what was found, like Refused
    """A region, pool or endpoint (`what`) that no file defines; `known` are those that there are."""

    def __init__(self, what: str, name: str, known: tuple[str, ...], where: str = "") -> None:
        listed = f"known {what}s: {', '.join(known[:MAX_KNOWN])}" if known else f"no {what}s are configured"
        more = f" and {len(known) - MAX_KNOWN} more" if len(known) > MAX_KNOWN else ""
        super().__init__(f"there is no {what} '{name}'{where}; {listed}{more}")
        self.what = what
        self.known = known[:MAX_KNOWN]


class Refused(GeodnsError):  # noqa: N818 - a refusal is an answer, and may be returned as well as raised
    """A change that would do harm. `code` is stable; `names` are examples of those hit, at most 10."""

    def __init__(self, code: str, message: str, names: tuple[str, ...]) -> None:
        super().__init__(message)
        self.code = code
        self.names = names


def guard(before: World, after: World, what: str) -> Refused | None:
    """Why a change should not be made: steered names that would have clients without any region.

    A region without enough healthy endpoints is as good as none where one that serves is taken out. None
    where the change does no such harm, or no more than is there already. `what` says it: "pausing eu-west".
    """
    return _refused(before, after, what, _paused) or _refused(before, after, what, _useless)


Gone = Callable[[World, Pool], frozenset[str]]


def _paused(world: World, pool: Pool) -> frozenset[str]:
    return frozenset(r.region for r in pool.regions if Site.of(pool, r, world).paused)


def _useless(world: World, pool: Pool) -> frozenset[str]:
    """The regions that are paused, or have too little that is healthy."""
    return frozenset(r.region for r in pool.regions if not available(pool, r, world))


def _refused(before: World, after: World, what: str, gone: Gone) -> Refused | None:
    """The refusal of a change after which rules lead to nothing but regions that are gone."""
    names: list[str] = []
    because: list[str] = []
    for (pool_id, policy_id), examples in after.steered.items():
        pool, policy = after.pools.get(pool_id), after.policies.get(policy_id)
        if pool is None or policy is None:
            continue
        then = gone(after, pool)
        rule = _starved(pool, policy, then - gone(before, pool), then)
        if rule is not None:
            names.extend(examples)
            because.append(f"rule {rule + 1} of policy {policy_id} over pool {pool_id}")
    return _refusal(what, sorted(set(names)), because, healthy=gone is _useless) if because else None


def _starved(pool: Pool, policy: Policy, lost: frozenset[str], gone: frozenset[str]) -> int | None:
    """The index of the first rule that leads to a region of `lost` and may have nothing but `gone` ones."""
    present = frozenset(r.region for r in pool.regions)
    for index, rule in enumerate(policy.rules) if lost else ():
        certain, choice, limit = _reach(rule, present)
        reaches = lost & certain or (limit > 0 and lost & choice)
        if reaches and certain <= gone and len(choice & gone) >= min(limit, len(choice)):
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


def _refusal(what: str, names: list[str], because: list[str], *, healthy: bool) -> Refused:
    shown = names[:MAX_NAMES]
    listed = ", ".join(shown[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    whom = listed or "names"
    more = f" (and {len(because) - 1} more)" if len(because) > 1 else ""
    return Refused(
        "leaves-no-healthy-region" if healthy else "leaves-no-region",
        f"{what} would leave clients of {whom} without a {'healthy ' if healthy else ''}region: "
        f"{because[0]}{more} would lead only to {'paused or failed' if healthy else 'paused'} regions; "
        f"{'mend' if healthy else 'resume'} another one first, or force it",
        tuple(shown),
    )
