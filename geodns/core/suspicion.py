"""Is it they who fail, or I who cannot see? When most of what was well fails at once, in places that have
nothing to do with one another, the prober is the likelier fault, and what it sees is not to be believed.

Pure: who fails and who is well is told by the monitor.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from geodns.core.health import Probe, probes_of
from geodns.core.world import families
from geodns.model import Pool

APART = 2  # circles of pools, and regions, in each of which most must fail


@dataclass(frozen=True, slots=True)
class Bonds:
    """What a probe's endpoints belong to: a circle of pools that are probed at common addresses; regions."""

    circle: str
    regions: frozenset[str]


def bonds(pools: Mapping[str, Pool]) -> Mapping[Probe, Bonds]:
    """For every probe of the pools; a circle is named after one of its pools."""
    parents = {pool: pool for pool in pools}
    met_at: dict[str, str] = {}  # by address: a pool that is probed there
    found: dict[Probe, tuple[str, set[str]]] = {}
    for pool in pools.values():
        for region in pool.regions:
            for endpoint in region.endpoints:
                for probe in (p for family in families(endpoint) for p in probes_of(endpoint, family)):
                    parents[_root(parents, pool.id)] = _root(
                        parents, met_at.setdefault(probe.address, pool.id)
                    )
                    found.setdefault(probe, (pool.id, set()))[1].add(region.region)
    return {
        probe: Bonds(_root(parents, pool), frozenset(regions)) for probe, (pool, regions) in found.items()
    }


def _root(parents: dict[str, str], pool: str) -> str:
    while parents[pool] != pool:
        parents[pool] = pool = parents[parents[pool]]
    return pool


def suspicious(
    failing: Collection[Probe], well: Collection[Probe], known: Mapping[Probe, Bonds], share: float
) -> bool:
    """Whether the prober is to be suspected; `failing` have begun to within one interval, `well` have not.

    `share` (0 to 1) of all must fail, and of each of two unrelated circles of pools and of two regions (of
    the only region, where there is one): the loss of one region, or of one service, is its own.
    """
    if not failing or len(failing) < share * (len(failing) + len(well)):
        return False
    lost, kept = ([known[probe] for probe in probes if probe in known] for probes in (failing, well))
    circles = _struck((b.circle for b in lost), (b.circle for b in kept), share)
    regions = _struck((r for b in lost for r in b.regions), (r for b in kept for r in b.regions), share)
    single = len({region for b in (*lost, *kept) for region in b.regions}) == 1
    return circles >= APART and (regions >= APART or single)


def _struck(lost: Iterable[str], kept: Iterable[str], share: float) -> int:
    failing, well = Counter(lost), Counter(kept)
    return sum(count >= share * (count + well[key]) for key, count in failing.items())
