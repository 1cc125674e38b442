"""Places compiled natively are held to Python's own: every block boundary, every plan, both families."""

from __future__ import annotations

import asyncio
import gc
import time
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from random import Random
from typing import Any

import core_worlds
import pytest
from geo_support import synthetic, write
from place_support import BY_COUNTRY, EDGES, EVERYWHERE, NEAREST, REGIONS, Both, boundaries, plan, to

from geodns.core.compile.sheets import Classes, Widest
from geodns.core.edns import Subnet, source
from geodns.core.steer.orders import Plan
from geodns.errors import GeodnsError
from geodns.geo.compiled import Compiler
from geodns.geo.lines import carriers
from geodns.geo.mmdb import Database, Kind, open_database
from geodns.model import AnyRegion, Line, Nearest, Policy, Rule, When

try:
    from geodns._native import Classifier, Layer
except ModuleNotFoundError:
    pytestmark = pytest.mark.skip("the native lane is not built")

CN, DE = {"country": {"iso_code": "CN"}}, {"country": {"iso_code": "DE"}}


def entries(chance: Random) -> tuple[dict[str, Any], dict[str, Any]]:
    """City records and ASN records of a random world (`core_worlds.places`), by network."""
    cities: dict[str, Any] = {}
    systems: dict[str, Any] = {}
    for network, told in core_worlds.places(chance).items():
        record: dict[str, Any] = {}
        if "country" in told:
            record["country"] = {"iso_code": told["country"]}
        if "continent" in told:
            record["continent"] = {"code": told["continent"]}
        if "at" in told:
            record["location"] = {"latitude": float(told["at"][0]), "longitude": float(told["at"][1])}
        if "subdivisions" in told:
            record["subdivisions"] = [{"iso_code": "A"}]
        if record:
            cities[network] = record
        if "asn" in told:
            systems[network] = {"autonomous_system_number": told["asn"]}
    return cities, systems


class TestRandomWorlds:
    @pytest.mark.parametrize("seed", range(60))
    def test_every_boundary_is_classified_as_by_python(self, tmp_path: Path, seed: int) -> None:
        chance = Random(seed)
        model = core_worlds.model(chance)
        databases: dict[Kind, Database] = {}
        for kind, said in zip((Kind.CITY, Kind.ASN), entries(chance), strict=True):
            if said:
                path = write(tmp_path / kind, "ASN" if kind is Kind.ASN else "City", said)
                databases[kind] = open_database(path, kind)
        if seed % 3 == 0:
            said = {core_worlds.network(chance): chance.choice((CN, DE)) for _ in range(4)}
            databases[Kind.COUNTRY] = open_database(write(tmp_path / "c", "Country", said), Kind.COUNTRY)
        pools = list(model.pools.values())
        plans = tuple(
            Plan(policy, tuple(model.regions[r.region] for r in chance.choice(pools).regions))
            for policy in model.policies.values()
        )
        widest = chance.choice((Widest(), Widest(1, 1), Widest(0, 0), Widest(24, 48)))
        both = Both(plans, databases, carriers() | core_worlds.LINES, widest)
        networks = {n for p in plans for rule in p.policy.rules for n in rule.when.networks}
        networks |= {n for line in core_worlds.LINES.values() for n in line.networks}
        both.hold([*boundaries(databases.values(), networks), *EDGES])

    def test_over_the_synthetic_databases_with_cities_and_subdivisions(self, tmp_path: Path) -> None:
        databases = {kind: open_database(path, kind) for kind, path in synthetic(tmp_path).items()}
        office = Line("office", networks=("10.1.7.0/24", "2001:db8:1000:7::/64"), asns=frozenset({3320}))
        plans = (
            NEAREST,
            BY_COUNTRY,
            plan((When(lines=("telecom",), subdivisions=("CN-GD",)), to("gz")), (EVERYWHERE, (Nearest(2),))),
            plan((When(cities=("CN-BJ/Beijing", "2925533")), to("bj", "fra")), (EVERYWHERE, (AnyRegion(),))),
            plan((When(networks=("10.1.7.128/25",)), to("gz")), (When(lines=("office",)), to("fra"))),
            plan(
                (When(continents=("EU",)), to("fra")), (When(asns=(4134,)), to("gz")), (EVERYWHERE, to("pdx"))
            ),
        )
        closed = Plan(Policy("p", (*plans[4].policy.rules, Rule(EVERYWHERE, to("bj")))), REGIONS)
        both = Both((*plans[:4], closed, plans[5]), databases, carriers() | {"office": office})
        wider = both.hold([*boundaries(databases.values(), office.networks), *EDGES])
        assert wider > 20


