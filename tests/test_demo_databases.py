"""The synthetic databases: only addresses that are nobody's, real AS numbers, made once."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

import geoip2.database
import geoip2.models
import maxminddb
import pytest
from geo_support import geography, synthetic

from geodns.demo import databases as demo
from geodns.demo.databases import EXAMPLES, FILES, PLACES, build, main
from geodns.geo.countries import countries

PRIVATE = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fd00::/8"]
DOCUMENTATION = ["192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32"]
NOBODYS = [ip_network(n) for n in PRIVATE + DOCUMENTATION]


def test_only_private_and_documentation_prefixes_are_in_them() -> None:
    for row in PLACES:
        network = ip_network(row.network)
        assert any(n.version == network.version and network.subnet_of(n) for n in NOBODYS), row


def test_titles_and_networks_are_unique_and_networks_apart() -> None:
    assert len(EXAMPLES) == len(PLACES)
    networks = [ip_network(row.network) for row in PLACES]
    for n, one in enumerate(networks):
        assert not any(one.version == other.version and one.overlaps(other) for other in networks[n + 1 :])


def test_clients_live_on_every_continent_and_on_every_line(tmp_path: Path) -> None:
    world = geography(synthetic(tmp_path))
    places = [world.locate(ip_network(row.network).network_address).place for row in PLACES]
    assert {p.continent for p in places} == {"AF", "AS", "EU", "NA", "OC", "SA", ""}
    assert {line for p in places for line in p.lines} == set(world.lines)
    assert len({p.subdivisions for p in places if p.country == "CN" and p.subdivisions}) >= 5


def test_an_example_is_where_its_name_says(tmp_path: Path) -> None:
    world = geography(synthetic(tmp_path))

    def at(title: str) -> tuple[set[str], str, tuple[str, ...]]:
        place = world.locate(ip_network(EXAMPLES[title]).network_address).place
        return set(place.lines), place.country, place.subdivisions

    assert at("Telecom Guangdong") == ({"telecom"}, "CN", ("CN-GD",))
    assert at("Unicom Beijing") == ({"unicom"}, "CN", ("CN-BJ",))
    assert at("Mobile Zhejiang") == ({"mobile"}, "CN", ("CN-ZJ",))
    assert at("Frankfurt") == (set(), "DE", ("DE-HE",))
    assert at("Oregon") == (set(), "US", ("US-OR",))
    assert at("Telecom Guangdong, IPv6") == ({"telecom"}, "CN", ("CN-GD",))


def test_the_table_agrees_with_the_country_data() -> None:
    for code, (_, continent, _) in demo.COUNTRIES.items():
        assert countries()[code].continent == continent


def test_other_readers_of_the_layouts_take_them(tmp_path: Path) -> None:
    build(tmp_path)
    with geoip2.database.Reader(tmp_path / FILES["City"]) as reader:
        told = reader.city("10.1.2.3")
        assert (told.city.name, told.subdivisions.most_specific.iso_code) == ("Guangzhou", "GD")
        assert told.location.latitude == pytest.approx(23.1181)
    with geoip2.database.Reader(tmp_path / FILES["Country"]) as reader:
        assert reader.country("10.60.0.1").country.iso_code == "US"
    # For these two geoip2 wants MaxMind's own type names; their typed records take the layout.
    with maxminddb.open_database(tmp_path / FILES["ASN"]) as reader:
        assert geoip2.models.ASN("10.1.2.3", **reader.get("10.1.2.3")).autonomous_system_number == 4134
    with maxminddb.open_database(tmp_path / FILES["ISP"]) as reader:
        assert geoip2.models.ISP("10.1.2.3", **reader.get("10.1.2.3")).isp == "China Telecom"


def test_they_are_made_once_and_again_when_one_is_missing_or_strange(tmp_path: Path) -> None:
    assert build(tmp_path)
    assert not build(tmp_path)
    (tmp_path / FILES["ASN"]).unlink()
    assert build(tmp_path)
    (tmp_path / FILES["City"]).write_bytes(b"something else")
    assert build(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(FILES.values())


def test_the_command_says_what_it_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "a" / "b"
    assert main([str(folder)]) == 0
    assert main([str(folder)]) == 0
    assert capsys.readouterr().out == (
        f"{folder}: synthetic databases made\n{folder}: synthetic databases are up to date\n"
    )
    assert main([]) == 2
    (tmp_path / "file").write_text("")
    assert main([str(tmp_path / "file")]) == 1
    assert capsys.readouterr().err.count("\n") == 2
