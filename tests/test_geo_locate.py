"""An address's place from databases, lines and networks at once, and how far each part of it holds."""

from __future__ import annotations

import random
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from geo_support import geography, model, synthetic, write

from geodns.core.place import EMPTY, Located, Place, matches
from geodns.demo.databases import EXAMPLES
from geodns.geo.lines import carriers, merged
from geodns.geo.locate import Geography
from geodns.geo.mmdb import Kind
from geodns.model import Line, When

OFFICE = Line("office", networks=("10.1.7.0/24", "2001:db8:1000:7::/64"))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Geography:
    rules = model(When(networks=("10.0.0.0/12",)), When(networks=("10.1.7.128/25",)), lines=[OFFICE])
    lines = merged(carriers(), rules.lines)
    return geography(synthetic(tmp_path_factory.mktemp("geo")), lines, rules.policies.values())


def place(world: Geography, address: str) -> Place:
    return world.locate(ip_address(address)).place


def test_a_client_of_a_carrier_in_a_province(world: Geography) -> None:
    assert world.locate(ip_address("10.3.4.5")) == Located(
        Place(
            own=frozenset({"10.0.0.0/12"}),
            lines=frozenset({"telecom"}),
            asn=4134,
            organization="CHINANET-BACKBONE",
            isp="China Telecom",
            city="Beijing",
            geoname_id=1816670,
            subdivisions=("CN-BJ",),
            country="CN",
            continent="AS",
            at=(39.9075, 116.3972),
            at_from="location",
        ),
        own=15,
        asn=16,
        geo=16,
    )


def test_telecom_in_guangdong_is_one_rule(world: Geography) -> None:
    rule = When(lines=("telecom",), subdivisions=("CN-GD",))
    assert matches(rule, place(world, "10.1.2.3"))
    assert matches(rule, place(world, "2001:db8:1000::1"))
    assert not matches(rule, place(world, "10.11.2.3"))  # Unicom, Guangdong
    assert not matches(rule, place(world, "10.3.2.3"))  # Telecom, Beijing


def test_own_networks_come_before_the_carrier(world: Geography) -> None:
    assert place(world, "10.1.7.1").lines == {"office"}
    assert place(world, "2001:db8:1000:7::1").lines == {"office"}
    assert place(world, "10.1.7.129").own == {"10.0.0.0/12", "10.1.7.0/24", "10.1.7.128/25"}
    assert place(world, "10.1.7.129").lines == {"office"}
    assert place(world, "10.1.8.1").lines == {"telecom"}
    assert place(world, "10.1.7.1").asn == 4134  # what is known stays known


def test_subdivisions_are_largest_first(world: Geography) -> None:
    assert place(world, "10.53.1.1").subdivisions == ("GB-ENG", "GB-LND")


def test_without_coordinates_the_country_s_centre_stands_in(world: Geography) -> None:
    assert place(world, "10.51.1.1").at_from == "location"
    assert place(world, "172.19.1.1").city == "Berlin"
    assert (place(world, "172.19.1.1").at, place(world, "172.19.1.1").at_from) == ((51.1, 10.4), "country")
    assert (place(world, "172.16.1.1").at, place(world, "172.16.1.1").at_from) == ((51.1, 10.4), "country")


def test_a_carrier_may_be_known_where_the_place_is_not(world: Geography) -> None:
    known = place(world, "172.18.1.1")
    assert (known.lines, known.country, known.at, known.at_from) == ({"telecom"}, "", None, "")


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "192.168.200.1", "169.254.1.1", "8.8.8.8", "::1", "fe80::1"]
)
def test_what_nobody_knows_has_an_empty_place_and_the_block_of_its_hole(
    world: Geography, address: str
) -> None:
    located = world.locate(ip_address(address))
    assert located.place == EMPTY
    assert located.asn
    assert located.geo


def test_without_databases_there_is_nothing_to_know() -> None:
    assert geography({}).locate(ip_address("10.1.2.3")) == Located(EMPTY)


def test_the_country_database_answers_where_the_city_database_does_not(tmp_path: Path) -> None:
    city = {"city": {"geoname_id": 7, "names": {"en": "X"}}, "location": {"latitude": 1.0, "longitude": 2.0}}
    world = geography(
        {
            Kind.CITY: write(
                tmp_path / "city",
                "City",
                {"10.1.0.0/16": {"country": {"iso_code": "CN"}}, "10.2.0.0/16": city},
            ),
            Kind.COUNTRY: write(
                tmp_path / "country",
                "Country",
                {"10.0.0.0/9": {"country": {"iso_code": "DE"}, "continent": {"code": "EU"}}},
            ),
        }
    )
    assert place(world, "10.1.1.1").country == "CN"
    assert world.locate(ip_address("10.1.1.1")).geo == 16
    both = place(world, "10.2.1.1")
    assert (both.city, both.at, both.country, both.continent) == ("X", (1.0, 2.0), "DE", "EU")
    assert world.locate(ip_address("10.64.1.1")) == Located(
        Place(country="DE", continent="EU", at=(51.1, 10.4), at_from="country"), geo=10
    )


