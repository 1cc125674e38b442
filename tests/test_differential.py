"""geodns answers as NSD, Knot and BIND do: random zones, random queries, no difference left unexplained.

The bounded run; `make differential N=1000000` is the long one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.differential.answers import Answer, read
from tests.differential.judge import World, case_of, judge
from tests.differential.queries import Query
from tests.differential.run import run
from tests.differential.servers import PEERS
from tests.differential.zones import generate

QUERIES = 20_000


def test_random_zones_are_answered_as_by_the_three(required: Callable[[str], str]) -> None:
    for program in PEERS.values():
        required(program)
    report = run(QUERIES, seed=1000)
    assert not report.unexplained, str(report)
    assert report.queries == QUERIES


def a_reply() -> Answer:
    header = b"\0\0\x84\0\0\1\0\1\0\0\0\0"
    question = b"\1a\2z0\4test\0\0\1\0\1"
    return read(header + question + b"\xc0\x0c\0\1\0\1\0\0\0\x1e\0\4\xc0\0\2\1")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("rcode", 3),
        ("aa", False),
        ("tc", True),
        ("answer", frozenset()),
        ("authority", frozenset({(b"\0", 6, 30, b"")})),
        ("additional", frozenset({(b"\1b\0", 1, 30, b"\xc0\0\2\1")})),
        ("opt", (0, 0)),
        ("repeated", True),
    ],
)
def test_the_judge_finds_every_difference(field: str, value: object) -> None:
    usual = a_reply()
    world = World(generate(0, 1))
    query = Query(b"", (b"a", b"z0", b"test"), 1, None, tcp=False)
    peers = dict.fromkeys(PEERS, usual)
    assert not judge(case_of(query, usual, peers, world)).findings
    assert judge(case_of(query, replace(usual, **{field: value}), peers, world)).findings


def test_peers_that_disagree_for_no_known_reason_are_a_finding() -> None:
    usual = a_reply()
    world = World(generate(0, 1))
    query = Query(b"", (b"a", b"z0", b"test"), 1, None, tcp=False)
    peers = {"nsd": replace(usual, rcode=3), "knot": usual, "bind": usual}
    assert judge(case_of(query, usual, peers, world)).findings
