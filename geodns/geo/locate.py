"""From an address to its place: own networks, then ASN and ISP, then geography.

Each database is asked once an address, and a record is read no further than a rule can ask. Nothing is
special about private addresses: what no database and no network knows has an empty place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any, NamedTuple

from geoip2 import models

from geodns.core.place import Located, Place
from geodns.geo.countries import countries
from geodns.geo.lines import by_asn
from geodns.geo.mmdb import Address, Database, Kind
from geodns.geo.networks import configured
from geodns.model import Line, Policy

_NO_LINES: frozenset[str] = frozenset()
_COUNTRIES = countries()


@dataclass(frozen=True, slots=True)
class Description:
    """A database as `status` and the metrics show it; `built` is seconds since 1970."""

    kind: Kind
    path: str
    type: str
    built: int
    age_days: float
    synthetic: bool
    nodes: int
    errors: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one database says of an address: its block there, and the record in a person's words."""

    kind: Kind
    type: str
    network: str
    says: str


class Geography:
    """What is known of the world at one moment: databases, lines and own networks. Never changes.

    `lines` are all lines, carriers included; the networks are those of the lines and of the policies' rules.
    """

    def __init__(
        self, databases: Mapping[Kind, Database], lines: Mapping[str, Line], policies: Iterable[Policy]
    ) -> None:
        self.databases = dict(databases)
        self.lines = dict(lines)
        self.synthetic = any(d.synthetic for d in databases.values())
        self.networks = configured(lines.values(), policies)
        self._by_asn = by_asn(lines.values())

    def locate(self, address: Address) -> Located:
        """The address's place, and the prefix lengths over which each part of it holds."""
        own, lines, own_block = self.networks.lookup(address)
        by_number, asn_block = self._look(Kind.ASN, address)
        by_provider, isp_block = self._look(Kind.ISP, address)
        city, geo_block = self._look(Kind.CITY, address)
        country: Mapping[str, Any] = {}
        if Kind.COUNTRY in self.databases and not names_country(city):
            country, country_block = self._look(Kind.COUNTRY, address)
            geo_block = max(geo_block, country_block)
        place = self.place(own, lines, Records(city, country, by_number, by_provider))
        return Located(place, own_block, max(asn_block, isp_block), geo_block)

    def place(self, own: frozenset[str], lines: frozenset[str], told: Records) -> Place:
        """The place of which own networks, the lines that these name, and the databases tell.

        The Country database completes the City database's word where that names no country.
        """
        carrier = carrier_of(told.asn, told.isp)
        record = told.city
        if Kind.COUNTRY in self.databases and not names_country(record):
            record = {**told.country, **record, "country": told.country.get("country")}
        where = where_of(record) if record else _NOWHERE
        return Place(
            own=own,
            lines=lines or self._by_asn.get(carrier.asn, _NO_LINES),
            asn=carrier.asn,
            organization=carrier.organization,
            isp=carrier.isp,
            city=where.city,
            geoname_id=where.geoname_id,
            subdivisions=where.subdivisions,
            country=where.country,
            continent=where.continent,
            at=where.at,
            at_from=where.at_from,
        )

    def explain(self, address: Address) -> tuple[Evidence, ...]:
        """What every database says of the address, for people."""
        return tuple(_evidence(database, address) for database in self.databases.values())

    def describe(self, now: float) -> list[Description]:
        """The databases in use, for status and metrics; `now` is seconds since 1970."""
        return [
            Description(d.kind, str(d.path), d.type, d.built, d.age_days(now), d.synthetic, d.nodes, d.errors)
            for d in self.databases.values()
        ]

    def _look(self, kind: Kind, address: Address) -> tuple[Mapping[str, Any], int]:
        """A database's record of an address, and its block; nothing of everything without the database."""
        database = self.databases.get(kind)
        return database.lookup(address) if database else ({}, 0)


class Records(NamedTuple):
    """What each database says of an address, empty where it says nothing."""

    city: Mapping[str, Any]
    country: Mapping[str, Any]
    asn: Mapping[str, Any]
    isp: Mapping[str, Any]


class Carrier(NamedTuple):
    asn: int
    organization: str
    isp: str