class TestScopes:
    def test_neighbours_of_one_class_are_one_scope(self, tmp_path: Path) -> None:
        said = {"10.0.0.0/24": CN, "10.0.1.0/24": {**CN, "continent": {"code": "AS"}}, "10.0.2.0/23": CN}
        databases = {Kind.COUNTRY: open_database(write(tmp_path / "c", "Country", said), Kind.COUNTRY)}
        both = Both((BY_COUNTRY,), databases, {}, Widest(8, 8))
        subnet = source("10.0.1.9")
        assert both.python(0, subnet, both.geography.locate(subnet.ip()))[1] == 24
        assert both.find(0, subnet) == (both.find(0, source("10.0.3.1"))[0], 22)

    def test_0_where_no_part_of_the_place_was_asked(self, tmp_path: Path) -> None:
        databases = {
            Kind.COUNTRY: open_database(write(tmp_path / "c", "Country", {"10.0.0.0/8": CN}), Kind.COUNTRY)
        }
        fenced = Plan(Policy("p", (Rule(EVERYWHERE, to("gz", "bj"), fence=True),)), REGIONS)
        both = Both((fenced, NEAREST), databases, {})
        assert both.find(0, source("10.1.1.1")) == both.find(0, source("2001:db8::1")) == (0, 0)
        assert both.find(1, source("10.1.1.1"))[1] == 20

    def test_a_part_of_ipv6_that_is_taken_for_ipv4_is_in_nobody_s_scope(self, tmp_path: Path) -> None:
        databases = {
            Kind.COUNTRY: open_database(write(tmp_path / "c", "Country", {"2000::/3": CN}), Kind.COUNTRY)
        }
        both = Both((BY_COUNTRY,), databases, {}, Widest(1, 1))
        both.hold(EDGES)
        assert both.find(0, source("2003::1"))[1] == 16

    def test_a_subnet_has_the_class_of_its_first_address(self, tmp_path: Path) -> None:
        said = {"10.0.0.0/24": CN, "10.0.1.0/24": DE}
        databases = {Kind.COUNTRY: open_database(write(tmp_path / "c", "Country", said), Kind.COUNTRY)}
        both = Both((BY_COUNTRY,), databases, {})
        first = both.find(0, Subnet(4, int(IPv4Address("10.0.0.0")), 16))
        assert first == (both.find(0, source("10.0.0.1"))[0], 24)


class TestIpv4InIpv6:
    """What a database says of IPv6 addresses that stand for IPv4 ones is not taken, in either lane."""

    @pytest.fixture
    def aliased(self, tmp_path: Path) -> Database:
        return open_database(
            write(tmp_path / "c", "Country", {"10.0.0.0/8": CN, "2001:db8::/32": DE}), Kind.COUNTRY
        )

    @pytest.mark.parametrize(
        ("address", "block"),
        [
            ("::10.1.2.3", 96),
            ("::1", 96),
            ("::ffff:10.1.2.3", 96),
            ("64:ff9b::10.1.2.3", 96),
            ("2002:a01:203::", 16),
            ("2001:0:a01:203::", 32),
        ],
    )
    def test_no_record(self, aliased: Database, address: str, block: int) -> None:
        assert aliased.lookup(ip_address(address)) == ({}, block)

    def test_what_it_says_of_ipv4_and_of_other_ipv6_is(self, aliased: Database) -> None:
        assert aliased.lookup(ip_address("10.1.2.3")) == (CN, 8)
        assert aliased.lookup(ip_address("2001:db8::1")) == (DE, 32)

    def test_a_block_does_not_reach_over_such_addresses(self, tmp_path: Path) -> None:
        database = open_database(write(tmp_path / "c", "Country", {"2000::/3": CN, "::/8": DE}), Kind.COUNTRY)
        assert database.lookup(ip_address("2003::")) == (CN, 16)
        assert database.lookup(ip_address("2001:1::")) == (CN, 32)
        assert database.lookup(ip_address("3000::")) == (CN, 4)
        assert database.lookup(ip_address("0:0:1::")) == (DE, 48)

    def test_both_lanes(self, aliased: Database) -> None:
        both = Both((BY_COUNTRY, NEAREST), {Kind.COUNTRY: aliased}, {})
        both.hold([*boundaries([aliased], ["::/96", "::ffff:0:0/96", "2002::/16", "2001::/32"]), *EDGES])

    def test_the_prefixes_that_unwrap_leaves_alone(self, aliased: Database) -> None:
        both = Both((BY_COUNTRY,), {Kind.COUNTRY: aliased}, {})
        for prefix, address in ((64, "64:ff9b::"), (15, "2002::"), (64, "2001:0:a01:203::"), (80, "::")):
            subnet = Subnet(6, int(IPv6Address(address)), prefix)
            assert both.find(0, subnet)[0] == both.python(0, subnet, both.geography.locate(subnet.ip()))[0]


