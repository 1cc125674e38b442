"""A made-up internet of real size: City, Country and ASN databases with millions of networks.

What matters for how blocks can be put together is how often neighbours differ. Here whole allocations lie in
one country, most of what is in them in one city or those around it, and a few are anywhere.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.mmdb import Records, write
from geodns.geo.countries import Country, countries

LANGUAGES = ("de", "en", "es", "fr", "ja", "pt-BR", "ru", "zh-CN")
CITIES = 50_000
SPOTS = 3  # coordinates in a city: those of its postal codes
RADII = (5, 20)
AROUND = 12  # cities that an allocation's networks are in
SYSTEMS = 80_000
LARGE = {"CN": (4134, 4837, 9808), "DE": (3320,), "US": (7922, 7018), "JP": (2516,)}

# Where IPv6 was given out, by /12 but for the first, and how much of it lies there.
GIVEN6 = (
    (0x2001, 16, 1),
    (0x2400, 12, 4),
    (0x2600, 12, 3),
    (0x2800, 12, 2),
    (0x2A00, 12, 5),
    (0x2C00, 12, 1),
)

BLOCKS6 = 21  # that an allocation is cut into, in the mean

# How often a block of IPv4 of a length is one network, and not two or more.
WHOLE4 = {
    **dict.fromkeys(range(17), 0.004),
    17: 0.01,
    18: 0.02,
    19: 0.04,
    20: 0.07,
    21: 0.15,
    22: 0.3,
    23: 0.45,
}
WHOLE4 |= {24: 0.8, 25: 0.45, 26: 0.5, 27: 0.55, 28: 0.6, 29: 0.7, 30: 0.8, 31: 0.5, 32: 1.0}


@dataclass
class Town:
    country: int
    records: list[int]


class World:
    """The records of every kind, and who is where: one seed, one world."""

    def __init__(self, seed: int = 1) -> None:
        self.chance = random.Random(seed)
        self.city, self.country, self.asn = Records(), Records(), Records()
        self.lands: list[Country] = list(countries().values())
        self.weights = [self.chance.paretovariate(0.7) for _ in self.lands]
        for number, land in enumerate(self.lands):
            self.weights[number] += {"US": 200, "CN": 90, "DE": 50, "JP": 50, "GB": 45, "FR": 40}.get(
                land.code, 0
            )
        self.places = [_place(land, number) for number, land in enumerate(self.lands)]
        self.land_records = [self.country.put(place) for place in self.places]

    def _town(self, number: int) -> Town:
        chance = self.chance
        own = number if number < len(self.lands) else chance.choices(range(len(self.lands)), self.weights)[0]
        land, place = self.lands[own], self.places[own]
        latitude = min(89.0, max(-89.0, chance.gauss(land.at[0], 5)))
        longitude = (chance.gauss(land.at[1], 7) + 180) % 360 - 180
        names = {language: f"{land.code} {language} {number}" for language in LANGUAGES}
        part = number % 30
        parts = {"geoname_id": 2_000_000 + own * 30 + part, "iso_code": f"{part:02}"}
        parts["names"] = {language: f"{land.name} {part} {language}" for language in LANGUAGES}
        found = []
        for _ in range(SPOTS):
            spot = (round(latitude + chance.gauss(0, 0.1), 4), round(longitude + chance.gauss(0, 0.1), 4))
            for radius in RADII[: chance.choice((1, 1, 2))]:
                where = {
                    "accuracy_radius": radius,
                    "latitude": spot[0],
                    "longitude": spot[1],
                    "time_zone": "UTC",
                }
                record = {"city": {"geoname_id": 3_000_000 + number, "names": names}, **place}
                found.append(self.city.put({**record, "location": where, "subdivisions": [parts]}))
        return Town(own, found)

    def _system(self, asn: int) -> int:
        record = {"autonomous_system_number": asn, "autonomous_system_organization": f"Network {asn}"}
        return self.asn.put(record)

    def land(self) -> int:
        return self.chance.choices(range(len(self.lands)), self.weights)[0]

    def cities(self, blocks: Iterator[tuple[int, int, bool]]) -> Iterator[tuple[int, int, int]]:
        """A City database's blocks, of which the first of every allocation is marked."""
        chance = self.chance
        towns = [self._town(number) for number in range(CITIES)]
        in_land: list[list[int]] = [[] for _ in self.lands]
        for number, town in enumerate(towns):
            in_land[town.country].append(number)
        around: list[int] = []
        town = towns[0]
        for start, length, first in blocks:
            luck = chance.random()
            if first:
                near = in_land[self.land()]
                at = chance.randrange(len(near))
                around = [near[(at + i) % len(near)] for i in range(AROUND)]
                town = towns[around[0]]
            elif luck < 0.03:
                town = towns[chance.randrange(CITIES)]
            elif luck < 0.45:
                town = towns[chance.choice(around)]
            yield start, length, chance.choice(town.records)

    def countries(self, blocks: Iterator[tuple[int, int, bool]]) -> Iterator[tuple[int, int, int]]:
        """A Country database's blocks."""
        land = 0
        for start, length, first in blocks:
            if first or self.chance.random() < 0.3:
                land = self.land()
            yield start, length, self.land_records[land]

    def carriers(self, blocks: Iterator[tuple[int, int, bool]]) -> Iterator[tuple[int, int, int]]:
        """An ASN database's blocks."""
        chance = self.chance
        systems = [self._system(100_000 + number) for number in range(SYSTEMS)]
        large = {code: [self._system(asn) for asn in numbers] for code, numbers in LARGE.items()}
        system = systems[0]
        for start, length, first in blocks:
            if first or chance.random() < 0.5:
                there = large.get(self.lands[self.land()].code, systems)
                system = chance.choice(there if chance.random() < 0.5 else systems)
            yield start, length, system


