"""Sheets of answer sets: made anew for the pools that a verdict touched, grown when a class is first seen."""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from geodns.core.compile.bodies import FAMILY, SheetSpec, answer_set
from geodns.core.edns import Subnet, plain
from geodns.core.health import Health
from geodns.core.loads import Gauge
from geodns.core.overrides import Setting
from geodns.core.place import Located, Place, Uses
from geodns.core.steer.odds import Odds, Outlook, Stage, decide, outlook_of
from geodns.core.steer.orders import Order, Plan
from geodns.core.table import AnswerSet, Sheet
from geodns.core.world import World
from geodns.model import Endpoint, Pick, Pool

MAX_PLACES = 1 << 16
Publish = Callable[[tuple[Sheet, ...]], None]


@dataclass(frozen=True, slots=True)
class Widest:
    """The shortest Client Subnet scopes to give, in bits."""

    ipv4: int = 20
    ipv6: int = 40


class Classes:
    """The classes of one plan, numbered as they are first seen.

    At most `limit`; a place with yet another order is put into the first class, and counted.
    """

    def __init__(self, plan: Plan, limit: int) -> None:
        self.plan = plan
        self.orders: list[Order] = []
        self.overflows = 0
        self._numbers: dict[Order, int] = {}
        self._limit = limit
        self._of_place: dict[Place, tuple[int, Uses]] = {}

    def of(self, place: Place) -> tuple[int, Uses]:
        """The class of a place, and which parts of it were asked; many networks share one place."""
        known = self._of_place.get(place)
        if known is None:
            ordered = self.plan.order(place)
            known = self.number(ordered.order), ordered.asked
            if len(self._of_place) >= MAX_PLACES:
                self._of_place.clear()
            self._of_place[place] = known
        return known

    def number(self, order: Order) -> int:
        """The class of an order."""
        known = self._numbers.get(order)
        if known is not None:
            return known
        if len(self.orders) >= self._limit:
            self.overflows += 1
            return self._numbers[self.orders[0]]
        self.orders.append(order)
        self._numbers[order] = len(self.orders) - 1
        return len(self.orders) - 1


def scope_of(asked: Uses, located: Located, family: int, widest: Widest) -> int:
    """How long a prefix the order holds for: the blocks of the parts that were asked, no wider than allowed.

    0 where no part of the place was asked, and only there: the order is everybody's.
    """
    if not (asked.own or asked.asn or asked.geo):
        return 0
    blocks = (located.own * asked.own, located.asn * asked.asn, located.geo * asked.geo)
    return max(*blocks, widest.ipv4 if family == 4 else widest.ipv6, 1)


