"""What zone files mean: the model that comes out of them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geodns.config.findings import Findings
from geodns.config.load import Known, load
from geodns.config.reach import covers
from geodns.config.schema import json_schema
from geodns.config.yaml import parse
from geodns.core.failover import failovers, worst_case
from geodns.core.names import from_text, to_text
from geodns.core.place import Place, matches
from geodns.errors import ConfigError, Severity
from geodns.model import AllDown, AnyRegion, Minimum, Model, Nearest, Pick, Split, Steer, When

ROOT = Path(__file__).parents[1]
ZONE = "zone: z.example\nttl: 15s\nnameservers: {ns: 192.0.2.53}\n"
REGIONS = "regions: {south: {at: [23.13, 113.26]}, north: {}, west: }\n"
Load = Callable[..., Model]


@pytest.fixture
def read(tmp_path: Path) -> Load:
    """Loads a zone from text, with three regions to use."""

    def load_text(text: str, zone: str = ZONE) -> Model:
        (tmp_path / "_regions.yaml").write_text(REGIONS)
        (tmp_path / "z.example.yaml").write_text(zone + text)
        return load(tmp_path)

    return load_text


def steers(model: Model) -> dict[str, Steer]:
    return {to_text(steer.owner): steer for steer in model.zones[0].steers}


def rrsets(model: Model) -> dict[tuple[str, int], tuple[bytes, ...]]:
    return {(to_text(rrset.owner), rrset.rtype): rrset.rdata for rrset in model.zones[0].rrsets}


def test_the_demo_zone_loads_without_a_word_and_within_the_failover_budget() -> None:
    model = load(ROOT / "zones", known=Known(lines=frozenset({"telecom", "unicom", "mobile"})))
    assert model.problems == ()
    assert len(model.regions) >= 5
    assert all(worst_case(model, steer) <= 30 for steer in model.zones[0].steers)
    ports = [e.port for p in model.pools.values() for r in p.regions for e in r.endpoints]
    assert len(set(ports)) == len(ports), "every endpoint is a server of its own"


def test_short_forms_widen(read: Load) -> None:
    model = read(
        """\
checks: {c: {type: http, interval: 5, fall: 3 of 5, status: [200, 300-399]}}
pools:
  p:
    check: {like: c, fall: 2, rise: 2 of 3}
    when_all_down: {backup: 192.0.2.99}
    regions:
      south: 192.0.2.1
      north: [192.0.2.2, {address: [192.0.2.3, "2001:DB8::3"], name: both, check: none}]
      west: {minimum_healthy: 50%, endpoints: {address: 192.0.2.4, weight: 0}}
"""
    )
    pool = model.pools["z.example/p"]
    south, north, west = pool.regions
    assert (south.endpoints[0].name, south.endpoints[0].ipv4) == ("192.0.2.1", "192.0.2.1")
    assert (north.endpoints[1].ipv4, north.endpoints[1].ipv6) == ("192.0.2.3", "2001:db8::3")
    assert north.endpoints[1].check is None
    assert west.minimum_healthy == Minimum(percent=50)
    check = south.endpoints[0].check
    assert check is not None
    assert (check.interval, check.status) == (5.0, ((200, 200), (300, 399)))
    assert (check.fall, check.fall_of, check.rise, check.rise_of) == (2, 0, 2, 3)
    assert (pool.when_all_down, pool.backup, pool.policy) == (AllDown.BACKUP, ("192.0.2.99",), "nearest")


def test_scalars_keep_their_source_text(read: Load) -> None:
    model = read(
        "policies: {p: [{when: {country: NO}, to: south}, {to: nearest}]}\n"
        "records: {010: {TXT: 1:30}, on: {TXT: 1.0}, x: {TXT: [yes, ~x, '']}}"
    )
    assert model.policies["z.example/p"].rules[0].when.countries == ("NO",)
    found = rrsets(model)
    assert found["010.z.example.", 16] == (b"\x041:30",)
    assert found["on.z.example.", 16] == (b"\x031.0",)
    assert found["x.z.example.", 16] == (b"\x03yes", b"\x02~x", b"\x00")


def test_steps_of_an_order(read: Load) -> None:
    model = read(
        "policies: {p: {to: [south, {south: 9, north: 1}, nearest, {nearest: 2}, any], fence: true}}"
    )
    rule = model.policies["z.example/p"].rules[0]
    both = Split((("south", 9), ("north", 1)))
    assert rule.to == (Split((("south", 1),)), both, Nearest(), Nearest(2), AnyRegion())
    assert rule.fence


def test_a_record_takes_from_its_pool_what_it_does_not_say(read: Load) -> None:
    model = read(
        """\
pools: {p: {pick: sticky, answers: all, regions: {south: 192.0.2.1}}}
policies: {own: {to: any}}
records:
  a: {steer: p}
  b: {steer: {pool: p, pick: weighted, answers: 2, ttl: 5, policy: own}}
  c: {ttl: 1m, steer: p, TXT: x}
