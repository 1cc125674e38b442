"""Guard rails: what an operator's change would break, found before it is made."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from geodns.core.rules import Breach, Broken, breaches
from geodns.core.steer.conditions import Site
from geodns.core.steer.odds import available
from geodns.core.world import World
from geodns.errors import GeodnsError
from geodns.model import AnyRegion, Nearest, Policy, Pool, Rule, Split

NO_REGION, NO_HEALTHY_REGION = "leaves-no-region", "leaves-no-healthy-region"
MAX_NAMES = 10
MAX_TOLD = 3  # rules that a refusal tells of at length
MAX_KNOWN = 50  # names that are told where one is unknown


class UnknownSubject(GeodnsError):  # noqa: N818 - what was found, like Refused
    """A region, pool or endpoint (`what`) that no file defines; `known` are those that there are."""

    def __init__(self, what: str, name: str, known: tuple[str, ...], where: str = "") -> None:
        listed = f"known {what}s: {', '.join(known[:MAX_KNOWN])}" if known else f"no {what}s are configured"
        more = f" and {len(known) - MAX_KNOWN} more" if len(known) > MAX_KNOWN else ""
        super().__init__(f"there is no {what} '{name}'{where}; {listed}{more}")
        self.what = what
        self.known = known[:MAX_KNOWN]


class Refused(GeodnsError):  # noqa: N818 - a refusal is an answer
    """A change that would break rules, with what each of them says."""

    def __init__(self, what: str, broken: tuple[Broken, ...]) -> None:
        told = [b.detail for b in broken[:MAX_TOLD]]
        told += [f"and {len(broken) - MAX_TOLD} more rules"] if len(broken) > MAX_TOLD else []
        rules = " and ".join(b.rule for b in broken)
        super().__init__(f"{what} is refused: {'; '.join(told)}; make up for it first, or overrule {rules}")
        self.broken = broken


def guard(before: World, after: World) -> tuple[Broken, ...]:
    """The rules that a change would break, each once; none where it does no more harm than is done already.

    Two rules always hold: no client of a steered name is left without any region (`leaves-no-region`), nor,
    where one that serves is taken out, without any that is healthy (`leaves-no-healthy-region`).
    """
    alone = _left_alone(before, after, _paused) or _left_alone(before, after, _useless)
    found = [alone] if alone else []
    names: defaultdict[str, list[str]] = defaultdict(list)
    for (pool_id, _), examples in after.steered.items():
        names[pool_id].extend(examples)
    rules: defaultdict[str, list[Breach]] = defaultdict(list)
    for breach in breaches(before, after):
        rules[breach.rule].append(breach)
    for rule, hit in rules.items():
        more = f" (and in {len(hit) - 1} more)" if len(hit) > 1 else ""
        hurt = sorted({name for breach in hit for name in names[breach.pool]})
        found.append(Broken(rule, hit[0].detail + more, tuple(hurt[:MAX_NAMES])))
    return tuple(found)


Gone = Callable[[World, Pool], frozenset[str]]


def _paused(world: World, pool: Pool) -> frozenset[str]:
    return frozenset(r.region for r in pool.regions if Site.of(pool, r, world).paused)


def _useless(world: World, pool: Pool) -> frozenset[str]:
    """The regions that are paused, or have too little that is healthy."""
    return frozenset(r.region for r in pool.regions if not available(pool, r, world))


def _left_alone(before: World, after: World, gone: Gone) -> Broken | None:
    """What a change breaks after which rules lead to nothing but regions that are gone."""
    names: list[str] = []
    because: list[str] = []
    for (pool_id, policy_id), examples in after.steered.items():
        pool, policy = after.pools.get(pool_id), after.policies.get(policy_id)
        if pool is None or policy is None:
            continue
        then = gone(after, pool)
        rule = starved(pool, policy, then - gone(before, pool), then)
        if rule is not None:
            names.extend(examples)
            because.append(f"rule {rule + 1} of policy {policy_id} over pool {pool_id}")
    return _alone(sorted(set(names)), because, healthy=gone is _useless) if because else None


def starved(pool: Pool, policy: Policy, lost: frozenset[str], gone: frozenset[str]) -> int | None:
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


def _alone(names: list[str], because: list[str], *, healthy: bool) -> Broken:
    listed = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    more = f" (and {len(because) - 1} more)" if len(because) > 1 else ""
    return Broken(
        NO_HEALTHY_REGION if healthy else NO_REGION,
        f"clients of {listed or 'names'} would be without a {'healthy ' if healthy else ''}region: "
        f"{because[0]}{more} would lead only to {'paused or failed' if healthy else 'paused'} regions",
        tuple(names[:MAX_NAMES]),
    )
