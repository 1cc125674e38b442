"""Places compiled: databases, lines and own networks as one look-up from an address to its class in a plan.

The native lane's counterpart of `Geography.locate` and `Sheets.classify`. What a record means and what the
rules say of a place is asked of the same functions as there, once for each place that differs. What is done
natively is done with blocks of addresses, of which nothing is known there but numbers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
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
        self._wheres: tuple[Layer, list[Where]] | None = None
        self._carriers: tuple[Layer, list[Carrier]] | None = None
        self._ranks: dict[tuple[Direction | None, ...], _Ranks] = {}

    def wheres(self) -> tuple[Layer, list[Where]]:
        """What City and Country databases say."""
        if self._wheres is None:
            self._wheres = self._told(
                (Kind.CITY, Kind.COUNTRY), self._parts, lambda one, other: where_of(completed(one, other))
            )
        return self._wheres

    def carriers(self) -> tuple[Layer, list[Carrier]]:
        """What ASN and ISP databases say."""
        if self._carriers is None:
            self._carriers = self._told((Kind.ASN, Kind.ISP), CARRIER, carrier_of)
        return self._carriers

    def ranks(self, there: tuple[Direction | None, ...]) -> _Ranks:
        """From coordinates to the order of what lies there by distance."""
        if there not in self._ranks:
            self._ranks[there] = _Ranks(there)
        return self._ranks[there]

    def _told(
        self,
        kinds: tuple[Kind, Kind],
        parts: Collection[str],
        meaning: Callable[[Mapping[str, Any], Mapping[str, Any]], T],
    ) -> tuple[Layer, list[T]]:
        """What the records of two kinds of database, where there are such, mean together."""
        read = {kind: _read(self._databases[kind], parts) for kind in kinds if kind in self._databases}
        layer, met = Layer.over([layer for layer, _ in read.values()] or [Layer([(0, 0)], [(0, 0)])])
        pairs = _pairs(kinds, {kind: records for kind, (_, records) in read.items()}, met)
        numbers, meanings = _alike((meaning(*pair) for pair in pairs), lambda found: found)
        return layer.mapped(numbers), meanings


def _read(database: Database, parts: Collection[str]) -> tuple[Layer, Records]:
    """A database's blocks by the numbers of their records, of which 0 is the empty one."""
    try:
        return Layer.read(database.content(), set(parts))
    except ValueError as error:
        raise GeodnsError(f"{database.path}: it cannot be read as a whole ({error})") from None


def _pairs(
    kinds: tuple[Kind, Kind], said: Mapping[Kind, Records], met: Sequence[Sequence[int]]
) -> Iterator[tuple[Mapping[str, Any], ...]]:
    """For each combination the records of both kinds, empty ones of a kind that is not there."""
    for first in range(0, len(met), STRETCH):
        some = met[first : first + STRETCH]
        picked: dict[Kind, list[Mapping[str, Any]]] = dict.fromkeys(kinds, [{}] * len(some))
        for (kind, records), numbers in zip(said.items(), zip(*some, strict=True), strict=False):
            picked[kind] = [*records.pick(numbers)]
        yield from zip(*picked.values(), strict=True)


class _Ranks(dict[tuple[float, float] | None, int]):
    """From coordinates to the number of the order in which places lie around them."""

    def __init__(self, there: tuple[Direction | None, ...]) -> None:
        self._there = there
        self._numbers: dict[tuple[int, ...], int] = {}

    def __missing__(self, at: tuple[float, float] | None) -> int:
        near = by_distance(direction(at), self._there) if at and self._there else range(len(self._there))
        self[at] = found = self._numbers.setdefault(tuple(near), len(self._numbers))
        return found


class _Met(dict[tuple[Any, ...], int]):
    """From what a `Where` says beside coordinates to the number of the set of conditions that it meets."""

    def __init__(self, whens: Sequence[When]) -> None:
        self._whens = whens
        self._numbers: dict[tuple[bool, ...], int] = {}

    def __missing__(self, said: tuple[Any, ...]) -> int:
        place = place_of(_NONE, _NONE, carrier_of({}, {}), Where._make((*said, None, "")))
        met = tuple(matches(when, place) for when in self._whens)
        self[said] = found = self._numbers.setdefault(met, len(self._numbers))
        return found


