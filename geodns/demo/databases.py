"""Synthetic City, Country, ASN and ISP databases: `python -m geodns.demo.databases FOLDER`.

Clients that exist nowhere, on every continent and on the carriers that rules are written for, so that
everything can be tried on one machine. Only private and documentation prefixes hold them (RFC 1918, 4193,
5737, 3849); the AS numbers are the carriers' real ones, so that lines work. The type of each database
begins with `geodns-synthetic`, by which the server tells them from real ones.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import maxminddb

from geodns.errors import GeodnsError


@dataclass(frozen=True, slots=True)
class City:
    """`subdivisions` are ISO 3166-2 without the country, largest first; ids are GeoNames'."""

    country: str
    subdivisions: tuple[tuple[str, str], ...]
    geoname_id: int
    latitude: float
    longitude: float


@dataclass(frozen=True, slots=True)
class Row:
    """One network: its name in EXAMPLES, and what is known there. `place`: a city, a country, or nothing."""

    network: str
    title: str
    place: str = ""
    carrier: int = 0
    coordinates: bool = True


COUNTRIES = {  # code: (name, continent, GeoNames id)
    "AE": ("United Arab Emirates", "AS", 290557),
    "AR": ("Argentina", "SA", 3865483),
    "AU": ("Australia", "OC", 2077456),
    "BR": ("Brazil", "SA", 3469034),
    "CA": ("Canada", "NA", 6251999),
    "CN": ("China", "AS", 1814991),
    "DE": ("Germany", "EU", 2921044),
    "EG": ("Egypt", "AF", 357994),
    "FR": ("France", "EU", 3017382),
    "GB": ("United Kingdom", "EU", 2635167),
    "HK": ("Hong Kong", "AS", 1819730),
    "IN": ("India", "AS", 1269750),
    "JP": ("Japan", "AS", 1861060),
    "KE": ("Kenya", "AF", 192950),
    "KR": ("South Korea", "AS", 1835841),
    "MX": ("Mexico", "NA", 3996063),
    "NL": ("The Netherlands", "EU", 2750405),
    "NO": ("Norway", "EU", 3144096),
    "NZ": ("New Zealand", "OC", 2186224),
    "PL": ("Poland", "EU", 798544),
    "SG": ("Singapore", "AS", 1880251),
    "US": ("United States", "NA", 6252001),
    "ZA": ("South Africa", "AF", 953987),
}
CONTINENTS = {  # code: (name, GeoNames id)
    "AF": ("Africa", 6255146),
    "AS": ("Asia", 6255147),
    "EU": ("Europe", 6255148),
    "NA": ("North America", 6255149),
    "OC": ("Oceania", 6255151),
    "SA": ("South America", 6255150),
}
CITIES = {
    "Guangzhou": City("CN", (("GD", "Guangdong"),), 1809858, 23.1181, 113.2539),
    "Shenzhen": City("CN", (("GD", "Guangdong"),), 1795565, 22.5455, 114.0683),
    "Beijing": City("CN", (("BJ", "Beijing"),), 1816670, 39.9075, 116.3972),
    "Shanghai": City("CN", (("SH", "Shanghai"),), 1796236, 31.2222, 121.4581),
    "Hangzhou": City("CN", (("ZJ", "Zhejiang"),), 1808926, 30.2937, 120.1614),
    "Chengdu": City("CN", (("SC", "Sichuan"),), 1815286, 30.6667, 104.0667),
    "Hong Kong": City("HK", (), 1819729, 22.2783, 114.1747),
    "Tokyo": City("JP", (("13", "Tokyo"),), 1850147, 35.6895, 139.6917),
    "Seoul": City("KR", (("11", "Seoul"),), 1835848, 37.566, 126.9784),
    "Singapore": City("SG", (), 1880252, 1.2897, 103.8501),
    "Mumbai": City("IN", (("MH", "Maharashtra"),), 1275339, 19.0728, 72.8826),
    "Dubai": City("AE", (("DU", "Dubai"),), 292223, 25.0657, 55.1713),
    "Frankfurt am Main": City("DE", (("HE", "Hesse"),), 2925533, 50.1155, 8.6842),
    "Berlin": City("DE", (("BE", "State of Berlin"),), 2950159, 52.5244, 13.4105),
    "Paris": City("FR", (("IDF", "Île-de-France"), ("75", "Paris")), 2988507, 48.8534, 2.3488),
    "London": City("GB", (("ENG", "England"), ("LND", "London")), 2643743, 51.5085, -0.1257),
    "Amsterdam": City("NL", (("NH", "North Holland"),), 2759794, 52.374, 4.8897),
    "Oslo": City("NO", (("03", "Oslo"),), 3143244, 59.9127, 10.7461),
    "Warsaw": City("PL", (("14", "Mazovia"),), 756135, 52.2298, 21.0118),
    "Portland": City("US", (("OR", "Oregon"),), 5746545, 45.5234, -122.6762),
    "San Francisco": City("US", (("CA", "California"),), 5391959, 37.7749, -122.4194),
    "New York": City("US", (("NY", "New York"),), 5128581, 40.7143, -74.006),
    "Toronto": City("CA", (("ON", "Ontario"),), 6167865, 43.7001, -79.4163),
    "Mexico City": City("MX", (("CMX", "Mexico City"),), 3530597, 19.4285, -99.1277),
    "São Paulo": City("BR", (("SP", "São Paulo"),), 3448439, -23.5475, -46.6361),
    "Buenos Aires": City("AR", (("C", "Buenos Aires F.D."),), 3435910, -34.6132, -58.3772),
    "Johannesburg": City("ZA", (("GP", "Gauteng"),), 993800, -26.2023, 28.0436),
    "Nairobi": City("KE", (("30", "Nairobi County"),), 184745, -1.2833, 36.8167),
    "Cairo": City("EG", (("C", "Cairo Governorate"),), 360630, 30.0626, 31.2497),
    "Sydney": City("AU", (("NSW", "New South Wales"),), 2147714, -33.8678, 151.2073),
    "Auckland": City("NZ", (("AUK", "Auckland"),), 2193733, -36.8485, 174.7635),
}
CARRIERS = {  # AS number: (name of the number, name of the provider)
    4134: ("CHINANET-BACKBONE", "China Telecom"),
    4812: ("China Telecom Group", "China Telecom"),
    4837: ("CHINA UNICOM China169 Backbone", "China Unicom"),
    4808: ("China Unicom Beijing Province Network", "China Unicom"),
    9808: ("China Mobile Communications Group Co., Ltd.", "China Mobile"),
    9394: ("China TieTong Telecommunications Corporation", "China TieTong"),
    4538: ("China Education and Research Network Center", "CERNET"),
    7641: ("China Broadcasting TV Net", "China Broadnet"),
    17964: ("Beijing Dian-Xin-Tong Network Technologies Co., Ltd.", "Dr. Peng"),
    7497: ("Computer Network Information Center", "CSTNET"),
    4760: ("HKT Limited", "HKT"),
    2516: ("KDDI CORPORATION", "KDDI"),
    4766: ("Korea Telecom", "Korea Telecom"),
    7473: ("Singapore Telecommunications Ltd", "Singtel"),
    55836: ("Reliance Jio Infocomm Limited", "Jio"),
    5384: ("Emirates Telecommunications Group", "Etisalat"),
    3320: ("Deutsche Telekom AG", "Deutsche Telekom"),
    3215: ("Orange S.A.", "Orange"),
    2856: ("British Telecommunications PLC", "BT"),
    1136: ("KPN B.V.", "KPN"),
    2119: ("Telenor Norge AS", "Telenor"),
    5617: ("Orange Polska", "Orange Polska"),
    7922: ("COMCAST-7922", "Comcast"),
    7018: ("ATT-INTERNET4", "AT&T"),
    701: ("UUNET", "Verizon"),
    812: ("ROGERS-COMMUNICATIONS", "Rogers"),
    8151: ("UNINET", "Telmex"),
    27699: ("TELEFONICA BRASIL S.A", "Vivo"),
    7303: ("Telecom Argentina S.A.", "Telecom Argentina"),
    36874: ("Cybersmart", "Cybersmart"),
    36926: ("Airtel Networks Kenya Limited", "Airtel Kenya"),
    8452: ("TE-AS", "Telecom Egypt"),
    1221: ("Telstra Limited", "Telstra"),
    4771: ("Spark New Zealand Trading Ltd.", "Spark"),
}