class TestDatabases:
    @pytest.mark.parametrize("version", [4, 6])
    def test_of_one_family(self, tmp_path: Path, version: int) -> None:
        said = {"10.0.0.0/8": CN, "192.0.2.128/25": DE} if version == 4 else {"2001:db8::/32": CN}
        path = write(tmp_path / "c", "Country", said, version=version)
        database = open_database(path, Kind.COUNTRY)
        both = Both((BY_COUNTRY, NEAREST), {Kind.COUNTRY: database}, {})
        both.hold([*boundaries([database], ()), *EDGES])

    def test_of_two_kinds_that_complete_one_another(self, tmp_path: Path) -> None:
        where = {"latitude": 1.0, "longitude": 2.0}
        city = {
            "10.1.0.0/16": CN,
            "10.2.0.0/16": {"location": where},
            "10.3.0.0/16": {"continent": {"code": 7}},
        }
        country = {"10.0.0.0/9": {**DE, "continent": {"code": "EU"}}}
        isp = {"10.0.0.0/10": {"isp": "X", "autonomous_system_number": 4134}, "10.64.0.0/10": {"isp": "Y"}}
        asn = {
            "10.1.0.0/17": {"autonomous_system_number": 4837},
            "10.2.0.0/17": {"autonomous_system_number": "4"},
        }
        files = {Kind.CITY: ("City", city), Kind.COUNTRY: ("Country", country)}
        files |= {Kind.ASN: ("ASN", asn), Kind.ISP: ("ISP", isp)}
        databases = {k: open_database(write(tmp_path / k, *said), k) for k, said in files.items()}
        plans = (
            NEAREST,
            BY_COUNTRY,
            plan((When(continents=("EU",)), to("fra")), (EVERYWHERE, to("pdx"))),
            plan(
                (When(lines=("telecom",)), to("gz")), (When(asns=(4837,)), to("bj")), (EVERYWHERE, to("pdx"))
            ),
        )
        Both(plans, databases, carriers()).hold([*boundaries(databases.values(), ()), *EDGES])

    def test_parts_of_the_wrong_type_are_parts_that_are_not_there(self, tmp_path: Path) -> None:
        odd = [
            {"country": "CN"},
            {"country": ["CN"], "continent": {"code": 7}},
            {"country": {"iso_code": "CN"}, "subdivisions": [{"iso_code": 3}, "GD", {"iso_code": "GD"}]},
            {"country": {"iso_code": "CN"}, "subdivisions": {"iso_code": "GD"}},
            {"country": {"iso_code": "CN"}, "city": {"geoname_id": "7", "names": ["X"]}},
            {"country": {"iso_code": "CN"}, "city": {"geoname_id": True, "names": {"en": "Y"}}},
            {"country": {"iso_code": "CN"}, "city": {"geoname_id": 7, "names": {"de": "Z", "en": 3}}},
            {"location": {"latitude": 900.0, "longitude": float("nan")}},
            {"location": {"latitude": 40, "longitude": 116.0}},
            {"location": {"latitude": 40.0, "longitude": 116.0}, "country": {"iso_code": ""}},
            {},
        ]
        said = {f"10.{i}.0.0/16": record for i, record in enumerate(odd)}
        databases = {Kind.CITY: open_database(write(tmp_path / "c", "City", said), Kind.CITY)}
        plans = (
            NEAREST,
            BY_COUNTRY,
            plan((When(subdivisions=("CN-GD",)), to("gz")), (EVERYWHERE, to("pdx"))),
            plan((When(cities=("7", "CN-GD/Y")), to("gz")), (EVERYWHERE, to("pdx"))),
        )
        Both(plans, databases, {}).hold([*boundaries(databases.values(), ()), *EDGES])

    def test_the_file_that_was_opened_is_read_whatever_became_of_it(self, tmp_path: Path) -> None:
        path = write(tmp_path / "c", "Country", {"10.0.0.0/8": CN})
        database = open_database(path, Kind.COUNTRY)
        whole = path.read_bytes()
        path.write_bytes(b"another")
        assert database.content() == whole

    def test_the_copy_s_descriptor_is_closed_with_the_database(self, tmp_path: Path) -> None:
        path = write(tmp_path / "c", "Country", {"10.0.0.0/8": CN})
        open_files = len(list(Path("/proc/self/fd").iterdir()))
        for _ in range(20):
            open_database(path, Kind.COUNTRY)
        gc.collect()
        assert len(list(Path("/proc/self/fd").iterdir())) <= open_files


