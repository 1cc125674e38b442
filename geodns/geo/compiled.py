"""Places compiled: databases, lines and own networks as one look-up from an address to its class in a plan.

The native lane's counterpart of `Geography.locate` and `Sheets.classify`. What a record means and what the
rules say of a place is asked of the same functions as there, once for each place that differs. What is done
natively is done with blocks of addresses, of which nothing is known there but numbers.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import nan
from typing import Any, TypeVar

from geodns import _native
from geodns._native import Classifier, Layer, Places, Records
from geodns.core.compile.sheets import Classes, Widest
from geodns.core.place import matches, uses
from geodns.core.steer.orders import Direction, Order, Plan, by_distance, direction, directions
from geodns.errors import GeodnsError
from geodns.geo.lines import by_asn
from geodns.geo.locate import Carrier, Where, carrier_of, completed, place_of, where_of
from geodns.geo.mmdb import Database, Kind
from geodns.geo.networks import Answer, configured
from geodns.model import Line, When

T = TypeVar("T")

# The parts of records that are read: those that every order may depend on, those that few rules ask for.
GEO = ("country", "continent", "location")
CITY = ("city", "subdivisions")
CARRIER = ("autonomous_system_number",)

STRETCH = (
    500  # places between two pauses, in which other threads get the interpreter: some half a millisecond
)
PAUSE = 20e-6  # seconds

_NONE: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class CompiledPlan:
    """The classes of a plan: their orders, that of most IPv4 addresses first, and where each holds.

    `left_out`: how many orders there are beyond the limit; whose is such a one is in the first class.
    """

    orders: tuple[Order, ...]
    left_out: int
    places: Places


@dataclass(frozen=True, slots=True)
class Compiled:
    """Plans, in the order in which they were given."""

    plans: tuple[CompiledPlan, ...]

    def classifier(self, classes: Sequence[Classes], widest: Widest) -> Classifier:
        """What finds clients' classes, by the numbers of `classes` (the plans' own), which learn them all.

        For the thread that owns the classes.
        """
        found = []
        for plan, known in zip(self.plans, classes, strict=True):
            found.append((plan.places, [known.number(order) for order in plan.orders]))
            known.overflows += plan.left_out
        return _native.Classifier(found, widest.ipv4, widest.ipv6)


class Compiler:
    """Compiles plans, and keeps those of this time and the last: what stays the same is not made anew.

    For one thread at a time.
    """

    def __init__(self, limit: int) -> None:
        """`limit`: how many classes a plan may have."""
        self._limit = limit
        self._now: dict[Hashable, CompiledPlan] = {}
        self._before: dict[Hashable, CompiledPlan] = {}

    def compile(
        self, plans: Iterable[Plan], databases: Mapping[Kind, Database], lines: Mapping[str, Line]
    ) -> Compiled:
        """The plans over these databases and lines (all of them). Takes seconds; holds nobody up for long.

        Raises GeodnsError for a database that cannot be read as a whole; look-ups in it go on.
        """
        asks = [_Asks(plan) for plan in plans]
        keys = [ask.key(databases, lines) for ask in asks]
        known = self._before | self._now
        world = _World(
            databases,
            lines,
            city=any(ask.city for ask, key in zip(asks, keys, strict=True) if key not in known),
        )
        found: dict[Hashable, CompiledPlan] = {}
        for ask, key in zip(asks, keys, strict=True):
            if key not in found:
                found[key] = known[key] if key in known else _compile(ask, world, self._limit)
        self._before, self._now = self._now, found
        return Compiled(tuple(found[key] for key in keys))


class _Asks:
    """What a plan can ask of a place. `there`: where its regions lie, nothing where no distance matters."""

    def __init__(self, plan: Plan) -> None:
        whens = [rule.when for rule in plan.policy.rules]
        there = tuple(directions(plan.regions))
        self.plan = plan
        self.networks = frozenset(network for when in whens for network in when.networks)
        self.lines = frozenset(line for when in whens for line in when.lines)
        self.asns = frozenset(asn for when in whens for asn in when.asns)
        self.geo = [_geo(when) for when in whens if uses(when).geo]
        self.city = any(when.cities or when.subdivisions for when in whens)
        self.there = there if len(there) > 1 and any(there) else ()

    def kinds(self) -> set[Kind]:
        """The databases that matter."""
        carrier = {Kind.ASN, Kind.ISP} if self.lines or self.asns else set()
        return carrier | ({Kind.CITY, Kind.COUNTRY} if self.geo or self.there else set())

    def key(self, databases: Mapping[Kind, Database], lines: Mapping[str, Line]) -> Hashable:
        """All that decides what is made of the plan."""
        read = frozenset((kind, databases[kind].identity) for kind in self.kinds() & databases.keys())
        named = lines.values() if self.lines else ()
        return self.plan, read, frozenset((line.id, line.asns, line.networks) for line in named)


def _geo(when: When) -> When:
    return When(
        cities=when.cities,
        subdivisions=when.subdivisions,
        countries=when.countries,
        continents=when.continents,
    )


class _World:
    """What databases and lines say, read when it is first asked for: layers, and what their numbers mean."""

    def __init__(self, databases: Mapping[Kind, Database], lines: Mapping[str, Line], *, city: bool) -> None:
        self.lines = lines
        self.by_asn = by_asn(lines.values())
        self._databases = databases
        self._parts = (*GEO, *CITY) if city else GEO
        self._wheres: tuple[Layer, _Wheres] | None = None
        self._carriers: tuple[Layer, list[Carrier]] | None = None

    def wheres(self) -> tuple[Layer, _Wheres]:
        """What City and Country databases say."""
        if self._wheres is None:
            layer, pairs = self._told((Kind.CITY, Kind.COUNTRY), self._parts)
            self._wheres = layer, _Wheres(where_of(completed(*pair)) for pair in pairs)
        return self._wheres

    def carriers(self) -> tuple[Layer, list[Carrier]]:
        """What ASN and ISP databases say."""
        if self._carriers is None:
            layer, pairs = self._told((Kind.ASN, Kind.ISP), CARRIER)
            self._carriers = layer, [carrier_of(*pair) for pair in _gently(pairs)]
        return self._carriers

    def _told(
        self, kinds: tuple[Kind, Kind], parts: Collection[str]
    ) -> tuple[Layer, Iterable[tuple[Mapping[str, Any], ...]]]:
        """What two kinds of database, where there are such, say together, and for each number the records."""
        read = {kind: _read(self._databases[kind], parts) for kind in kinds if kind in self._databases}
        if not read:
            return _everywhere(), [({}, {})]
        layers, said = zip(*read.values(), strict=True)
        numbers: list[Sequence[int]] = [range(len(said[0]))]
        layer = layers[0]
        if len(layers) > 1:
            layer, columns = Layer.over(layers)
            numbers = [array("I", column) for column in columns]
        by_kind = dict(zip(read, zip(said, numbers, strict=True), strict=True))
        return layer, _pairs([by_kind.get(kind) for kind in kinds], len(numbers[0]))


def _read(database: Database, parts: Collection[str]) -> tuple[Layer, Records]:
    """A database's blocks by the numbers of their records, of which 0 is the empty one."""
    try:
        return Layer.read(database.content(), set(parts))
    except ValueError as error:
        raise GeodnsError(f"{database.path}: it cannot be read as a whole ({error})") from None