def _compile(asks: _Asks, world: _World, limit: int) -> CompiledPlan:
    """One plan: its order is asked for every combination of facts that differ for it."""
    own, answers = _own_facts(asks, world)
    carrier, carriers = _carrier_facts(asks, world)
    geo, wheres = _geo_facts(asks, world)
    layer, met = Layer.over([own, carrier, geo])
    numbers: dict[Order, int] = {}
    order_of: list[int] = []
    everybody = True
    for answer, number, where in _gently(met):
        (networks, lines), known = answers[answer], carriers[number]
        place = place_of(networks, lines or world.by_asn.get(known.asn, _NONE), known, wheres[where])
        ordered = asks.plan.order(place)
        everybody = everybody and not (ordered.asked.own or ordered.asked.asn or ordered.asked.geo)
        order_of.append(numbers.setdefault(ordered.order, len(numbers)))
    sizes = [0] * len(numbers)
    for order, size in zip(order_of, layer.addresses(len(met)), strict=True):
        sizes[order] += size
    ranked = sorted(range(len(numbers)), key=lambda order: -sizes[order])
    class_of = {order: rank if rank < limit else 0 for rank, order in enumerate(ranked)}
    orders = list(numbers)
    return CompiledPlan(
        tuple(orders[order] for order in ranked[:limit]),
        max(0, len(orders) - limit),
        Places(layer.mapped([class_of[order] for order in order_of]), everybody),
    )


def _own_facts(asks: _Asks, world: _World) -> tuple[Layer, list[Answer]]:
    """Own networks and what they say, as far as it matters to a plan."""
    networks = configured(world.lines.values() if asks.lines else (), [asks.plan.policy])
    runs = [networks.runs(version) for version in (4, 6)]
    numbers, answers = _alike(
        (answer for family in runs for _, answer in family),
        lambda answer: (answer[0] & asks.networks, answer[1] & asks.lines, bool(answer[1])),
    )
    number = iter(numbers)
    v4, v6 = ([(start, next(number)) for start, _ in family] for family in runs)
    return Layer(v4, v6), answers


def _carrier_facts(asks: _Asks, world: _World) -> tuple[Layer, list[Carrier]]:
    """What ASN and ISP databases say, as far as it matters to a plan."""
    layer, carriers = world.carriers() if asks.lines or asks.asns else _everywhere(carrier_of({}, {}))
    numbers, found = _alike(
        carriers,
        lambda known: (
            known.asn if known.asn in asks.asns else None,
            world.by_asn.get(known.asn, _NONE) & asks.lines,
        ),
    )
    return layer.mapped(numbers), found


def _geo_facts(asks: _Asks, world: _World) -> tuple[Layer, list[Where]]:
    """What City and Country databases say, as far as it matters to a plan."""
    layer, wheres = world.wheres() if asks.geo or asks.there else _everywhere(where_of({}))
    met, ranks = _Met(asks.geo), world.ranks(asks.there)
    numbers, found = _alike(wheres, lambda where: (met[where[:5]], ranks[where.at]))
    return layer.mapped(numbers), found


def _everywhere(fact: T) -> tuple[Layer, list[T]]:
    return Layer([(0, 0)], [(0, 0)]), [fact]


def _alike(found: Iterable[T], key: Callable[[T], Hashable]) -> tuple[list[int], list[T]]:
    """For each of what was found the number of its key, and by number the first that has it."""
    numbers: dict[Hashable, int] = {}
    first: list[T] = []
    of: list[int] = []
    for one in _gently(found):
        number = numbers.setdefault(key(one), len(first))
        if number == len(first):
            first.append(one)
        of.append(number)
    return of, first


def _gently(found: Iterable[T]) -> Iterator[T]:
    """What was found, with pauses."""
    for number, one in enumerate(found, 1):
        yield one
        if not number % STRETCH:
            time.sleep(PAUSE)
