"""Answer sets that take long, made before the first client asks, so that no packet waits for them.

A sticky answer's 4096 slots take milliseconds, each endpoint's costs in them some more; a pool of hundreds
has hundreds of records to pack. All that depends on the members alone and is remembered where it is made:
what was made for every region while all is up is there when a class is first seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from geodns.core.compile.bodies import FAMILY, SheetSpec, answer_set, sticky_name
from geodns.core.steer.conditions import AllUp
from geodns.core.steer.odds import decide
from geodns.core.steer.orders import Group
from geodns.core.steer.picks import KEPT, costs
from geodns.model import AnyRegion, Pick, Policy, Pool, Split

FEW = 8  # endpoints, of which an answer set is made in no time


def sets_ahead(
    specs: tuple[SheetSpec, ...], pools: Mapping[str, Pool], policies: Mapping[str, Policy]
) -> Iterator[None]:
    """Make the answer sets of sticky names and large pools, a few milliseconds of work between two yields.

    No more endpoints are looked at than their costs are kept of.
    """
    names: set[str] = set()
    for spec in dict.fromkeys(specs):
        pool = pools[spec.pool]
        if spec.pick is not Pick.STICKY and sum(len(region.endpoints) for region in pool.regions) <= FEW:
            continue
        for group in _groups(pool, policies[spec.policy]):
            odds = decide(pool, (group,), AllUp(), FAMILY[spec.rtype])
            for name in map(sticky_name, odds.members if spec.pick is Pick.STICKY else ()):
                names.add(name)
                if len(names) > KEPT:
                    return
                costs(name)
                yield
            answer_set(spec, odds, 0)
            yield


def _groups(pool: Pool, policy: Policy) -> list[Group]:
    """The groups of regions that may answer: each region alone, the policy's splits, all of them."""
    present = [region.region for region in pool.regions]
    found = [Group(((region, 1),)) for region in present]
    for step in (step for rule in policy.rules for step in rule.to):
        match step:
            case Split(shares) if len(shares) > 1:
                found.append(Group(tuple((r, share) for r, share in shares if r in present)))
            case AnyRegion():
                found.append(Group(tuple((region, 1) for region in present), by_weight=True))
    return [group for group in dict.fromkeys(found) if group.shares]