class TestDamagedDatabases:
    """One that cannot be read whole is refused in one line; nothing hangs, nothing dies."""

    @pytest.fixture
    def whole(self, tmp_path: Path) -> bytes:
        said = {f"10.{i}.0.0/{16 + i % 9}": {"country": {"iso_code": f"C{i}"}} for i in range(40)}
        return write(tmp_path / "c", "Country", said).read_bytes()

    def test_a_database_is_refused_by_its_name(self, tmp_path: Path, whole: bytes) -> None:
        path = tmp_path / "c"
        database = open_database(path, Kind.COUNTRY)
        database.content = lambda: b"\xff" * 2000 + whole[2000:]  # type: ignore[method-assign]
        with pytest.raises(GeodnsError) as caught:
            Both((BY_COUNTRY,), {Kind.COUNTRY: database}, {})
        assert str(caught.value).startswith(f"{path}: it cannot be read as a whole (")
        assert str(caught.value).isprintable()

    def test_a_tree_that_leads_back_into_itself(self, whole: bytes) -> None:
        nodes = 0
        for fill in (b"\0", b"\0\0\1"):
            tree = (fill * 3000)[:1800]
            with pytest.raises(ValueError, match="tree"):
                Layer.read(tree + whole[1800:], {"country"})
            nodes += 1
        assert nodes == 2

    @pytest.mark.parametrize("seed", range(4))
    def test_any_octet(self, whole: bytes, seed: int) -> None:
        chance = Random(seed)
        read = 0
        for _ in range(400):
            damaged = bytearray(whole)
            for _ in range(chance.randrange(1, 4)):
                damaged[chance.randrange(len(damaged))] = chance.randrange(256)
            try:
                layer, records = Layer.read(bytes(damaged), {"country", "location"})
            except ValueError as error:
                assert str(error)
            else:
                read += 1
                assert records.pick(range(len(records)))
                assert layer.starts()[0][0] == 0
        assert 0 < read < 400

    @pytest.mark.parametrize("size", [0, 1, 100, 1000, -1, -50])
    def test_truncated(self, whole: bytes, size: int) -> None:
        with pytest.raises(ValueError, match="invalid database"):
            Layer.read(whole[:size], {"country"})

    def test_a_record_that_cannot_be_read_is_empty_in_both_lanes(self, tmp_path: Path) -> None:
        said = {"10.1.2.0/24": {**CN, "note": "something"}, "10.1.3.0/24": {**DE, "note": "else"}}
        sound = {
            f"1.{i >> 8}.{i & 255}.0/24": DE if i % 2 else CN for i in range(300)
        }  # looked at when it is opened
        path = write(tmp_path / "c", "Country", sound | said)
        path.write_bytes(path.read_bytes().replace(b"something", b"some\xffhing"))
        database = open_database(path, Kind.COUNTRY)
        assert database.lookup(ip_address("10.1.2.1"))[0] == {}
        assert database.lookup(ip_address("10.1.3.1"))[0]
        Both((BY_COUNTRY,), {Kind.COUNTRY: database}, {}).hold(
            boundaries([database], ["10.1.2.0/24", "10.1.3.0/24"])
        )


