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
        self._networks = configured(lines.values(), policies)
        self._by_asn = by_asn(lines.values())
        self._city = databases.get(Kind.CITY)
        self._country = databases.get(Kind.COUNTRY)
        self._asn = databases.get(Kind.ASN)
        self._isp = databases.get(Kind.ISP)

    def locate(self, address: Address) -> Located:
        """The address's place, and the prefix lengths over which each part of it holds."""
        own, lines, own_block = self._networks.lookup(address)
        carrier, asn_block = self._carrier(address)
        where, geo_block = self._where(address)
        place = place_of(own, lines or self._by_asn.get(carrier.asn, _NO_LINES), carrier, where)
        return Located(place, own_block, asn_block, geo_block)

    def explain(self, address: Address) -> tuple[Evidence, ...]:
        """What every database says of the address, for people."""
        return tuple(_evidence(database, address) for database in self.databases.values())

    def describe(self, now: float) -> list[Description]:
        """The databases in use, for status and metrics; `now` is seconds since 1970."""
        return [
            Description(d.kind, str(d.path), d.type, d.built, d.age_days(now), d.synthetic, d.nodes, d.errors)
            for d in self.databases.values()
        ]

    def _carrier(self, address: Address) -> tuple[Carrier, int]:
        """The ASN database's word on the number, the ISP database's on the provider; 0 without either."""
        if self._asn is None and self._isp is None:
            return _NO_CARRIER, 0
        by_number, block = self._asn.lookup(address) if self._asn else ({}, 0)
        if self._isp is None:
            return carrier_of(by_number, {}), block
        by_provider, other = self._isp.lookup(address)
        return carrier_of(by_number, by_provider), max(block, other)

    def _where(self, address: Address) -> tuple[Where, int]:
        """The City database's word, completed by the Country database where it names no country."""
        record, block = self._city.lookup(address) if self._city else ({}, 0)
        if self._country is not None and not _names_country(record):
            other, other_block = self._country.lookup(address)
            record, block = completed(record, other), max(block, other_block)
        return (where_of(record) if record else _NOWHERE), block


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


def place_of(own: frozenset[str], lines: frozenset[str], carrier: Carrier, where: Where) -> Place:
    """What is known of a client, put together."""
    return Place(
        own=own,
        lines=lines,
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


def carrier_of(by_number: Mapping[str, Any], by_provider: Mapping[str, Any]) -> Carrier:
    best = by_number if "autonomous_system_number" in by_number else by_provider
    return Carrier(
        _number(best, "autonomous_system_number"),
        _text(best, "autonomous_system_organization"),
        _text(by_provider, "isp"),
    )


def completed(record: Mapping[str, Any], other: Mapping[str, Any]) -> Mapping[str, Any]:
    """A City database's record, completed by the Country database's where it names no country."""
    return record if _names_country(record) else {**other, **record, "country": other.get("country")}


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


def _names_country(record: Mapping[str, Any]) -> bool:
    return bool(_text(record.get("country"), "iso_code"))


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