PLACES = (
    # China: province by carrier
    Row("10.1.0.0/16", "Telecom Guangdong", "Guangzhou", 4134),
    Row("10.2.0.0/16", "Telecom Shenzhen", "Shenzhen", 4134),
    Row("10.3.0.0/16", "Telecom Beijing", "Beijing", 4134),
    Row("10.4.0.0/16", "Telecom Shanghai", "Shanghai", 4812),
    Row("10.5.0.0/16", "Telecom Zhejiang", "Hangzhou", 4134),
    Row("10.6.0.0/16", "Telecom Sichuan", "Chengdu", 4134),
    Row("10.11.0.0/16", "Unicom Guangdong", "Guangzhou", 4837),
    Row("10.13.0.0/16", "Unicom Beijing", "Beijing", 4808),
    Row("10.14.0.0/16", "Unicom Shanghai", "Shanghai", 4837),
    Row("10.16.0.0/16", "Unicom Sichuan", "Chengdu", 4837),
    Row("10.21.0.0/16", "Mobile Guangdong", "Guangzhou", 9808),
    Row("10.23.0.0/16", "Mobile Beijing", "Beijing", 9808),
    Row("10.25.0.0/16", "Mobile Zhejiang", "Hangzhou", 9808),
    Row("10.26.0.0/16", "TieTong Sichuan", "Chengdu", 9394),
    Row("10.33.0.0/17", "CERNET Beijing", "Beijing", 4538),
    Row("10.33.128.0/17", "CSTNET Beijing", "Beijing", 7497),
    Row("10.34.0.0/16", "CERNET Shanghai", "Shanghai", 4538),
    Row("10.35.0.0/16", "Broadnet China", "CN", 7641),
    Row("10.36.0.0/16", "Dr. Peng Beijing", "Beijing", 17964),
    # Asia
    Row("10.40.0.0/16", "Hong Kong", "Hong Kong", 4760),
    Row("10.41.0.0/16", "Telecom Hong Kong", "Hong Kong", 4134),
    Row("10.42.0.0/16", "Tokyo", "Tokyo", 2516),
    Row("10.43.0.0/16", "Seoul", "Seoul", 4766),
    Row("10.44.0.0/16", "Singapore", "Singapore", 7473),
    Row("10.45.0.0/16", "Mumbai", "Mumbai", 55836),
    Row("10.46.0.0/16", "Dubai", "Dubai", 5384),
    # Europe
    Row("10.50.0.0/16", "Frankfurt", "Frankfurt am Main", 3320),
    Row("10.51.0.0/16", "Berlin", "Berlin", 3320),
    Row("10.52.0.0/16", "Paris", "Paris", 3215),
    Row("10.53.0.0/16", "London", "London", 2856),
    Row("10.54.0.0/16", "Amsterdam", "Amsterdam", 1136),
    Row("10.55.0.0/16", "Oslo", "Oslo", 2119),
    Row("10.56.0.0/16", "Warsaw", "Warsaw", 5617),
    # the Americas
    Row("10.60.0.0/16", "Oregon", "Portland", 7922),
    Row("10.61.0.0/16", "California", "San Francisco", 7018),
    Row("10.62.0.0/16", "New York", "New York", 701),
    Row("10.63.0.0/16", "Toronto", "Toronto", 812),
    Row("10.64.0.0/16", "Mexico City", "Mexico City", 8151),
    Row("10.65.0.0/16", "São Paulo", "São Paulo", 27699),
    Row("10.66.0.0/16", "Buenos Aires", "Buenos Aires", 7303),
    # Africa and Oceania
    Row("10.70.0.0/16", "Johannesburg", "Johannesburg", 36874),
    Row("10.71.0.0/16", "Nairobi", "Nairobi", 36926),
    Row("10.72.0.0/16", "Cairo", "Cairo", 8452),
    Row("10.75.0.0/16", "Sydney", "Sydney", 1221),
    Row("10.76.0.0/16", "Auckland", "Auckland", 4771),
    # known by half
    Row("172.16.0.0/16", "Germany only", "DE"),
    Row("172.17.0.0/16", "China only", "CN"),
    Row("172.18.0.0/16", "Telecom nowhere", "", 4134),
    Row("172.19.0.0/16", "Berlin without coordinates", "Berlin", 3320, coordinates=False),
    Row("192.168.0.0/17", "Home", "Berlin", 3320),
    # documentation prefixes
    Row("192.0.2.0/25", "Documentation Beijing", "Beijing", 4837),
    Row("198.51.100.0/24", "Documentation Frankfurt", "Frankfurt am Main", 3320),
    Row("203.0.113.128/25", "Documentation Oregon", "Portland", 7922),
    # IPv6
    Row("2001:db8:1000::/36", "Telecom Guangdong, IPv6", "Guangzhou", 4134),
    Row("2001:db8:2000::/36", "Unicom Beijing, IPv6", "Beijing", 4808),
    Row("2001:db8:3000::/36", "Mobile Zhejiang, IPv6", "Hangzhou", 9808),
    Row("2001:db8:4000::/36", "Frankfurt, IPv6", "Frankfurt am Main", 3320),
    Row("2001:db8:5000::/36", "Oregon, IPv6", "Portland", 7922),
    Row("2001:db8:6000::/36", "São Paulo, IPv6", "São Paulo", 27699),
    Row("2001:db8:7000::/36", "Sydney, IPv6", "Sydney", 1221),
    Row("2001:db8:8000::/36", "Johannesburg, IPv6", "Johannesburg", 36874),
    Row("2001:db8:9000::/36", "Tokyo, IPv6", "Tokyo", 2516),
    Row("fd00:1::/32", "France only, IPv6", "FR"),
    Row("fd00:2::/32", "Unicom nowhere, IPv6", "", 4837),
)

