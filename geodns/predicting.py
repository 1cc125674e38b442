"""Who would move if a change were made: clients weighed by what databases know, and by what was asked."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Iterator
from typing import TYPE_CHECKING

from geodns.admin.control import Basis, Prediction
from geodns.core.compile.sheets import Sheets
from geodns.core.place import Place
from geodns.core.prediction import shifts
from geodns.core.steer.orders import Order, Plan
from geodns.core.world import World, differing
from geodns.geo.locate import Geography
from geodns.geo.survey import PAUSE, STRETCH, survey

if TYPE_CHECKING:
    from geodns.app import Server

PART, PARTS = 600.0, 6  # seconds of a part of the hour; how many are kept
NOTED = 60.0  # seconds between two looks at the counters
MAX_KEYS = 5_000  # (pool, policy, order) in a part, and in a prediction
SECONDS = 5.0  # for weighing by addresses
MAX_WEIGHED = 20_000  # (pool, policy, order) weighed so; beyond it pairs are left off
MAX_PLANS = 64  # whose weights are kept

Key = tuple[str, str, Order]


class Recent:
    """The steered queries of the last hour, by pool, policy and order. `left_out`: those without room."""

    def __init__(self, now: float) -> None:
        self.left_out = 0
        self._parts: deque[tuple[float, Counter[Key]]] = deque([(now, Counter())], PARTS)
        self._seen: dict[int, int] = {}
        self._noted = now

    def tick(self, server: Server, now: float) -> None:
        if now - self._noted >= NOTED:
            server.replay.collect()
            self.note(server.sheets, now)

    def note(self, sheets: Sheets, now: float) -> None:
        """Count what was answered since the last time; the counters must have been collected."""
        self._noted = now
        if now - self._parts[-1][0] >= PART:
            self._parts.append((now, Counter()))
        part = self._parts[-1][1]
        for key, slot, count in sheets.counts():
            new = count - self._seen.get(slot, 0)
            self._seen[slot] = count
            if new and (key in part or len(part) < MAX_KEYS):
                part[key] += new
            else:
                self.left_out += new

    def forget(self) -> None:
        """The counters are other ones from now on: they begin at nothing."""
        self._seen = {}

    def counted(self) -> tuple[float, Counter[Key]]:
        """Since when, and what was counted."""
        return self._parts[0][0], sum((part for _, part in self._parts), Counter())


class Predictor:
    """Predicts for a server; the survey of its databases is made once, when it is first asked for."""

    def __init__(self, server: Server) -> None:
        self.recent = Recent(time.time())
        self._server = server
        self._surveyed: tuple[Geography, Counter[Place]] | None = None
        self._weights: dict[Plan, Counter[Order]] = {}
        self._one_at_a_time = asyncio.Lock()

    async def predict(self, before: World, after: World) -> Prediction:
        """What becomes of the clients of the pools whose answers may differ."""
        server, now = self._server, time.time()
        server.replay.collect()
        self.recent.note(server.sheets, now)
        since, counted = self.recent.counted()
        touched = differing(before, after)
        pairs = [pair for pair in after.steered if pair[0] in touched]
        queries = {k: n for k, n in counted.most_common(MAX_KEYS) if k[:2] in pairs and _known(k, after)}
        async with self._one_at_a_time:
            return await asyncio.to_thread(self._predict, before, after, pairs, (since, now, queries))

    def _predict(
        self,
        before: World,
        after: World,
        pairs: list[tuple[str, str]],
        asked: tuple[float, float, dict[Key, int]],
    ) -> Prediction:
        since, now, queries = asked
        weights: Counter[Key] = Counter()
        left_off, until = 0, time.monotonic() + SECONDS
        for pair in pairs:
            if time.monotonic() > until or len(weights) >= MAX_WEIGHED:
                left_off += 1
                continue
            for order, addresses in self._weigh(_plan(after, *pair)).items():
                weights[(*pair, order)] = addresses
        return Prediction(
            Basis(weights.total(), tuple(shifts(before, after, weights)), left_off),
            Basis(sum(queries.values()), tuple(shifts(before, after, queries)), 0),
            (since, now),
        )

    def _weigh(self, plan: Plan) -> Counter[Order]:
        """How many addresses have each order of a plan."""
        geography = self._server.geography
        if self._surveyed is None or self._surveyed[0] is not geography:
            self._surveyed = geography, survey(geography.locate)
            self._weights.clear()
        if plan not in self._weights:
            if len(self._weights) == MAX_PLANS:
                self._weights.clear()
            found: Counter[Order] = Counter()
            for place, addresses in _gently(self._surveyed[1]):
                found[plan.order(place).order] += addresses
            self._weights[plan] = found
        return self._weights[plan]


def _gently(places: Counter[Place]) -> Iterator[tuple[Place, int]]:
    for number, item in enumerate(places.items(), 1):
        yield item
        if not number % STRETCH:
            time.sleep(PAUSE)


def _plan(world: World, pool: str, policy: str) -> Plan:
    regions = tuple(world.regions[r.region] for r in world.pools[pool].regions)
    return Plan(world.policies[policy], regions)


def _known(key: Key, world: World) -> bool:
    """Whether a pool still has all regions of an order: what was counted may be of earlier files."""
    pool = world.pools[key[0]]
    return all(pool.region(region) for group in key[2] for region, _ in group.shares)
