"""Which rules can never decide: exact about what it claims, silent where it cannot know.

A rule is shadowed when an earlier one matches every place that it matches. Geography nests: a subdivision
lies in its country (`CN-GD` in `CN`), a city in its subdivision, a country in its continent.
"""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import IPv4Network, IPv6Network, ip_network

from geodns.config.countries import countries
from geodns.model import When


def covers(earlier: When, later: When) -> bool:
    """Whether every place that matches `later` also matches `earlier`."""
    return (
        _networks(earlier.networks, later.networks)
        and _within(earlier.lines, later.lines)
        and _within(earlier.asns, later.asns)
        and _within(earlier.cities, later.cities)
        and _any_within(earlier.subdivisions, _subdivisions(later))
        and _any_within(earlier.countries, _countries(later))
        and _any_within(earlier.continents, _continents(later))
    )


def contradicts(when: When) -> str:
    """What in the geography of `when` excludes each other, or an empty string."""
    allowed: set[str] | None = None
    for found in _countries(when):
        allowed = set(found) if allowed is None else allowed & set(found)
    if allowed is None:
        return ""
    if not allowed:
        return "its city, subdivision and country exclude each other"
    if when.continents and not {countries().get(c, "") for c in allowed} & set(when.continents):
        return f"{', '.join(sorted(allowed))} is not in continent {', '.join(when.continents)}"
    return ""


def _within(earlier: Collection[object], later: Collection[object]) -> bool:
    return not earlier or (bool(later) and set(later) <= set(earlier))


def _any_within(earlier: Collection[str], ways: list[set[str]]) -> bool:
    """`ways` are sets that the later rule's places all lie in; one inside `earlier` is enough."""
    return not earlier or any(way <= set(earlier) for way in ways)


def _networks(earlier: tuple[str, ...], later: tuple[str, ...]) -> bool:
    if not earlier:
        return True
    outer = [ip_network(text) for text in earlier]
    return bool(later) and all(any(_inside(ip_network(text), o) for o in outer) for text in later)


def _inside(inner: IPv4Network | IPv6Network, outer: IPv4Network | IPv6Network) -> bool:
    return (
        inner.version == outer.version
        and inner.prefixlen >= outer.prefixlen
        and inner.network_address in outer
    )


def _subdivisions(when: When) -> list[set[str]]:
    ways = [set(when.subdivisions)] if when.subdivisions else []
    if when.cities and all("/" in city for city in when.cities):
        ways.append({city.partition("/")[0] for city in when.cities})
    return ways


def _countries(when: When) -> list[set[str]]:
    ways = [set(when.countries)] if when.countries else []
    return ways + [{s.partition("-")[0] for s in way} for way in _subdivisions(when)]


def _continents(when: When) -> list[set[str]]:
    ways = [set(when.continents)] if when.continents else []
    return ways + [{countries().get(c, "") for c in way} for way in _countries(when)]