"""
    )
    found = steers(model)
    a, b, c = (found[f"{name}.z.example."] for name in "abc")
    assert (a.pool, a.policy, a.pick, a.answers, a.ttl) == ("z.example/p", "nearest", Pick.STICKY, None, 15)
    assert (b.policy, b.pick, b.answers, b.ttl) == ("z.example/own", Pick.WEIGHTED, 2, 5)
    assert c.ttl == 60


def test_nameservers_become_records_and_the_soa_is_derived(read: Load) -> None:
    zone = "zone: Z.Example.\nttl: 300\nnameservers: {ns1: [192.0.2.53, '2001:db8::53'], ns.example.net.: }\n"
    model = read("soa: {rname: dns.admin@example.com, serial: 7}", zone)
    found = rrsets(model)
    assert found["z.example.", 2] == (from_text("ns1.z.example."), from_text("ns.example.net."))
    assert found["ns1.z.example.", 1] == (b"\xc0\x00\x02\x35",)
    assert len(found["ns1.z.example.", 28]) == 1
    soa = model.zones[0].soa
    assert (soa.mname, soa.serial, soa.minimum, soa.ttl) == (from_text("ns1.z.example."), 7, 60, 60)
    assert soa.rname == from_text("dns\\.admin.example.com.")


def test_ids_of_a_zone_are_qualified_and_reach_the_rules(read: Load) -> None:
    model = read(
        "lines: {office: [192.0.2.0/24, AS64500]}\n"
        "policies: {p: [{when: {line: office}, to: south}, {when: {line: telecom}, to: south}, {to: any}]}"
    )
    line = model.lines["z.example/office"]
    assert (line.networks, line.asns) == (("192.0.2.0/24",), frozenset({64500}))
    assert model.policies["z.example/p"].rules[0].when.lines == ("z.example/office",)


def test_positions_point_at_what_was_written(read: Load) -> None:
    model = read("pools: {p: {regions: {south: 192.0.2.1}}}\nrecords:\n  a: {steer: p, TXT: x}")
    steer, txt = steers(model)["a.z.example."], next(r for r in model.zones[0].rrsets if r.rtype == 16)
    assert str(steer.position).endswith("z.example.yaml:6:7")
    assert str(txt.position).endswith("z.example.yaml:6:17")
    assert str(model.pools["z.example/p"].regions[0].endpoints[0].position).endswith(":4:30")


def test_the_digest_follows_content_not_layout(read: Load) -> None:
    pool = "pools: {p: {regions: {south: %s}}}\n"
    first = read(pool % "192.0.2.1" + "records: {a: {steer: p}, b: {A: [192.0.2.7, 192.0.2.8]}}")
    again = "# words\nrecords:\n  b:\n    A: [192.0.2.8, 192.0.2.7]\n  a: {steer: {pool: p}}\n"
    moved = read(again + pool % "192.0.2.1")
    other = read(again + pool % "192.0.2.2")
    assert first.zones[0].digest == moved.zones[0].digest
    assert first.zones[0].digest != other.zones[0].digest


def test_the_worst_case_is_detection_and_ttl(read: Load) -> None:
    pool = "pools: {p: {check: {type: http}, regions: {south: [192.0.2.1, {address: 192.0.2.2%s}]}}}\n"
    record = "records: {a: {steer: p}}"
    checked = read(pool % "" + record)
    assert worst_case(checked, checked.zones[0].steers[0]) == 3 * 3 + 2 + 15
    half = read(pool % ", check: none" + record)
    assert worst_case(half, half.zones[0].steers[0]) == math.inf


def test_every_steered_record_has_its_number_the_slowest_first(read: Load) -> None:
    pools = (
        "pools:\n  p: {check: {type: http}, regions: {south: [192.0.2.1]}}\n"
        "  q: {check: {type: http, interval: 1s}, regions: {south: [192.0.2.2]}}\n"
    )
    steered = ", ".join(f"n{i}: {{steer: p}}" for i in range(5))
    model = read(
        pools + f"records: {{{steered}, fast: {{steer: q}}, slow: {{steer: {{pool: q, ttl: 30s}}}}}}"
    )
    assert [(f.pool, f.names, f.detection, f.ttl, f.seconds) for f in failovers(model)] == [
        ("z.example/q", 1, 7.0, 30, 37.0),
        ("z.example/p", 5, 11.0, 15, 26.0),
        ("z.example/q", 1, 7.0, 15, 22.0),
    ]
    assert failovers(model)[1].examples == tuple(f"n{i}.z.example" for i in range(3))


def test_warnings_do_not_keep_from_serving(read: Load) -> None:
    model = read("records: {a: {A: [192.0.2.1, 192.0.2.1]}}")
    assert [p.severity for p in model.problems] == [Severity.WARNING]
    assert rrsets(model)["a.z.example.", 1] == (b"\xc0\x00\x02\x01",)


def test_problems_beyond_a_bound_are_counted(read: Load) -> None:
    with pytest.raises(ConfigError) as raised:
        read("records:\n" + "".join(f"  a{n}: {{A: x}}\n" for n in range(1500)))
    assert len(raised.value.problems) == 1001
    assert "500 more" in raised.value.problems[-1].message


def test_a_file_too_large_or_not_utf_8_or_absent_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere: the zones folder cannot be read"):
        load(tmp_path / "nowhere")
    (tmp_path / "z.yaml").write_bytes(b"zone: z\nttl: \xff")
    with pytest.raises(ConfigError, match=r"z\.yaml:2:6: is not UTF-8"):
        load(tmp_path)
    with pytest.raises(ConfigError, match=r"larger than 5 bytes"):
        load(tmp_path, zone_bytes=5)


def test_aliases_share_but_cannot_explode(read: Load) -> None:
    model = read("records: {a: &a {A: 192.0.2.1}, b: *a}")
    assert rrsets(model)["b.z.example.", 1] == (b"\xc0\x00\x02\x01",)
    bomb = "records:\n  x0: &x0 [" + "a, " * 50 + "]\n"
    bomb += "".join(f"  x{n}: &x{n} [{f'*x{n - 1}, ' * 10}]\n" for n in range(1, 20))
    with pytest.raises(ConfigError, match="more than 1000 aliases"):
        read(bomb)


WORDS = ["zone", "z.example", "pools", "regions", "south", "192.0.2.1", "steer", "records", "@", "to", "when"]
TEXTS = st.text() | st.lists(
    st.sampled_from([*WORDS, ": ", "\n", "  ", "- ", "{", "}", "[", "]", ",", "'"])
).map("".join)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(TEXTS)
def test_no_text_raises_anything_but_a_config_error(read: Load, text: str) -> None:
    text = text.encode("utf-8", "replace").decode()
    for zone in (ZONE, ""):
        try:
            read(text, zone)
        except ConfigError as error:
            assert all(problem.message and "\n" not in str(problem) for problem in error.problems)


KEY_WORDS = """
zone ttl soa nameservers regions checks lines pools policies records web south title at type like
interval check policy endpoints name address target weight when_all_down backup when to fence line country
steer pool pick answers values A CNAME TXT NS mname"""
KEYS = KEY_WORDS.split()
VALUES = st.recursive(
    st.none() | st.sampled_from([*WORDS, "5", "", "x y", "2001:db8::1", "any", "all", "8d"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=12,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=200)
@given(st.dictionaries(st.sampled_from(KEYS), VALUES))
def test_no_shape_raises_anything_but_a_config_error(read: Load, value: dict[str, object]) -> None:
    try:
        read(json.dumps({"zone": "z.example", "nameservers": {"ns": "192.0.2.1"}, **value}), "")
    except ConfigError as error:
        assert error.problems


PLACES = [
    Place(subdivisions=subdivision, country=country, continent=continent, lines=line, asn=asn)
    for subdivision, country, continent in (
        (("CN-GD",), "CN", "AS"),
        (("CN-BJ",), "CN", "AS"),
        ((), "CN", "AS"),
        (("DE-HE",), "DE", "EU"),
        ((), "", "EU"),
        ((), "", ""),
    )
    for line, asn in ((frozenset({"telecom"}), 4134), (frozenset[str](), 0))
]
WHENS = st.builds(
    When,
    lines=st.sampled_from([(), ("telecom",), ("telecom", "unicom")]),
    asns=st.sampled_from([(), (4134,), (4134, 4837)]),
    subdivisions=st.sampled_from([(), ("CN-GD",), ("CN-GD", "CN-BJ"), ("DE-HE",)]),
    countries=st.sampled_from([(), ("CN",), ("CN", "DE")]),
    continents=st.sampled_from([(), ("AS",), ("EU", "AS")]),
)


@given(WHENS, WHENS)
def test_a_rule_called_unreachable_really_is(earlier: When, later: When) -> None:
    if covers(earlier, later):
        assert all(matches(earlier, place) for place in PLACES if matches(later, place))


def test_yaml_positions_count_letters_not_octets() -> None:
    findings = Findings()
    document = parse("é: {ü: [a, b]}", "x", findings)
    assert document is not None
    assert document.value == {"é": {"ü": ["a", "b"]}}
    assert str(document.position(("é", "ü", 1))) == "x:1:12"
    assert str(document.key_position(("é", "ü"))) == "x:1:5"


def test_the_schema_for_editors_knows_every_file_and_its_short_forms() -> None:
    schema = json_schema()
    assert [part["$ref"] for part in schema["anyOf"]] == [
        "#/$defs/ZoneFile",
        "#/$defs/SharedFile",
        "#/$defs/Settings",
    ]
    zone = schema["$defs"]["ZoneFile"]
    assert zone["required"] == ["zone"]
    assert {"records", "pools", "policies", "soa", "nameservers"} <= set(zone["properties"])
    assert zone["additionalProperties"] is False
    assert schema["$defs"]["SteerForm"]["anyOf"][0] == {"type": "string"}
    assert "records" not in schema["$defs"]["SharedFile"]["properties"]
    country = schema["$defs"]["WhenForm"]["properties"]["country"]["anyOf"]
    assert country[0] == {"type": "string", "pattern": "^[A-Za-z]{2}$"}