def test_where_two_databases_were_asked_the_narrower_block_holds(tmp_path: Path) -> None:
    world = geography(
        {
            Kind.CITY: write(tmp_path / "city", "City", {"10.0.0.0/24": {"country": {"iso_code": "CN"}}}),
            Kind.COUNTRY: write(
                tmp_path / "country", "Country", {"10.128.0.0/12": {"country": {"iso_code": "DE"}}}
            ),
            Kind.ASN: write(tmp_path / "asn", "ASN", {"10.128.0.0/10": {"autonomous_system_number": 4134}}),
            Kind.ISP: write(tmp_path / "isp", "ISP", {"10.128.0.0/14": {"isp": "Someone"}}),
        }
    )
    located = world.locate(ip_address("10.128.1.1"))
    assert (located.place.country, located.geo) == ("DE", 12)
    assert (located.place.asn, located.place.isp, located.asn) == (4134, "Someone", 14)


def test_the_isp_database_alone_gives_the_number_too(tmp_path: Path) -> None:
    known = place(geography(synthetic(tmp_path, Kind.ISP)), "10.13.1.1")
    assert (known.asn, known.isp, known.lines) == (4808, "China Unicom", {"unicom"})


def test_a_record_that_is_not_in_its_layout_is_no_place_and_no_error(tmp_path: Path) -> None:
    odd = {
        "country": "CN",
        "continent": {"code": 7},
        "city": {"geoname_id": "x", "names": ["Y"]},
        "subdivisions": [{"iso_code": 3}, "GD"],
        "location": {"latitude": 900.0, "longitude": float("nan")},
    }
    world = geography({Kind.CITY: write(tmp_path / "c", "City", {"10.0.0.0/8": odd})})
    assert place(world, "10.1.1.1") == EMPTY
    assert world.explain(ip_address("10.1.1.1"))[0].says


def test_every_address_of_a_block_has_the_same_part_of_the_place(world: Geography) -> None:
    def parts(located: Located) -> dict[str, object]:
        p = located.place
        return {
            "own": p.own,
            "asn": (p.asn, p.organization, p.isp),
            "geo": (p.city, p.geoname_id, p.subdivisions, p.country, p.continent, p.at, p.at_from),
        }

    chance = random.Random(7)
    starts = [ip_network(n).network_address for n in EXAMPLES.values()]
    starts += [ip_network(n).broadcast_address + 1 for n in EXAMPLES.values()]
    starts += [ip_address(chance.getrandbits(32)) for _ in range(50)]
    starts += [ip_address(chance.getrandbits(128)) for _ in range(50)]
    for address in starts:
        located = world.locate(address)
        for part, length in (("own", located.own), ("asn", located.asn), ("geo", located.geo)):
            block = ip_network((address.packed, length), strict=False)
            for _ in range(5):
                other = world.locate(block[chance.randrange(block.num_addresses)])
                assert parts(other)[part] == parts(located)[part]
                assert getattr(other, part) == length


def test_explain_says_what_each_database_said(world: Geography) -> None:
    said = {e.kind: (e.network, e.says) for e in world.explain(ip_address("10.53.4.5"))}
    assert said == {
        Kind.CITY: (
            "10.53.0.0/16",
            "London, London (GB-LND), England (GB-ENG), United Kingdom (GB), Europe, at 51.51, -0.13"
            " within 20 km",
        ),
        Kind.COUNTRY: ("10.53.0.0/16", "United Kingdom (GB), Europe"),
        Kind.ASN: ("10.53.0.0/16", "AS2856 British Telecommunications PLC"),
        Kind.ISP: ("10.53.0.0/16", "BT, BT, AS2856"),
    }
    assert {e.says for e in world.explain(ip_address("127.0.0.1"))} == {"nothing"}


def test_synthetic_databases_announce_themselves(world: Geography, tmp_path: Path) -> None:
    assert world.synthetic
    real = geography({Kind.COUNTRY: write(tmp_path / "c", "Country", {"10.0.0.0/8": {"country": {}}})})
    assert not real.synthetic


def test_describe_tells_kind_type_and_age(world: Geography) -> None:
    built = world.databases[Kind.CITY].built
    described = {d.kind: d for d in world.describe(built + 3 * 86400)}
    assert set(described) == set(Kind)
    city = described[Kind.CITY]
    assert (city.type, city.synthetic, city.age_days, city.built) == (
        "geodns-synthetic-City",
        True,
        3.0,
        built,
    )
    assert city.path.endswith("City.mmdb")