def _place(land: Country, number: int) -> dict[str, object]:
    names = {language: f"{land.name} {language}" for language in LANGUAGES}
    named = {"geoname_id": 1_000_000 + number, "iso_code": land.code, "names": names}
    continent = {"code": land.continent, "geoname_id": 6_255_000, "names": {"en": land.continent}}
    return {"continent": continent, "country": named, "registered_country": named}


def blocks(chance: random.Random, ipv4: int, ipv6: int) -> Iterator[tuple[int, int, bool]]:
    """About so many blocks of both families as (start, length, whether an allocation begins), ascending."""
    yield from _blocks4(chance, ipv4)
    yield from _blocks6(chance, ipv6)


def _blocks4(chance: random.Random, wanted: int) -> Iterator[tuple[int, int, bool]]:
    """Allocations of /12 to /20 and holes between them; as many are cut as it takes, the others are whole."""
    at, end, made = 1 << 24, 0xE0 << 24, 0
    while at < end:
        length = max(chance.randrange(12, 21), 33 - (at & -at).bit_length())
        size = 1 << 32 - length
        if chance.random() < 0.06:
            at += size
            continue
        enough = made * (end - (1 << 24)) > wanted * (at - (1 << 24))
        first = True
        stack = [(at, length)]
        while stack:
            start, depth = stack.pop()
            if enough or chance.random() < WHOLE4[depth]:
                yield start, 96 + depth, first
                made, first = made + 1, False
            else:
                half = 1 << 31 - depth
                stack += ((start + half, depth + 1), (start, depth + 1))
        at += size


def _blocks6(chance: random.Random, wanted: int) -> Iterator[tuple[int, int, bool]]:
    """Allocations of /29 to /32 here and there: each whole, or cut where some network inside is elsewhere."""
    total = sum(share for *_, share in GIVEN6)
    for top, length, share in GIVEN6:
        room = (1 << 32 - length) - 1
        count = min(room, wanted * share // total // BLOCKS6)
        for number in sorted(chance.sample(range(1, room + 1), count)):
            start = (top << 16) + number << 96
            first = True
            inside = [
                chance.choice((36, 40, 44, 48, 48, 48, 56, 64)) for _ in range(chance.choice((0, 0, 1, 2, 4)))
            ]
            apart = sorted((start + (chance.getrandbits(bits - 32) << 128 - bits), bits) for bits in inside)
            for block, bits in _cut(start, 32, apart):
                yield block, bits, first
                first = False


def _cut(start: int, length: int, apart: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The largest blocks of one block in which those that are apart are blocks of their own."""
    inside = [(at, bits) for at, bits in apart if at >> 128 - length == start >> 128 - length]
    if not inside or min(bits for _, bits in inside) <= length:
        yield start, length
        return
    yield from _cut(start, length + 1, inside)
    yield from _cut(start + (1 << 127 - length), length + 1, inside)


def city(folder: Path, networks: int) -> tuple[Path, int]:
    """A City database of about so many networks, and how many it has."""
    world = World()
    found = world.cities(blocks(world.chance, networks * 7 // 10, networks * 3 // 10))
    return folder / "City.mmdb", write(folder / "City.mmdb", "City", found, world.city)


def country(folder: Path, networks: int) -> tuple[Path, int]:
    """A Country database of about so many networks, and how many it has."""
    world = World(2)
    found = world.countries(blocks(world.chance, networks * 7 // 10, networks * 3 // 10))
    return folder / "Country.mmdb", write(folder / "Country.mmdb", "Country", found, world.country)


def asn(folder: Path, networks: int) -> tuple[Path, int]:
    """An ASN database of about so many networks, and how many it has."""
    world = World(3)
    found = world.carriers(blocks(world.chance, networks * 8 // 10, networks * 2 // 10))
    return folder / "ASN.mmdb", write(folder / "ASN.mmdb", "ASN", found, world.asn)
