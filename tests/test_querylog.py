"""The query log tells of a query what its reply says, and what explain would; which queries, and how many."""

from __future__ import annotations

import os
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any, cast

import core_worlds as worlds
import pytest
from core_support import RESOLVER, Lab, Places, Reply, query
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from geodns import sampling
from geodns.app import Server
from geodns.config.settings import load_settings
from geodns.core.compile.rdata import type_number
from geodns.core.edns import Subnet, source, unwrap
from geodns.core.explain import Client, explain
from geodns.core.limit import Limiter
from geodns.core.names import from_text
from geodns.core.querylog import Table, entry, question
from geodns.core.wire import HEADER
from geodns.observe.aside import Aside
from geodns.sampling import QueryLog

ZONE = """
zone: z.test
nameservers: {ns: 192.0.2.53}
regions: {south: {}, north: {}}
policies:
  china: [{when: {country: CN}, to: south, fence: true}, {to: [north, south], fence: true}]
  both: [{to: any}]
pools:
  web: {policy: china, regions: {south: [192.0.2.1, 192.0.2.2], north: [192.0.2.11]}}
  cdn: {policy: china, regions: {south: [{target: s.cdn.example.}], north: [{target: n.cdn.example.}]}}
records:
  www: {steer: web}
  all: {steer: {pool: web, policy: both, answers: all}}
  img: {steer: cdn}
  alias: {CNAME: www.z.test.}
  text: {TXT: hello}
  long: {TXT: ["LONG"]}
  sub: {NS: ns.elsewhere.example.}
""".replace("LONG", "x" * 2000)
PLACES: Places = {"10.1.0.0/16": {"country": "CN"}, "10.2.0.0/16": {"country": "DE"}}


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab.of(tmp_path, {"z.yaml": ZONE}, PLACES)


def table(lab: Lab) -> Table:
    return Table(lab.replay, lab.sheets, lab.built.slots, lab.geography)


def told(lab: Lab, packet: bytes, client: str = RESOLVER, limit: int = 1232) -> dict[str, object]:
    """What is logged of a packet; octets are left out."""
    found = entry(table(lab), packet, client, lab.reply(packet, client, limit))
    found.pop("octets", None)
    return found


@pytest.mark.parametrize(
    ("packet", "expected"),
    [
        (
            query("www.z.test", subnet="10.1.2.0/24"),
            {
                "client": RESOLVER,
                "name": "www.z.test.",
                "type": "A",
                "subnet": "10.1.2.0/24",
                "rcode": "NOERROR",
                "zone": "z.test.",
                "pool": "z.test/web",
                "policy": "z.test/china",
                "class": 0,
                "region": "south",
                "scope": 20,
                "answers": 1,
                "tc": False,
            },
        ),
        (query("WWW.z.TEST", subnet="10.2.0.0/16"), {"name": "WWW.z.TEST.", "region": "north", "scope": 20}),
        (query("www.z.test"), {"region": "north", "class": 0, "scope": None, "subnet": None}),
        (query("www.z.test", subnet="0.0.0.0/0"), {"subnet": "0.0.0.0/0", "scope": 0, "region": "north"}),
        (query("www.z.test", "AAAA"), {"rcode": "NOERROR", "answers": 0, "region": None, "class": 0}),
        (query("all.z.test"), {"region": "south,north", "answers": 3}),
        (query("img.z.test", "MX", subnet="10.1.0.0/16"), {"pool": "z.test/cdn", "region": "south"}),
        (query("alias.z.test", subnet="10.1.0.0/16"), {"region": "south", "answers": 2, "scope": 20}),
        (query("text.z.test", "TXT"), {"zone": "z.test.", "answers": 1, "pool": None, "class": None}),
        (query("text.z.test", "TXT", subnet="10.1.0.0/16"), {"zone": "z.test.", "scope": 0}),
        (query("long.z.test", "TXT"), {"zone": "z.test.", "answers": 0, "tc": True}),
        (query("none.z.test"), {"rcode": "NXDOMAIN", "zone": "z.test.", "answers": 0}),
        (query("x.sub.z.test"), {"rcode": "NOERROR", "zone": "z.test.", "answers": 0}),
        (query("www.other.test"), {"rcode": "REFUSED", "zone": None}),
        (query("www.z.test", version=1), {"rcode": "BADVERS", "zone": None}),
        (query("version.bind", "TXT", rclass=3), {"type": "CH TXT", "rcode": "REFUSED", "zone": None}),
        (query("z.test", "SOA", rclass=4242), {"type": "CLASS4242 SOA", "rcode": "REFUSED", "zone": None}),
        (query("z.test", "SOA", flags=0x2000), {"opcode": 4, "rcode": "REFUSED", "zone": None}),
        (query("z.test", 65280), {"type": "TYPE65280", "zone": "z.test."}),
        (query("www.z.test")[:-1], {"rcode": "FORMERR", "name": None, "client": RESOLVER}),
        (query("www.z.test")[:11], {"silence": "too short", "rcode": None}),
        (query("www.z.test", flags=0x8000), {"silence": "a reply", "rcode": None}),
    ],
)
def test_what_is_told_of_a_query(lab: Lab, packet: bytes, expected: dict[str, object]) -> None:
    found = told(lab, packet)
    assert {key: found.get(key) for key in expected} == expected
    assert set(found) == set(expected) or len(expected) < 8


