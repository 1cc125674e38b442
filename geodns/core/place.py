"""What is known of a client address, and which `when` it satisfies."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from geodns.model import When


@dataclass(frozen=True, slots=True)
class Place:
    """What is known of a client address; everything empty where nothing is known.

    `own`: the operator's networks (canonical CIDR) that hold the address; `lines`: ids of lines, those of
    its longest own network if that names any, else those of its ASN; `subdivisions`: ISO 3166-2, largest
    first; `at`: latitude and longitude of the address, or of its country's centre (`at_from` says which).
    """

    own: frozenset[str] = frozenset()
    lines: frozenset[str] = frozenset()
    asn: int = 0
    organization: str = ""
    isp: str = ""
    city: str = ""
    geoname_id: int = 0
    subdivisions: tuple[str, ...] = ()
    country: str = ""
    continent: str = ""
    at: tuple[float, float] | None = None
    at_from: str = ""  # "location" | "country" | ""


@dataclass(frozen=True, slots=True)
class Located:
    """A place and the prefix lengths, in the address's own family, of the blocks that each part held for.

    `own` is the largest block around the address over which every own network gives the same; `asn` and
    `geo` are the databases' blocks (of the entry, or of the hole where there is no entry); 0 without one.
    """

    place: Place
    own: int = 0
    asn: int = 0
    geo: int = 0


EMPTY = Place()


def matches(when: When, place: Place) -> bool:
    """Whether every key that `when` has is met by one of its values."""
    return not unmet(when, place)


def unmet(when: When, place: Place) -> str:
    """The first key of `when` that the place does not meet, or an empty string."""
    if when.networks and place.own.isdisjoint(when.networks):
        return "network"
    if when.lines and place.lines.isdisjoint(when.lines):
        return "line"
    if when.asns and place.asn not in when.asns:
        return "asn"
    if when.cities and not _in_city(when.cities, place):
        return "city"
    if when.subdivisions and not set(when.subdivisions).intersection(place.subdivisions):
        return "subdivision"
    if when.countries and place.country not in when.countries:
        return "country"
    if when.continents and place.continent not in when.continents:
        return "continent"
    return ""


def _in_city(cities: tuple[str, ...], place: Place) -> bool:
    names = {f"{s}/{place.city}" for s in place.subdivisions} if place.city else set()
    return any(c in names or c == str(place.geoname_id) for c in cities)


@dataclass(frozen=True, slots=True)
class Uses:
    """Which parts of a place a set of rules can ask for; decides what the scope must cover."""

    own: bool
    asn: bool
    geo: bool


@lru_cache(maxsize=4096)
def uses(when: When) -> Uses:
    return Uses(
        own=bool(when.networks or when.lines),
        asn=bool(when.asns or when.lines),
        geo=bool(when.cities or when.subdivisions or when.countries or when.continents),
    )
