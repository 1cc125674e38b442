"""Places compiled for the native lane: from every address there is to its class, in each plan.

The databases are read in Rust, which tells the different places; the rules are asked of each of them once,
here. What of a plan, its databases, lines and networks did not change is kept from one time to the next.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from geodns import _native
from geodns.core.place import Place
from geodns.core.steer.orders import Order, Plan
from geodns.errors import GeodnsError
from geodns.geo.locate import Geography, Records
from geodns.geo.mmdb import Kind
from geodns.model import Policy

_KINDS = (Kind.CITY, Kind.COUNTRY, Kind.ASN, Kind.ISP)


@dataclass(frozen=True, slots=True)
class Compiled:
    """A plan's places, whose classes are numbered as the orders stand in `orders`."""

    orders: tuple[Order, ...]
    places: _native.Places


class Compiler:
    """Compiles plans, and keeps those of the last time. Takes seconds: not for the thread that answers."""

    def __init__(self) -> None:
        self._sources: Hashable = None
        self._kept: dict[Plan, Compiled] = {}

    def compile(self, geography: Geography, plans: Sequence[Plan]) -> list[Compiled]:
        """The plans' classes, in their order. Raises GeodnsError where a database cannot be read."""
        sources = _sources(geography)
        kept = self._kept if sources == self._sources else {}
        missing = [plan for plan in dict.fromkeys(plans) if plan not in kept]
        if missing:
            kept = {**kept, **_compiled(geography, missing)}
        self._sources, self._kept = sources, {plan: kept[plan] for plan in plans}
        return [kept[plan] for plan in plans]


def _sources(geography: Geography) -> Hashable:
    """All that places follow from, to be compared with what it was before."""
    runs = tuple((tuple(found), tuple(answers)) for found, answers in map(geography.networks.runs, (4, 6)))
    lines = frozenset((line.id, line.asns) for line in geography.lines.values())
    return tuple(map(geography.databases.get, _KINDS)), runs, lines


def _compiled(geography: Geography, plans: Sequence[Plan]) -> dict[Plan, Compiled]:
    places, survey = _survey(geography, [plan.policy for plan in plans])
    return {plan: _classified(plan, places, survey) for plan in plans}


def _survey(geography: Geography, policies: Sequence[Policy]) -> tuple[list[Place], _native.Survey]:
    """Every different place that there is, as far as the policies can tell them apart."""
    (own4, answers4), (own6, answers6) = geography.networks.runs(4), geography.networks.runs(6)
    whens = [rule.when for policy in policies for rule in policy.rules]
    asked = {asn for when in whens for asn in when.asns}
    named = {asn for line in geography.lines.values() for asn in line.asns}
    databases = [geography.databases.get(kind) for kind in _KINDS]
    octets = [None if database is None else database.octets() for database in databases]
    try:
        survey = _native.Survey(
            octets,
            own4,
            [(start, number + len(answers4)) for start, number in own6],
            subdivisions=any(when.subdivisions or when.cities for when in whens),
            city=any(when.cities for when in whens),
            coordinates=True,
            systems=asked | named,
        )
    except ValueError as error:
        raise GeodnsError(f"a geo database cannot be compiled: {error}") from None
    answers = answers4 + answers6
    city, country, asn, isp = (survey.records(number) for number in range(len(_KINDS)))
    nothing: list[dict[str, object]] = [{}]
    tables = (city or nothing, country or nothing, asn or nothing, isp or nothing)
    places = []
    for own, *numbers in survey.places():
        networks, lines = answers[own]
        told = Records(*(table[number] for table, number in zip(tables, numbers, strict=True)))
        places.append(geography.place(networks, lines, told))
    return places, survey


def _classified(plan: Plan, places: Sequence[Place], survey: _native.Survey) -> Compiled:
    """Ask a plan for the order of every place, once for all that are alike to it."""
    numbers: dict[Order, int] = {}
    known: dict[Hashable, int] = {}
    classes = []
    somebodys = False
    for place in places:
        key = plan.alike(place)
        number = known.get(key)
        if number is None:
            ordered = plan.order(place)
            asked = ordered.asked
            somebodys |= asked.own or asked.asn or asked.geo
            number = known[key] = numbers.setdefault(ordered.order, len(numbers))
        classes.append(number)
    return Compiled(tuple(numbers), survey.classified(classes, not somebodys))