def test_the_classes_of_clients_are_told_apart(lab: Lab) -> None:
    numbers = {told(lab, query("www.z.test", subnet=f"10.{n}.0.0/16"))["class"] for n in (1, 2)}
    assert numbers == {0, 1}


@settings(deadline=None, derandomize=True, max_examples=40)
@given(st.integers(0, 2**32 - 1))
def test_class_scope_and_regions_are_those_that_explain_gives(seed: int) -> None:
    chance = Random(seed)
    lab = worlds.lab(chance)
    for name, rtype in worlds.questions(lab.model):
        network = ip_network(worlds.network(chance))
        subnet = unwrap(Subnet(network.version, int(network.network_address), network.prefixlen))
        packet = query(name, rtype, subnet=str(network))
        reply = lab.reply(packet, chance=chance.getrandbits(32))
        assert reply is not None
        logged = entry(table(lab), packet, RESOLVER, reply)
        who = Client(str(network), subnet, told=True) if network.prefixlen else _resolver()
        located = lab.geography(who.subnet.ip())
        asked = (from_text(name).lower(), type_number(rtype))
        traced = cast(
            "dict[str, Any]", explain(lab.replay, lab.sheets, lab.world, asked, who, located, lab.now)
        )
        heard = Reply(reply)
        assert logged["scope"] == heard.scope
        assert (logged["pool"], logged["policy"], logged["class"]) == (
            traced["pool"],
            traced["policy"],
            traced["class"],
        )
        if network.prefixlen:
            assert logged["scope"] == traced["scope"]
        regions = {m["region"] for m in traced["odds"] if m["value"] in heard.values}
        assert set(cast("str", logged.get("region", "")).split(",")) - {""} == regions


def _resolver() -> Client:
    return Client(RESOLVER, source(RESOLVER), told=False)


def test_a_query_over_the_rate_is_told_as_such(lab: Lab) -> None:
    packet = query("www.z.test", subnet="10.1.0.0/16")
    dropped = entry(table(lab), packet, RESOLVER, Limiter(1, slip=0).turn_away(packet))
    assert dropped == {
        "client": RESOLVER,
        "name": "www.z.test.",
        "type": "A",
        "subnet": "10.1.0.0/16",
        "silence": "rate limit",
    }
    slipped = entry(table(lab), packet, RESOLVER, Limiter(1).turn_away(packet))
    assert (slipped["tc"], slipped["answers"], slipped["zone"]) == (True, 0, "z.test.")
    assert "class" not in slipped and "region" not in slipped, "nothing was decided"


def test_hostile_names_are_told_escaped(lab: Lab) -> None:
    name = b'\x0c\x1b[31m\n \x00"=\x7f\xff\x04test\x00'
    assert question(query(name), RESOLVER)["name"] == '\\027[31m\\010\\ \\000\\"=\\127\\255.test.'