EXAMPLES: Mapping[str, str] = {row.title: row.network for row in PLACES}

FILES = {"City": "City.mmdb", "Country": "Country.mmdb", "ASN": "ASN.mmdb", "ISP": "ISP.mmdb"}


def build(folder: Path) -> bool:
    """Make the four databases in `folder`; False where they are there already, made by this very file."""
    mark = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    if all(_mark(folder / name) == mark for name in FILES.values()):
        return False
    folder.mkdir(parents=True, exist_ok=True)
    for layout, name in FILES.items():
        _write(folder / name, layout, mark)
    return True


def _mark(path: Path) -> str:
    try:
        with maxminddb.open_database(path, maxminddb.MODE_FILE) as reader:
            return reader.metadata().description.get("und", "")
    except (OSError, maxminddb.InvalidDatabaseError):
        return ""


def _write(path: Path, layout: str, mark: str) -> None:
    try:
        from mmdb_writer import MMDBWriter  # noqa: PLC0415
        from netaddr import IPSet  # noqa: PLC0415
    except ImportError:
        raise GeodnsError("mmdb-writer is missing: pip install 'geodns[dev]' (make install does)") from None
    description = {"en": f"Synthetic {layout}: clients that exist nowhere", "und": mark}
    writer = MMDBWriter(6, f"geodns-synthetic-{layout}", ["en"], description, True, int_type="u32")
    for row in PLACES:
        record = dict(_RECORDS[layout](row))
        if record:
            writer.insert_network(IPSet([row.network]), record)
    aside = path.with_suffix(".new")
    writer.to_db_file(str(aside))
    aside.replace(path)


