"""What a change would do before it is made: which share of the clients moves from where to where, and what
that makes of each region's load.

Clients are weighed by whoever asks: by addresses, or by the queries that were counted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from geodns.core.loads import told
from geodns.core.steer.conditions import deciding_family
from geodns.core.steer.odds import Outlook, decide, outlook_of
from geodns.core.steer.orders import Order
from geodns.core.world import World
from geodns.model import Pool

NOBODY = ""  # where clients are who are told no address of any region: a backup's, or none
LEAST = 1e-9  # of all clients: what is less is rounding

Weights = Mapping[tuple[str, str, Order], float]
"""How many clients have an order, by (pool id, policy id, order)."""


@dataclass(frozen=True, slots=True)
class Change:
    """A region's share of the clients, 0 to 1, and its load in units, before and after; None: not known."""

    region: str
    before: float
    after: float
    load_before: float | None = None
    load_after: float | None = None
    capacity: float | None = None


@dataclass(frozen=True, slots=True)
class Shift:
    """What becomes of a pool's clients under a policy: `moves` are (from, to, share of all of them)."""

    pool: str
    policy: str
    weight: float
    moves: tuple[tuple[str, str, float], ...]
    regions: tuple[Change, ...]

    @property
    def moved(self) -> float:
        """The share of the clients that move."""
        return sum(share for _, _, share in self.moves)


def shifts(before: World, after: World, weights: Weights) -> list[Shift]:
    """What a change does to each pool and policy that clients were weighed for; most moved first."""
    outlooks: dict[tuple[str, bool], Outlook] = {}
    sums: defaultdict[tuple[str, str], _Sum] = defaultdict(_Sum)
    for (pool_id, policy_id, order), weight in weights.items():
        told_: list[Mapping[str, float]] = []
        for world, late in ((before, False), (after, True)):
            pool = world.pools[pool_id]
            if (pool_id, late) not in outlooks:
                outlooks[pool_id, late] = outlook_of(pool, world)
            told_.append(_shares(pool, order, world, outlooks[pool_id, late]))
        sums[pool_id, policy_id].add(weight, *told_)
    found = [sum_.shift(before, *key) for key, sum_ in sums.items() if sum_.weight]
    return sorted(found, key=lambda shift: (-shift.moved, shift.pool, shift.policy))


def _shares(pool: Pool, order: Order, world: World, outlook: Outlook) -> Mapping[str, float]:
    family = max((deciding_family(region) for region in pool.regions), key=(6, 4, 0).index)
    return decide(pool, order, world, family, outlook).shares() or {NOBODY: 1.0}


class _Sum:
    """Clients of one pool and policy, counted together."""

    def __init__(self) -> None:
        self.weight = 0.0
        self._before: defaultdict[str, float] = defaultdict(float)
        self._after: defaultdict[str, float] = defaultdict(float)
        self._moves: defaultdict[tuple[str, str], float] = defaultdict(float)

    def add(self, weight: float, before: Mapping[str, float], after: Mapping[str, float]) -> None:
        """Who leaves a region goes to those that gain, to each in proportion to its gain."""
        self.weight += weight
        gains = {r: after[r] - before.get(r, 0.0) for r in after if after[r] > before.get(r, 0.0)}
        gained = sum(gains.values())
        for region, share in before.items():
            self._before[region] += weight * share
            lost = share - after.get(region, 0.0)
            for other, gain in gains.items() if lost > 0 else ():
                self._moves[region, other] += weight * lost * gain / gained
        for region, share in after.items():
            self._after[region] += weight * share

    def shift(self, world: World, pool_id: str, policy: str) -> Shift:
        moves = [(*key, moved / self.weight) for key, moved in self._moves.items()]
        return Shift(
            pool_id,
            policy,
            self.weight,
            tuple(sorted((m for m in moves if m[2] > LEAST), key=lambda m: -m[2])),
            self._regions(world, world.pools[pool_id]),
        )

    def _regions(self, world: World, pool: Pool) -> tuple[Change, ...]:
        loads = {region.region: told(region, pool.id, world.loads) for region in pool.regions}
        changes = []
        for region in (*loads, NOBODY):
            was, is_ = self._before[region] / self.weight, self._after[region] / self.weight
            load, capacity = loads.get(region) or (None, None)
            if region or was or is_:
                changes.append(Change(region, was, is_, load, self._load(region, loads), capacity))
        return tuple(changes)

    def _load(self, region: str, loads: Mapping[str, tuple[float, float] | None]) -> float | None:
        """A region's load then: whoever moves takes along the share of the load where they were. None where
        a load that matters is not known.
        """
        here = loads.get(region)
        if here is None:
            return None
        load = here[0]
        for (whence, to), moved in self._moves.items():
            there = loads.get(whence)
            if region in (whence, to):
                if there is None:
                    return None
                load += there[0] * moved / self._before[whence] * (1 if region == to else -1)
        return max(0.0, load)