packets = st.builds(
    lambda packet, cuts: bytes(
        octet ^ flip for octet, flip in zip(packet, cuts.ljust(len(packet), b"\0"), strict=False)
    )[: len(packet) - len(cuts) // 4],
    st.sampled_from(
        [
            query("www.z.test", subnet="10.1.0.0/16"),
            query("text.z.test", "TXT", edns=1232),
            query("alias.z.test", subnet="2001:db8::/32", flags=0x100),
        ]
    ),
    st.lists(st.sampled_from([0] * 9 + [1, 0x80, 0x28, 0xC0, 0xFF]), max_size=90).map(bytes),
)


@settings(deadline=None, max_examples=300)
@given(packet=st.one_of(packets, st.binary(max_size=80)))
def test_no_packet_is_an_exception_and_no_value_holds_what_a_terminal_obeys(packet: bytes, labs: Lab) -> None:
    found = told(labs, packet)
    assert all(str(value).isprintable() and str(value).isascii() for value in found.values())
    assert len(packet) >= HEADER or "silence" in found


@pytest.fixture(scope="module")
def labs(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return Lab.of(tmp_path_factory.mktemp("lab"), {"z.yaml": ZONE}, PLACES)


def a_log(lab: Lab, **given: str) -> tuple[QueryLog, SimpleNamespace]:
    """A query log of a server that answers as the lab does; and that server, whose clock can be set."""
    server = SimpleNamespace(
        settings=load_settings(None, {key.replace("__", "."): value for key, value in given.items()}, {}),
        now=1000,
        replay=lab.replay,
        sheets=lab.sheets,
        reading=SimpleNamespace(built=lab.built),
        geography=SimpleNamespace(locate=lab.geography),
    )
    return QueryLog(cast("Server", server)), server


def test_without_the_setting_the_door_is_as_it_was(lab: Lab) -> None:
    query_log, _ = a_log(lab)
    door: Any = lab.reply
    assert query_log.watch("udp", door) is door


def test_one_in_so_many_is_logged_by_chance_and_all_get_their_reply(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "random", Random(5).random)
    query_log, server = a_log(lab, log__queries="10", limits__logged_queries="1000")
    door = query_log.watch("udp", lab.reply)
    with capture_logs() as lines:
        for number in range(3000):
            server.now = 1000 + number // 100
            assert door(query("www.z.test"), RESOLVER, 1232) == lab.reply(query("www.z.test"))
    assert 250 < len(lines) < 350
    assert all(line["event"] == "query" and line["transport"] == "udp" for line in lines)
    assert lines[0]["region"] == "north"
    assert query_log.left_out == 0


def test_no_more_lines_in_a_second_than_the_limit_and_the_rest_is_counted(lab: Lab) -> None:
    query_log, server = a_log(lab, log__queries="1", limits__logged_queries="7")
    door = query_log.watch("tcp", lab.reply)
    with capture_logs() as lines:
        for second in (1000, 1001):
            server.now = second
            for _ in range(20):
                door(query("www.z.test"), RESOLVER, 65535)
    assert (len(lines), query_log.left_out) == (14, 26)


def test_a_transfer_is_told_as_such_and_not_touched(lab: Lab) -> None:
    def messages() -> Iterator[bytes]:
        raise AssertionError("only the transport may ask for them")
        yield b""

    query_log, _ = a_log(lab, log__queries="1")
    stream = messages()
    door = query_log.watch("tcp", lambda packet, client, limit: stream)
    with capture_logs() as lines:
        assert door(query("z.test", "AXFR"), RESOLVER, 65535) is stream
    (line,) = lines
    assert (line["transfer"], line["name"], line["type"]) == (True, "z.test.", "AXFR")


def test_nobody_waits_for_a_reader_of_the_log_and_what_is_lost_is_counted() -> None:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    aside = Aside(writer, most=10)
    line = "x" * 1000 + "\n"
    for _ in range(1000):  # many times what the pipe and the queue hold; a write that waits would never end
        aside.write(line)
    lost = aside.lost
    assert 1000 - 10 - (1 << 16) // 1001 - 2 <= lost < 1000
    heard = b""
    while heard.count(b"\n") < 1000 - lost:
        try:
            heard += os.read(reader, 1 << 16)
        except BlockingIOError:
            continue
    assert heard == line.encode() * (1000 - lost), "what was not lost comes whole and in order"
    aside.write("last \udce9 words\n")
    aside.close()
    assert os.read(reader, 100) == b"last \\udce9 words\n", "closing writes what waits"
    os.close(reader)
    os.close(writer)


def test_a_line_that_is_taken_in_pieces_comes_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    write = os.write
    monkeypatch.setattr("geodns.observe.aside.os.write", lambda fd, data: write(fd, data[:3]))
    aside = Aside(writer)
    aside.write("ten octets\n")
    aside.close()
    assert os.read(reader, 100) == b"ten octets\n"
    os.close(reader)
    os.close(writer)


def test_a_broken_pipe_loses_lines_and_nothing_else() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    aside = Aside(writer)
    for _ in range(3):
        aside.write("to nobody\n")
    aside.close()
    assert aside.lost == 3
    os.close(writer)
