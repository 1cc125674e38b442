"""What every server under measure is given: one zone, one policy, one geographic database.

The policy is by country, then continent, because that is what all of them can do: China, the rest of Asia,
Europe, North America, everything else to Europe. Each region has two addresses, weights 3 and 1 (Knot's
module cannot draw by weight in this mode, so it has the first alone).
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ZONE = "bench.example.com"
TTL = 30
NAMES = 1000
NETWORKS = 65_536  # of each family: the /24s of 10.0.0.0/8, the /48s of 2001:db8::/32
FAMILIES = (4, 6)
NAMESERVERS = {"ns1": "192.0.2.53", "ns2": "198.51.100.53"}


@dataclass(frozen=True)
class Region:
    id: str
    at: tuple[float, float]
    addresses: tuple[str, str]  # weights 3 and 1


REGIONS = (
    Region("cn-north", (39.90, 116.40), ("192.0.2.10", "192.0.2.11")),
    Region("cn-south", (23.13, 113.26), ("192.0.2.20", "192.0.2.21")),
    Region("eu-west", (50.11, 8.68), ("198.51.100.30", "198.51.100.31")),
    Region("us-west", (45.52, -122.68), ("203.0.113.40", "203.0.113.41")),
)
WEIGHTS = (3, 1)
DEFAULT_REGION = "eu-west"
BY_COUNTRY = {"CN": "cn-north"}
BY_CONTINENT = {"AS": "cn-south", "EU": "eu-west", "NA": "us-west"}

# Country: continent, centre, English name. China is listed more often because its share is larger.
COUNTRIES = {
    "CN": ("AS", 35.0, 105.0, "China"),
    "HK": ("AS", 22.3, 114.2, "Hong Kong"),
    "JP": ("AS", 36.0, 138.0, "Japan"),
    "KR": ("AS", 36.5, 127.8, "South Korea"),
    "SG": ("AS", 1.3, 103.8, "Singapore"),
    "IN": ("AS", 21.0, 78.0, "India"),
    "DE": ("EU", 51.0, 10.0, "Germany"),
    "FR": ("EU", 46.0, 2.0, "France"),
    "GB": ("EU", 54.0, -2.0, "United Kingdom"),
    "NL": ("EU", 52.3, 5.5, "Netherlands"),
    "PL": ("EU", 52.0, 19.0, "Poland"),
    "IT": ("EU", 42.8, 12.8, "Italy"),
    "US": ("NA", 39.8, -98.6, "United States"),
    "CA": ("NA", 56.0, -106.0, "Canada"),
    "MX": ("NA", 23.6, -102.5, "Mexico"),
    "BR": ("SA", -10.0, -55.0, "Brazil"),
    "AU": ("OC", -25.0, 135.0, "Australia"),
    "ZA": ("AF", -29.0, 25.0, "South Africa"),
}
CITIES_PER_COUNTRY = 12
CHINA_SHARE = 4


def names(count: int = NAMES) -> Iterator[str]:
    """The steered names, relative to the zone."""
    return (f"n{i}" for i in range(count))


def in_words(count: int) -> str:
    return f"{count:,} name{'s' if count > 1 else ''}"


def network(index: int, family: int = 4) -> str:
    """The `index`th of a family's 65,536 networks, in CIDR."""
    return f"10.{index >> 8 & 255}.{index & 255}.0/24" if family == 4 else f"2001:db8:{index:x}::/48"


def subnet(index: int, family: int = 4) -> str:
    """How a resolver tells of a client in that network: the lengths that RFC 7871, section 11.1, advises."""
    return network(index) if family == 4 else f"2001:db8:{index:x}::/56"


def region_of(country: str) -> Region:
    """Where the policy sends clients of a country."""
    wanted = BY_COUNTRY.get(country) or BY_CONTINENT.get(COUNTRIES[country][0], DEFAULT_REGION)
    return next(r for r in REGIONS if r.id == wanted)


def countries_of_networks(family: int = 4) -> list[tuple[str, int]]:
    """For each network its country and the number of its city: scattered, the same in every run."""
    chance = random.Random(family)
    choices = [*COUNTRIES, *["CN"] * (CHINA_SHARE - 1)]
    return [(chance.choice(choices), chance.randrange(CITIES_PER_COUNTRY)) for _ in range(NETWORKS)]


def record(country: str, city: int) -> dict[str, object]:
    """One entry in the layout of GeoIP2 City."""
    continent, latitude, longitude, name = COUNTRIES[country]
    number = list(COUNTRIES).index(country)
    named = {"geoname_id": 1_000_000 + number, "iso_code": country, "names": {"en": name}}
    return {
        "city": {"geoname_id": 3_000_000 + number * 100 + city, "names": {"en": f"{name} City {city}"}},
        "continent": {"code": continent, "geoname_id": 6_255_000 + number, "names": {"en": continent}},
        "country": named,
        "location": {
            "accuracy_radius": 20,
            "latitude": latitude + city / 10,
            "longitude": longitude - city / 10,
            "time_zone": "UTC",
        },
        "registered_country": named,
        "subdivisions": [
            {
                "geoname_id": 2_000_000 + number * 100 + city // 3,
                "iso_code": f"S{city // 3}",
                "names": {"en": f"{name} Part {city // 3}"},
            }
        ],
    }


def make_mmdb(path: Path) -> None:
    """Write the database: every network, and loopback in Germany, where plain queries come from."""
    from mmdb_writer import MMDBWriter  # noqa: PLC0415  only whoever makes the file needs it
    from netaddr import IPNetwork, IPSet  # noqa: PLC0415

    writer = MMDBWriter(
        ip_version=6,
        ipv4_compatible=True,
        database_type="GeoLite2-City",
        languages=["en"],
        description={"en": "synthetic, for measurements"},
        int_type="u32",
    )
    blocks: dict[tuple[str, int], list[IPNetwork]] = {("DE", 0): [IPNetwork("127.0.0.0/8")]}
    for family in FAMILIES:
        for index, place in enumerate(countries_of_networks(family)):
            blocks.setdefault(place, []).append(IPNetwork(network(index, family)))
    for (country, city), networks in blocks.items():
        writer.insert_network(IPSet(networks), record(country, city))
    path.parent.mkdir(parents=True, exist_ok=True)
    writer.to_db_file(str(path))