def _city(row: Row) -> Iterator[tuple[str, Any]]:
    yield from _country(row)
    city = CITIES.get(row.place)
    if not city:
        return
    yield "city", {"geoname_id": city.geoname_id, "names": {"en": row.place}}
    if city.subdivisions:
        yield (
            "subdivisions",
            [{"iso_code": code, "names": {"en": name}} for code, name in city.subdivisions],
        )
    if row.coordinates:
        yield (
            "location",
            {"latitude": city.latitude, "longitude": city.longitude, "accuracy_radius": 20},
        )


def _country(row: Row) -> Iterator[tuple[str, Any]]:
    city = CITIES.get(row.place)
    code = city.country if city else row.place
    if not code:
        return
    name, continent, geoname_id = COUNTRIES[code]
    continent_name, continent_id = CONTINENTS[continent]
    yield "country", {"iso_code": code, "geoname_id": geoname_id, "names": {"en": name}}
    yield "continent", {"code": continent, "geoname_id": continent_id, "names": {"en": continent_name}}


def _asn(row: Row) -> Iterator[tuple[str, Any]]:
    if row.carrier:
        yield "autonomous_system_number", row.carrier
        yield "autonomous_system_organization", CARRIERS[row.carrier][0]


def _isp(row: Row) -> Iterator[tuple[str, Any]]:
    yield from _asn(row)
    if row.carrier:
        yield "isp", CARRIERS[row.carrier][1]
        yield "organization", CARRIERS[row.carrier][1]


_RECORDS = {"City": _city, "Country": _country, "ASN": _asn, "ISP": _isp}


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print("usage: python -m geodns.demo.databases FOLDER", file=sys.stderr)
        return 2
    folder = Path(arguments[0])
    try:
        made = build(folder)
    except (GeodnsError, OSError) as error:
        print(f"geodns: {error}", file=sys.stderr)
        return 1
    print(f"{folder}: synthetic databases {'made' if made else 'are up to date'}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