class Sheets:
    """All sheets of one `Names`, in the order of its specs, and the counters of their answer sets.

    Not shared between threads: whoever calls `rebuild` also calls `fill`.
    """

    def __init__(
        self, specs: tuple[SheetSpec, ...], world: World, tally: array[int], *, widest: Widest, limit: int
    ) -> None:
        self.specs = specs
        self.tally = tally
        self.world = world
        self.classes: list[Classes] = []
        self.regions: defaultdict[tuple[str, str], float] = defaultdict(float)
        self.open_answers: Counter[str] = Counter()
        self._widest = widest
        self._settled: dict[tuple[int, int], tuple[int, int]] = {}
        self._odds: dict[tuple[int, int], Odds] = {}
        self._sets: list[dict[int, AnswerSet]] = []
        self._conditions = _Conditions(world)
        self._outlooks: dict[str, Outlook] = {}
        numbers: dict[tuple[str, tuple[str, ...]], int] = {}
        made: list[Sheet] = []
        for spec in specs:
            key = (spec.policy, tuple(r.region for r in world.pools[spec.pool].regions))
            if key not in numbers:
                numbers[key] = len(numbers)
                self.classes.append(Classes(plan_of(world, spec), limit))
            number = numbers[key]
            sets: dict[int, AnswerSet] = {}
            self._sets.append(sets)
            made.append(Sheet(number, spec.pick is Pick.STICKY, spec.empty, spec.empty_ttl, sets))
        self.sheets = tuple(made)

    def classify(self, plan: int, located: Located, subnet: Subnet) -> tuple[int, int]:
        """A client's class in a plan, and the scope for which it holds, in bits of the subnet's family."""
        number, asked = self.classes[plan].of(located.place)
        scope = scope_of(asked, located, subnet.family, self._widest)
        return number, max(scope, plain(subnet)) if scope else 0

    def fill(self, sheet: int, number: int) -> AnswerSet:
        """The answer set of a class that a sheet has not answered before."""
        made = self._make(sheet, number, self._odds_of(sheet, number))
        self._sets[sheet][number] = made
        return made

    def ahead(self, most: int) -> Iterator[tuple[int, int, AnswerSet]]:
        """Make the sets of all classes that are numbered, at most `most` of them: (sheet, class, set)."""
        left = most
        for index, sheet in enumerate(self.sheets):
            for number in range(len(self.classes[sheet.plan].orders)):
                if number not in self._sets[index] and left:
                    left -= 1
                    yield index, number, self.fill(index, number)

    def rebuild(
        self, world: World, touched: frozenset[str], publish: Publish = lambda sheets: None
    ) -> tuple[Sheet, ...]:
        """The sheets after a change of the world: touched pools anew, the others as they were.

        `publish` puts them into service, and sees to it that all that was answered before is counted: it is
        booked by the odds that it was answered by.
        """
        self.world = world
        self._conditions = _Conditions(world)
        self._outlooks.clear()
        shared: dict[tuple[str, int, int, int], Odds] = {}
        made: dict[tuple[int, int], Odds] = {}
        sheets = list(self.sheets)
        for index, spec in enumerate(self.specs):
            if spec.pool not in touched:
                continue
            old = sheets[index]
            sets: dict[int, AnswerSet] = {}
            for number in self._sets[index]:
                key = (spec.pool, old.plan, number, FAMILY[spec.rtype])
                if key not in shared:
                    shared[key] = self._odds_of(index, number)
                made[index, number] = shared[key]
                sets[number] = answer_set(spec, shared[key], self._settled[index, number][0])
            self._sets[index] = sets
            sheets[index] = Sheet(old.plan, old.sticky, old.empty, old.empty_ttl, sets)
        self.sheets = tuple(sheets)
        publish(self.sheets)
        self.settle()
        self._odds |= made
        return self.sheets

    def odds(self, sheet: int, number: int) -> Odds:
        """The odds that a filled answer set was made from."""
        return self._odds[sheet, number]

    def settle(self) -> None:
        """Book what was answered since the last time to the regions it was answered from.

        A set that spreads over regions is booked by its odds, which chance and turns keep to.
        """
        for key, (slot, counted) in self._settled.items():
            answered = self.tally[slot] - counted
            if answered:
                odds, pool = self._odds[key], self.specs[key[0]].pool
                for region, share in odds.shares().items():
                    self.regions[pool, region] += answered * share
                if odds.stage not in (Stage.AVAILABLE, Stage.HELD, Stage.PAUSED):
                    self.open_answers[pool] += answered
                self._settled[key] = (slot, self.tally[slot])

    def counts(self) -> Iterator[tuple[tuple[str, str, Order], int, int]]:
        """For each answer set (pool id, policy id, order), its counter, and what that has counted."""
        for (sheet, number), (slot, _) in self._settled.items():
            spec, order = self.specs[sheet], self.classes[self.sheets[sheet].plan].orders[number]
            yield (spec.pool, spec.policy, order), slot, self.tally[slot]

    def _odds_of(self, sheet: int, number: int) -> Odds:
        spec = self.specs[sheet]
        order = self.classes[self.sheets[sheet].plan].orders[number]
        pool = self.world.pools[spec.pool]
        if pool.id not in self._outlooks:
            self._outlooks[pool.id] = outlook_of(pool, self._conditions)
        return decide(pool, order, self._conditions, FAMILY[spec.rtype], self._outlooks[pool.id])

    def _make(self, sheet: int, number: int, odds: Odds) -> AnswerSet:
        key = (sheet, number)
        if key not in self._settled:
            self._settled[key] = (len(self.tally), 0)
            self.tally.append(0)
        self._odds[key] = odds
        return answer_set(self.specs[sheet], odds, self._settled[key][0])


def plan_of(world: World, spec: SheetSpec) -> Plan:
    """The plan of a sheet: its policy over its pool's regions."""
    pool: Pool = world.pools[spec.pool]
    return Plan(world.policies[spec.policy], tuple(world.regions[r.region] for r in pool.regions))


class _Conditions:
    """The world's conditions with each endpoint's health looked up once."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._health: dict[tuple[int, int], Health] = {}

    def health_of(self, endpoint: Endpoint, family: int) -> Health:
        key = (id(endpoint), family)
        known = self._health.get(key)
        if known is None:
            known = self._health[key] = self._world.health_of(endpoint, family)
        return known

    def setting(self, pool: str, region: str) -> Setting:
        return self._world.setting(pool, region)

    def gauge(self, pool: str, region: str) -> Gauge | None:
        return self._world.gauge(pool, region)