class Where(NamedTuple):
    city: str
    geoname_id: int
    subdivisions: tuple[str, ...]
    country: str
    continent: str
    at: tuple[float, float] | None
    at_from: str


_NO_CARRIER = Carrier(0, "", "")
_NOWHERE = Where("", 0, (), "", "", None, "")


def names_country(record: Mapping[str, Any]) -> bool:
    return bool(_text(record.get("country"), "iso_code"))


def carrier_of(by_number: Mapping[str, Any], by_provider: Mapping[str, Any]) -> Carrier:
    best = by_number if "autonomous_system_number" in by_number else by_provider
    return Carrier(
        _number(best, "autonomous_system_number"),
        _text(best, "autonomous_system_organization"),
        _text(by_provider, "isp"),
    )


def where_of(record: Mapping[str, Any]) -> Where:
    city = record.get("city")
    country = _text(record.get("country"), "iso_code")
    continent = _text(record.get("continent"), "code")
    at = _coordinates(record.get("location"))
    at_from = "location" if at else ""
    known = _COUNTRIES.get(country)
    if known and not at:
        at, at_from = known.at, "country"
    if known and not continent:
        continent = known.continent
    return Where(
        _text(city.get("names"), "en") if type(city) is dict else "",
        _number(city, "geoname_id"),
        _subdivisions(country, record.get("subdivisions")),
        country,
        continent,
        at,
        at_from,
    )


# A database is somebody else's file: a part that has not the type it should have is a part that is not there.


def _text(part: Any, key: str) -> str:
    value = part.get(key) if type(part) is dict else None
    return value if type(value) is str else ""


def _number(part: Any, key: str) -> int:
    value = part.get(key) if type(part) is dict else None
    return value if type(value) is int else 0


def _subdivisions(country: str, parts: Any) -> tuple[str, ...]:
    if type(parts) is not list or not country:
        return ()
    return tuple(f"{country}-{code}" for part in parts if (code := _text(part, "iso_code")))


def _coordinates(part: Any) -> tuple[float, float] | None:
    if type(part) is not dict:
        return None
    latitude, longitude = part.get("latitude"), part.get("longitude")
    if type(latitude) is not float or type(longitude) is not float:
        return None
    if -90 <= latitude <= 90 and -180 <= longitude <= 180:
        return latitude, longitude
    return None


def _evidence(database: Database, address: Address) -> Evidence:
    record, length = database.lookup(address)
    network = str(
        ip_network((int(address) if address.version == 4 else address.packed, length), strict=False)
    )
    try:
        says = _SAYS[database.kind](record, address) if record else "nothing"
    except (TypeError, AttributeError, ValueError):
        says = "something that is not in the layout of its kind"
    return Evidence(database.kind, database.type, network, says)


def _says_place(record: Mapping[str, Any], address: Address) -> str:
    told = models.City(["en"], ip_address=address, **record)
    parts = [told.city.name]
    parts += [f"{s.name or '?'} ({told.country.iso_code}-{s.iso_code})" for s in reversed(told.subdivisions)]
    parts += [f"{told.country.name or '?'} ({told.country.iso_code})" if told.country.iso_code else None]
    parts += [told.continent.name or told.continent.code]
    where = told.location
    if where.latitude is not None and where.longitude is not None:
        around = f" within {where.accuracy_radius} km" if where.accuracy_radius else ""
        parts.append(f"at {where.latitude:.2f}, {where.longitude:.2f}{around}")
    return ", ".join(part for part in parts if part) or "nothing"


def _says_asn(record: Mapping[str, Any], address: Address) -> str:
    told = models.ASN(address, **record)
    return f"AS{told.autonomous_system_number} {told.autonomous_system_organization or ''}".strip()


def _says_isp(record: Mapping[str, Any], address: Address) -> str:
    told = models.ISP(address, **record)
    number = f"AS{told.autonomous_system_number}" if told.autonomous_system_number else None
    return ", ".join(part for part in (told.isp, told.organization, number) if part) or "nothing"


_SAYS = {Kind.CITY: _says_place, Kind.COUNTRY: _says_place, Kind.ASN: _says_asn, Kind.ISP: _says_isp}
