"""What the rules ask of the databases, and what they ask in vain."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from geodns.errors import Position, Problem, Severity
from geodns.geo.locate import carrier_of, where_of
from geodns.geo.mmdb import Database, Kind
from geodns.model import Line, Model, Nearest, Policy, Pool, Rule, Steer, When

MAX_SCANNED_NODES = 100_000  # a second or two; real databases are far larger, the synthetic ones far smaller

_GEO = frozenset({Kind.CITY, Kind.COUNTRY})
_CARRIER = frozenset({Kind.ASN, Kind.ISP})
_TOLD_BY = {
    "asn": _CARRIER,
    "city": frozenset({Kind.CITY}),
    "subdivision": frozenset({Kind.CITY}),
    "country": _GEO,
    "continent": _GEO,
}


@dataclass(frozen=True, slots=True)
class Need:
    """A rule's key, and the kinds of database any one of which can answer it."""

    key: str
    kinds: frozenset[Kind]
    position: Position


def needs(model: Model, lines: Mapping[str, Line]) -> tuple[Need, ...]:
    """What every rule needs, in the order of the files; `lines` are all lines, carriers included."""
    return tuple(
        Need(key, kinds, rule.position)
        for policy in model.policies.values()
        for rule in policy.rules
        for key, kinds in _needs(rule, lines)
    )


def missing(model: Model, lines: Mapping[str, Line], kinds: Collection[Kind]) -> tuple[Problem, ...]:
    """Problems for what the rules need and no database of these kinds gives.

    A `when` without its database is an error: the rule could never match. `nearest` without coordinates is
    a warning, once a policy: the regions are then taken in the order of the file.
    """
    found = [
        Problem(
            "missing-database",
            f"the rule asks for `{need.key}`, but no {_names(need.kinds)} database is configured",
            need.position,
            f"set databases.{min(need.kinds, key=list(Kind).index)} in geodns.yaml",
        )
        for need in needs(model, lines)
        if need.kinds.isdisjoint(kinds)
    ]
    if _GEO.isdisjoint(kinds):
        found += [
            Problem(
                "missing-database",
                "`nearest` without a City or Country database takes the regions in the order of the file",
                position,
                "set databases.city in geodns.yaml",
                Severity.WARNING,
            )
            for policy in model.policies.values()
            if (rule := _first_nearest(policy)) and (position := _where(policy, rule, model))
        ]
    return tuple(found)


def unknown_values(model: Model, databases: Mapping[Kind, Database]) -> tuple[Problem, ...]:
    """Warnings for values of `when` that no database knows, as far as the databases are small enough to read
    through (`MAX_SCANNED_NODES`); a larger one is taken to know everything.
    """
    keys = {key for key, kinds in _TOLD_BY.items() if _all_small(kinds, databases)}
    known = {value for d in databases.values() if d.nodes <= MAX_SCANNED_NODES for value in _values(d)}
    return tuple(
        Problem(
            "unknown-value",
            f"no database knows the {key} '{value}': the rule matches nobody by it",
            rule.position,
            severity=Severity.WARNING,
        )
        for policy in model.policies.values()
        for rule in policy.rules
        for key, value in _asked(rule.when)
        if key in keys and (key, value) not in known
    )


def _needs(rule: Rule, lines: Mapping[str, Line]) -> Iterator[tuple[str, frozenset[Kind]]]:
    if any(line in lines and lines[line].asns for line in rule.when.lines):
        yield "line", _CARRIER
    for key in dict.fromkeys(key for key, _ in _asked(rule.when)):
        yield key, _TOLD_BY[key]


def _names(kinds: frozenset[Kind]) -> str:
    titles = {Kind.CITY: "City", Kind.COUNTRY: "Country", Kind.ASN: "ASN", Kind.ISP: "ISP"}
    return " or ".join(titles[kind] for kind in Kind if kind in kinds)


def _first_nearest(policy: Policy) -> Rule | None:
    return next((r for r in policy.rules if any(isinstance(step, Nearest) for step in r.to)), None)


def _where(policy: Policy, rule: Rule, model: Model) -> Position | None:
    """A rule's place in the files; the built-in policy has none, so the first thing that uses it, if any."""
    if rule.position.file:
        return rule.position
    users: list[Pool | Steer] = [*model.pools.values()]
    users += [steer for zone in model.zones for steer in zone.steers]
    return next((user.position for user in users if user.policy == policy.id), None)


def _asked(when: When) -> Iterator[tuple[str, str]]:
    yield from (("asn", str(asn)) for asn in when.asns)
    yield from (("city", city) for city in when.cities)
    yield from (("subdivision", subdivision) for subdivision in when.subdivisions)
    yield from (("country", country) for country in when.countries)
    yield from (("continent", continent) for continent in when.continents)


def _all_small(kinds: frozenset[Kind], databases: Mapping[Kind, Database]) -> bool:
    sizes = [databases[kind].nodes for kind in kinds if kind in databases]
    return bool(sizes) and max(sizes) <= MAX_SCANNED_NODES


def _values(database: Database) -> Iterator[tuple[str, str]]:
    """Every (key, value) of a `when` that some record of the database satisfies."""
    for record in database:
        if database.kind in _CARRIER:
            yield "asn", str(carrier_of(record, {}).asn)
            continue
        where = where_of(record)
        yield "country", where.country
        yield "continent", where.continent
        yield "city", str(where.geoname_id)
        for subdivision in where.subdivisions:
            yield "subdivision", subdivision
            yield "city", f"{subdivision}/{where.city}"