class TestClasses:
    def test_beyond_the_limit_everybody_is_in_the_first_class_and_counted(self, tmp_path: Path) -> None:
        databases = {kind: open_database(path, kind) for kind, path in synthetic(tmp_path).items()}
        whole = Both((NEAREST,), databases, {})
        orders = whole.compiled.plans[0].orders
        few = Both((NEAREST,), databases, {}, limit=3)
        assert few.compiled.plans[0].orders == orders[:3]
        assert few.classes[0].orders == [*orders[:3]]
        assert few.classes[0].overflows == len(orders) - 3
        few.hold(boundaries(databases.values(), ()))

    def test_classes_that_have_numbers_keep_them(self, tmp_path: Path) -> None:
        databases = {kind: open_database(path, kind) for kind, path in synthetic(tmp_path).items()}
        both = Both((NEAREST,), databases, {})
        backwards = Classes(NEAREST, 4096)
        expected = {order: backwards.number(order) for order in reversed(both.compiled.plans[0].orders)}
        again = both.compiled.classifier([backwards], Widest())
        subnet = source("10.1.2.3")
        order = both.classes[0].orders[both.find(0, subnet)[0]]
        assert again.find(0, 4, subnet.address, 32, 0) == (expected[order], both.find(0, subnet)[1])

    def test_a_plan_that_is_not_there_is_python_s(self) -> None:
        assert Both((NEAREST,), {}, {}).native.find(1, 4, 0, 32, 0) is None
        assert Classifier([None], 20, 40).find(0, 4, 0, 32, 0) is None

    def test_without_databases_everybody_is_in_one_class(self) -> None:
        both = Both((NEAREST, BY_COUNTRY), {}, {})
        assert both.hold(EDGES) == 0
        assert both.compiled.plans[0].places.runs == (1, 1)


class TestWhatIsKept:
    @pytest.fixture
    def databases(self, tmp_path: Path) -> dict[Kind, Database]:
        return {kind: open_database(path, kind) for kind, path in synthetic(tmp_path).items()}

    def test_a_plan_is_made_anew_when_something_changes_that_it_depends_on(
        self, tmp_path: Path, databases: dict[Kind, Database]
    ) -> None:
        compiler = Compiler(4096)
        by_line = plan((When(lines=("telecom",)), to("gz")), (EVERYWHERE, to("pdx")))
        lines = dict(carriers())

        def made() -> tuple[Any, ...]:
            return compiler.compile((BY_COUNTRY, by_line), databases, lines).plans

        first = made()
        assert [a is b for a, b in zip(first, made(), strict=True)] == [True, True]
        lines["office"] = Line("office", networks=("192.0.2.0/24",))
        second = made()
        assert [a is b for a, b in zip(first, second, strict=True)] == [True, False]
        databases[Kind.ASN] = open_database(databases[Kind.ASN].path, Kind.ASN)
        third = made()
        assert [a is b for a, b in zip(second, third, strict=True)] == [True, False]
        databases[Kind.CITY] = open_database(databases[Kind.CITY].path, Kind.CITY)
        assert [a is b for a, b in zip(third, made(), strict=True)] == [False, False]

    def test_what_neither_this_time_nor_the_last_one_used_is_forgotten(
        self, databases: dict[Kind, Database]
    ) -> None:
        compiler = Compiler(4096)
        (first,) = compiler.compile((NEAREST,), databases, {}).plans
        compiler.compile((BY_COUNTRY,), databases, {})
        (second,) = compiler.compile((NEAREST,), databases, {}).plans
        assert second is first
        compiler.compile((BY_COUNTRY,), databases, {})
        compiler.compile((BY_COUNTRY,), databases, {})
        (third,) = compiler.compile((NEAREST,), databases, {}).plans
        assert third is not first

    def test_the_databases_of_compiled_plans_are_not_kept_open(self, tmp_path: Path) -> None:
        database = open_database(write(tmp_path / "c", "Country", {"10.0.0.0/8": CN}), Kind.COUNTRY)
        compiler = Compiler(4096)
        compiler.compile((NEAREST,), {Kind.COUNTRY: database}, {})
        gc.collect()
        assert not [
            held for held in gc.get_referrers(database) if held is not globals() and type(held) is dict
        ]


async def test_the_event_loop_goes_on_meanwhile(tmp_path: Path) -> None:
    chance = Random(3)
    said = {
        f"10.{i >> 8}.{i & 255}.0/24": {
            "location": {"latitude": chance.uniform(-60, 60), "longitude": i / 100}
        }
        for i in range(12_000)
    }
    database = open_database(write(tmp_path / "c", "City", said), Kind.CITY)
    held = []
    gc.collect()
    gc.freeze()  # to walk through what all the other tests left is none of the compiler's work
    work = asyncio.create_task(
        asyncio.to_thread(Compiler(4096).compile, (NEAREST,), {Kind.CITY: database}, {})
    )
    while not work.done():
        begun = time.process_time()  # not by the clock: while others have the machine nothing is held
        await asyncio.sleep(0)
        held.append(time.process_time() - begun)
    gc.unfreeze()
    assert work.result().plans[0].orders
    assert len(held) > 20
    assert max(held) < 0.1
