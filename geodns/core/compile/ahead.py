"""What takes long in an answer set, made before the first client asks for it: in which order members start.

A sticky answer's 4096 slots take milliseconds, each endpoint's costs in them some more, once. They depend on
the members alone, so what is made here for every region while all is up is there when a class is first seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from geodns.core.compile.bodies import FAMILY, SheetSpec, order_of, sticky_name
from geodns.core.health import Health, Verdict
from geodns.core.steer.odds import decide
from geodns.core.steer.orders import Group
from geodns.core.steer.picks import KEPT, costs
from geodns.model import AnyRegion, Endpoint, Pick, Policy, Pool, Split


class _AllUp:
    """Conditions under which every endpoint is up and no region is paused."""

    def health_of(self, endpoint: Endpoint, family: int) -> Health:
        return Health(Verdict.UP)

    def paused(self, region: str) -> None:
        return None


def orders_ahead(
    specs: tuple[SheetSpec, ...], pools: Mapping[str, Pool], policies: Mapping[str, Policy]
) -> Iterator[None]:
    """Make the orders of all answers that are not weighted, a few milliseconds of work between two yields.

    No more names are looked at than their costs are kept of.
    """
    names: set[str] = set()
    known = {(s.pool, s.policy, s.rtype, s.pick, s.answers) for s in specs if s.pick is not Pick.WEIGHTED}
    for pool_id, policy, rtype, pick, answers in sorted(known, key=str):
        for group in _groups(pools[pool_id], policies[policy]):
            odds = decide(pools[pool_id], (group,), _AllUp(), FAMILY[rtype])
            if pick is Pick.STICKY:
                for member in odds.members:
                    names.add(sticky_name(member))
                    if len(names) > KEPT:
                        return
                    costs(sticky_name(member))
                    yield
            if len(odds.members) > 1:
                order_of(pick, odds, answers or len(odds.members))
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