def _pairs(
    told: Sequence[tuple[Records, Sequence[int]] | None], count: int
) -> Iterator[tuple[Mapping[str, Any], ...]]:
    """One record after the other of two databases, by their numbers; an empty one for want of a database."""
    for first in range(0, count, STRETCH):
        some = slice(first, min(first + STRETCH, count))
        empty: list[dict[str, Any]] = [{}] * (some.stop - some.start)
        yield from zip(
            *(one[0].pick(one[1][some]) if one is not None else empty for one in told), strict=True
        )


class _Wheres:
    """Places as columns: hundreds of thousands of objects would hold up whoever has to collect them."""

    def __init__(self, wheres: Iterable[Where]) -> None:
        self.said: list[tuple[Any, ...]] = []  # all but coordinates
        self.number = array("I")  # in that list
        self._at = array("d"), array("d")
        self._ranks: dict[tuple[Direction | None, ...], array[int]] = {}
        numbers: dict[tuple[Any, ...], int] = {}
        for where in _gently(wheres):
            said = (*where[:5], where.at_from)
            number = numbers.setdefault(said, len(self.said))
            if number == len(self.said):
                self.said.append(said)
            self.number.append(number)
            for column, degrees in zip(self._at, where.at or (nan, nan), strict=True):
                column.append(degrees)

    def __getitem__(self, index: int) -> Where:
        *said, at_from = self.said[self.number[index]]
        at = (self._at[0][index], self._at[1][index]) if at_from else None
        return Where._make((*said, at, at_from))

    def ranks(self, there: tuple[Direction | None, ...]) -> array[int]:
        """For each the number of the order in which regions lie around it."""
        known = self._ranks.get(there)
        if known is None:
            numbers: dict[tuple[int, ...], int] = {tuple(range(len(there))): 0}
            known = self._ranks[there] = array("I")
            for at in _gently(zip(*self._at, strict=True)):
                near = tuple(by_distance(direction(at), there)) if at[0] == at[0] else ()
                known.append(numbers.setdefault(near, len(numbers)) if near else 0)
        return known


