"""geodns answers as NSD, Knot and BIND do: random zones, random queries, no difference left unexplained.

The bounded run; `make differential N=1000000` is the long one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from tests.differential import manners
from tests.differential.answers import Answer, read
from tests.differential.judge import Case, Verdict, judge
from tests.differential.oracle import World
from tests.differential.queries import Query
from tests.differential.run import run
from tests.differential.servers import PEERS, US
from tests.differential.shapes import Shape, header, opt, packet
from tests.differential.zones import Data, Zone, wire

QUERIES = 20_000
APEX = (b"z0", b"test")
OWNER = (b"a", *APEX)


def test_random_zones_are_answered_as_by_the_three(required: Callable[[str], str]) -> None:
    for program in PEERS.values():
        required(program)
    report = run(QUERIES, seed=1000)
    assert not report.unexplained, str(report)
    assert report.queries == QUERIES
    assert report.packets > 1000


def asked(qtype: int = 1) -> Query:
    packet = b"\0\0\0\0\0\1\0\0\0\0\0\0\1a\2z0\4test\0" + qtype.to_bytes(2) + b"\0\1"
    return Query(packet, OWNER, qtype, None, tcp=False)


def a_reply() -> Answer:
    return read(
        b"\0\0\x84\0\0\1\0\1\0\0\0\0" + asked().packet[12:] + b"\xc0\x0c\0\1\0\1\0\0\0\x1e\0\4\xc0\0\2\1"
    )


def judged(query: Query, ours: Answer, peers: Mapping[str, Answer] | None = None) -> Verdict:
    zone = Zone(APEX, 30, 30, {(OWNER, "A"): Data(OWNER, "A", 30, ["192.0.2.1"])})
    usual = dict.fromkeys(PEERS, a_reply())
    return judge(Case(query, ours, {**usual, **(peers or {})}, World([zone])))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("rcode", 3),
        ("aa", False),
        ("tc", True),
        ("flags", 0x80A0),
        ("question", b"\1b\2z0\4test\0\0\1\0\1"),
        ("answer", frozenset()),
        ("authority", frozenset({(b"\0", 6, 30, b"")})),
        ("additional", frozenset({(b"\1b\0", 1, 30, b"\xc0\0\2\1")})),
        ("opt", (0, 0)),
        ("repeated", True),
        ("size", 513),
    ],
)
def test_the_judge_finds_every_difference(field: str, value: object) -> None:
    usual = a_reply()
    assert judged(asked(), usual) == Verdict((), frozenset(), 3)
    assert judged(asked(), replace(usual, **{field: value})).findings


@pytest.mark.parametrize("peer", PEERS)
def test_a_peer_that_goes_its_own_way_for_no_known_reason_is_a_finding(peer: str) -> None:
    other = replace(a_reply(), rcode=3)
    assert judged(asked(), a_reply(), {peer: other}).findings


def test_a_peer_is_no_voice_where_it_goes_a_known_way_and_has_to_go_just_that() -> None:
    soa = (
        b"\2z0\4test\0",
        6,
        30,
        b"\2ns\2z0\4test\0\5admin\2z0\4test\0"
        + bytes.fromhex("00000007 00001c20 00000708 00127500 0000001e"),
    )
    nodata = replace(a_reply(), question=asked(0).packet[12:], answer=frozenset(), authority=frozenset({soa}))
    refusal = replace(nodata, rcode=4, aa=False, authority=frozenset())
    peers = {"nsd": nodata, "knot": refusal, "bind": nodata}
    verdict = judged(asked(0), nodata, peers)
    assert verdict == Verdict((), frozenset({"knot: type-0"}), 2)
    assert judged(asked(0), nodata, {**peers, "knot": replace(refusal, rcode=5)}).findings
    assert judged(asked(0), nodata, {**peers, "bind": refusal}).findings


ZONE = Zone(APEX, 30, 30)
PLAIN = Shape("bits", packet(wire(APEX), extra=opt()))
ANSWER = PLAIN.packet[12:-11] + b"\xc0\x0c\0\6\0\1\0\0\0\x1e\0\x16\0\0" + bytes(20) + opt()
RIGHT = header(0x8400, 1, answers=1, additional=1) + ANSWER


def shaped(shape: Shape, **said: bytes | None) -> list[str]:
    return manners.judge(shape, {**dict.fromkeys((US, *PEERS), RIGHT), **said}, World([ZONE]))


@pytest.mark.parametrize("who", [US, *PEERS])
@pytest.mark.parametrize(
    "reply",
    [
        None,
        RIGHT[:2] + b"\x85" + RIGHT[3:],  # RD
        RIGHT[:3] + b"\x80" + RIGHT[4:],  # RA
        RIGHT[:3] + b"\5" + RIGHT[4:],
        header(0x8400, 1, additional=1) + PLAIN.packet[12:],  # no answer
        header(0x8400, 1, answers=1) + ANSWER[:-11],  # no OPT record
        header(0x8400, 0, answers=1, additional=1) + ANSWER[len(wire(APEX)) + 4 :],  # no question
        RIGHT[:-11] + opt(flags=0x8000),
        RIGHT[:-11] + opt((8, b"\0\1\0\0")),
        RIGHT + b"\0",
    ],
)
def test_what_is_said_to_a_packet_is_found_where_it_should_not_be(who: str, reply: bytes | None) -> None:
    assert not shaped(PLAIN)
    assert shaped(PLAIN, **{who: reply})


def test_a_manner_is_only_for_its_kind_of_packets_and_for_what_it_says() -> None:
    with_cd = RIGHT[:3] + b"\x10" + RIGHT[4:]
    asked = Shape("bits", PLAIN.packet[:3] + b"\x10" + PLAIN.packet[4:])
    assert not shaped(asked, bind=with_cd)
    assert shaped(Shape("payload", asked.packet), bind=with_cd)
    assert shaped(asked, knot=with_cd)
    assert shaped(asked, bind=RIGHT[:3] + b"\x30" + RIGHT[4:])


def test_three_that_agree_are_a_finding_whatever_explains_each() -> None:
    shape = Shape("rcode", PLAIN.packet)
    error = header(0x8001, 0)
    assert not shaped(shape, nsd=error)
    assert any("alone" in what for what in shaped(shape, nsd=error, knot=error, bind=error))