def _compile(asks: _Asks, world: _World, limit: int) -> CompiledPlan:
    """One plan: its order is asked for every combination of facts that differ for it."""
    own, answers = _own_facts(asks, world)
    carrier, carriers = _carrier_facts(asks, world)
    geo, wheres = _geo_facts(asks, world)
    layer, columns = Layer.over([own, carrier, geo])
    numbers: dict[Order, int] = {}
    order_of: list[int] = []
    everybody = True
    for answer, number, where in _gently(zip(*(array("I", column) for column in columns), strict=True)):
        (networks, lines), known = answers[answer], carriers[number]
        place = place_of(networks, lines or world.by_asn.get(known.asn, _NONE), known, wheres[where])
        ordered = asks.plan.order(place)
        everybody = everybody and not (ordered.asked.own or ordered.asked.asn or ordered.asked.geo)
        order_of.append(numbers.setdefault(ordered.order, len(numbers)))
    sizes = [0] * len(numbers)
    for order, size in zip(order_of, layer.addresses(len(order_of)), strict=True):
        sizes[order] += size
    ranked = sorted(range(len(numbers)), key=lambda order: -sizes[order])
    class_of = {order: rank if rank < limit else 0 for rank, order in enumerate(ranked)}
    orders = list(numbers)
    return CompiledPlan(
        tuple(orders[order] for order in ranked[:limit]),
        max(0, len(orders) - limit),
        Places(layer.mapped(array("I", (class_of[order] for order in order_of))), everybody),
    )


def _own_facts(asks: _Asks, world: _World) -> tuple[Layer, list[Answer]]:
    """Own networks and what they say, as far as it matters to a plan."""
    networks = configured(world.lines.values() if asks.lines else (), [asks.plan.policy])
    runs = [networks.runs(version) for version in (4, 6)]
    answers = [answer for family in runs for _, answer in family]
    numbers, first = _alike((own & asks.networks, lines & asks.lines, bool(lines)) for own, lines in answers)
    number = iter(numbers)
    v4, v6 = ([(start, next(number)) for start, _ in family] for family in runs)
    return Layer(v4, v6), [answers[i] for i in first]


def _carrier_facts(asks: _Asks, world: _World) -> tuple[Layer, list[Carrier]]:
    """What ASN and ISP databases say, as far as it matters to a plan."""
    if not (asks.lines or asks.asns):
        return _everywhere(), [carrier_of({}, {})]
    layer, carriers = world.carriers()
    numbers, first = _alike(
        (known.asn if known.asn in asks.asns else None, world.by_asn.get(known.asn, _NONE) & asks.lines)
        for known in carriers
    )
    return layer.mapped(numbers), [carriers[i] for i in first]


def _geo_facts(asks: _Asks, world: _World) -> tuple[Layer, list[Where]]:
    """What City and Country databases say, as far as it matters to a plan."""
    if not (asks.geo or asks.there):
        return _everywhere(), [where_of({})]
    layer, wheres = world.wheres()
    nobody = carrier_of({}, {})
    met = []
    for said in _gently(wheres.said):
        place = place_of(_NONE, _NONE, nobody, Where._make((*said[:5], None, "")))
        met.append(tuple(matches(when, place) for when in asks.geo))
    numbers, first = _alike(zip((met[said] for said in wheres.number), wheres.ranks(asks.there), strict=True))
    return layer.mapped(numbers), [wheres[i] for i in first]


def _everywhere() -> Layer:
    return Layer([(0, 0)], [(0, 0)])


def _alike(keys: Iterable[Hashable]) -> tuple[array[int], list[int]]:
    """Each key's number, and by number the index of the first that has it."""
    numbers: dict[Hashable, int] = {}
    first: list[int] = []
    of = array("I")
    for index, key in enumerate(_gently(keys)):
        number = numbers.setdefault(key, len(first))
        if number == len(first):
            first.append(index)
        of.append(number)
    return of, first


def _gently(found: Iterable[T]) -> Iterator[T]:
    """What was found, with pauses."""
    for number, one in enumerate(found, 1):
        yield one
        if not number % STRETCH:
            time.sleep(PAUSE)
