"""The bounds of what a lane remembers, redirections to steered names, and what is seldom asked."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

import pytest
from core_support import Lab, Reply, query

from geodns.core import fit, names, replay, shortcut, wire
from geodns.core.cookies import Cookies
from geodns.core.fit import STREAM, compressed
from geodns.core.terms import Terms
from geodns.core.unpacked import heads_of

ZONE = """
zone: z.test
ttl: 30
nameservers: {ns: 192.0.2.53}
policies: {p: [{when: {country: CN}, to: south}, {to: north}]}
pools:
  web: {policy: p, regions: {south: 192.0.2.1, north: 192.0.2.2}}
  some: {policy: nearest, answers: 2, regions: {south: [192.0.2.1, 192.0.2.2, 192.0.2.3]}}
  heavy: {policy: nearest, regions: {south: [{address: 192.0.2.1, weight: 5000}, 192.0.2.2]}}
records:
  www: {steer: web}
  some: {steer: some}
  heavy: {steer: heavy}
  a: {A: 192.0.2.9}
  b: {A: 192.0.2.9}
  moved: {DNAME: y.test.}
  round: {DNAME: round2}
  round2: {DNAME: round}
  long: {DNAME: LONG.y.test.}
  self: {DNAME: x.self.z.test.}
""".replace("LONG", ".".join(letter * 60 for letter in "abc"))
OTHER = """
zone: y.test
ttl: 60
nameservers: {ns: 192.0.2.53}
records:
  www: {CNAME: www.z.test.}
  some: {CNAME: some.z.test.}
  self: {CNAME: x.moved.z.test.}
  twice: {DNAME: moved.z.test.}
  over: {DNAME: z.test.}
  back: {CNAME: moved.z.test.}
"""
FILES = {"_shared.yaml": "regions: {south: {}, north: {}}", "z.yaml": ZONE, "y.yaml": OTHER}
PLACES = {"10.1.0.0/16": {"country": "CN"}, "10.2.0.0/16": {"country": "DE"}}


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab.of(tmp_path, FILES, PLACES)


# redirections


@pytest.mark.parametrize(("client", "address"), [("10.1.0.1", "192.0.2.1"), ("10.2.0.1", "192.0.2.2")])
def test_who_is_led_below_a_dname_to_a_cname_is_told_so(lab: Lab, client: str, address: str) -> None:
    reply = lab.ask("www.moved.z.test", source=client)
    assert [(name, kind) for name, _, kind, _ in reply.answer][:3] == [
        ("moved.z.test", "DNAME"),
        ("www.moved.z.test", "CNAME"),
        ("www.y.test", "CNAME"),
    ]
    assert lab.ask("www.z.test", source=client).values == [address]


@pytest.mark.parametrize(("client", "address"), [("10.1.0.1", "192.0.2.1"), ("10.2.0.1", "192.0.2.2")])
def test_who_is_led_to_a_steered_name_is_steered(lab: Lab, client: str, address: str) -> None:
    reply = lab.ask("www.over.y.test", source=client)
    assert reply.answer[-1] == ("www.z.test", 30, "A", address)
    several = lab.ask("some.over.y.test", source=client)
    assert [kind for _, _, kind, _ in several.answer] == ["DNAME", "CNAME", "A", "A"]


def test_a_redirection_around_ends_where_it_began(lab: Lab) -> None:
    reply = lab.ask("x.round.z.test")
    assert reply.rcode == "NOERROR"
    assert [data for _, _, kind, data in reply.answer if kind == "CNAME"] == [
        "x.round2.z.test.",
        "x.round.z.test.",
    ]
    assert sum(kind == "DNAME" for _, _, kind, _ in reply.answer) == 2


def test_a_name_that_gets_too_long_is_yxdomain_with_the_dname_alone(lab: Lab) -> None:
    reply = lab.ask(f"q.{'q' * 63}.long.z.test")
    assert reply.rcode == "YXDOMAIN"
    assert [kind for _, _, kind, _ in reply.answer] == ["DNAME"]


def test_a_dname_that_leads_below_itself_stands_there_once(lab: Lab) -> None:
    reply = lab.ask("a.self.z.test")
    assert sum(kind == "DNAME" for _, _, kind, _ in reply.answer) == 1
    assert [data for _, _, kind, data in reply.answer if kind == "CNAME"][:2] == [
        "a.x.self.z.test.",
        "a.x.x.self.z.test.",
    ]


def test_a_dname_that_was_passed_and_is_the_answer_stands_there_once(lab: Lab) -> None:
    reply = lab.ask("back.moved.z.test", "DNAME")
    assert [(name, kind) for name, _, kind, _ in reply.answer] == [
        ("moved.z.test", "DNAME"),
        ("back.moved.z.test", "CNAME"),
        ("back.y.test", "CNAME"),
    ]


def test_a_dname_passed_twice_stands_there_once(lab: Lab) -> None:
    reply = lab.ask("x.twice.y.test")
    shown = [(name, kind) for name, _, kind, _ in reply.answer]
    assert len(shown) == len(set(shown))
    assert ("twice.y.test", "DNAME") in shown
    assert ("moved.z.test", "DNAME") in shown


@pytest.mark.parametrize("labels", [123, 124, 32_000])
def test_a_name_is_no_longer_than_255_octets_below_a_zone_too(lab: Lab, labels: int) -> None:
    packet = query(b"\1q" * labels + b"\1z\4test\0")
    reply = lab.reply(packet)
    assert reply is not None
    assert reply[3] & 15 == (wire.NXDOMAIN if labels == 123 else wire.FORMERR)


# what is remembered is bounded


@pytest.mark.python_lane
def test_a_full_shortcut_takes_no_more_questions_and_answers_them_all_the_same(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shortcut, "MAX_QUESTIONS", 1)
    for _ in range(2):
        assert lab.ask("a.z.test").values == lab.ask("b.z.test").values == ["192.0.2.9"]
    assert len(lab.replay.state.shortcut) == 1


@pytest.mark.python_lane
def test_a_full_shortcut_takes_no_more_classes_and_answers_them_all_the_same(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shortcut, "MAX_ANSWERS", 1)
    for _ in range(2):
        assert lab.ask("www.z.test", source="10.1.0.1").values == ["192.0.2.1"]
        assert lab.ask("www.z.test", source="10.2.0.1").values == ["192.0.2.2"]
    assert lab.replay.state.shortcut.answers == 1


@pytest.mark.python_lane
def test_answer_sets_that_are_ready_are_bounded(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "_MAX_READY", 1)
    for _ in range(2):
        for client, address in (("10.1.0.1", "192.0.2.1"), ("10.2.0.1", "192.0.2.2")):
            lab.replay.state.shortcut.clear()
            assert lab.ask("www.z.test", source=client).values == [address]
            assert len(lab.replay.state.ready) == 1


@pytest.mark.python_lane
def test_a_source_that_was_nearly_forgotten_is_recalled_without_being_located_anew(lab: Lab) -> None:
    asked = []
    classify = lab.replay.classify
    lab.replay.classify = lambda plan, subnet: asked.append(subnet) or classify(plan, subnet)  # type: ignore[func-returns-value]
    lab.replay.sources._limit = 1
    for client in ("10.1.0.1", "10.2.0.1", "10.1.0.1"):
        lab.replay.state.shortcut.clear()
        assert lab.ask("www.z.test", source=client).values
    assert len(asked) == 2
    lab.ask("www.z.test", source="10.3.0.1")
    lab.ask("www.z.test", source="10.4.0.1")
    lab.ask("www.z.test", source="10.1.0.1")
    assert len(asked) == 5


def test_a_body_is_compressed_once_for_all_who_ask_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    monkeypatch.setattr(fit, "compressed", lambda *given: made.append(given) or compressed(*given))
    body = wire.record(b"\4mail\4test\0", wire.A, 1, bytes(4)) * 2
    packet = b"\0\7\0\0\0\1" + bytes(6) + b"\1q\4test\0\0\1\0\1"
    fitter = fit.Fitter()
    parts = ((heads_of(0, 2, 0, 0), body),)
    most = len(packet) + len(body) - 1
    replies = {fitter.reply(packet, len(packet), 0, b"", most, parts) for _ in range(3)}
    assert len(replies) == len(made) == 1


# chance


def test_a_total_too_large_to_write_out_is_drawn_all_the_same(lab: Lab) -> None:
    edge = (5000 << 32) // 5001
    assert lab.ask("heavy.z.test", chance=edge).values == ["192.0.2.1"]
    assert lab.ask("heavy.z.test", chance=edge + 1).values == ["192.0.2.2"]
    assert lab.ask("heavy.z.test", chance=2**32 - 1).values == ["192.0.2.2"]


# explanations and terms


def test_look_up_says_what_a_name_leads_to(lab: Lab) -> None:
    folded = names.from_text("x.moved.z.test.")
    leads_to = lab.replay.look_up(folded, wire.A)
    assert leads_to is not None
    assert leads_to.flags & 15 == wire.NXDOMAIN
    assert lab.replay.look_up(names.from_text("www.other.test."), wire.A) is None


def test_without_a_list_everybody_is_believed() -> None:
    assert Terms().believes("198.18.0.1")
    terms = Terms(resolvers=(ip_network("10.0.0.0/8"),))
    assert [terms.believes(client) for client in ("10.1.2.3", "198.18.0.1", "fe80::1%eth0")] == [
        True,
        False,
        False,
    ]


def test_what_only_looks_like_a_cookie_proves_nothing(tmp_path: Path) -> None:
    lab = Lab.of(tmp_path, FILES, PLACES, terms=Terms(cookies=Cookies((bytes(16),))))
    knows = lab.replay.reception.knows
    for options in (b"\0\x0c\0\2\0\x0a", b"\0\x0a\0\x09abcdefgh", b"\0\x0a\0\x08abcdefgh"):
        assert not knows(query("a.z.test", options=options), "198.18.0.1", lab.now)
    given = lab.terms.cookies.examine(b"abcdefgh", "198.18.0.1", lab.now)
    honest = query("a.z.test", options=b"\0\x0a\0\x18" + given.value)
    assert knows(honest, "198.18.0.1", lab.now)
    assert not knows(honest, "198.18.0.2", lab.now)


# compression at its edges


def test_no_pointer_leads_farther_than_one_can(lab: Lab) -> None:
    record = wire.record(b"\4mail\4test\0", wire.TXT, 1, b"\xff" + bytes(255))
    tight = compressed(12, record * 70)
    assert tight.count(b"\4mail\4test\0") == 1
    far = compressed(0x3FFF - 4, record * 2)
    assert far.count(b"\4mail\4test\0") == 1
    beyond = compressed(0x4000, record * 2)
    assert beyond == record * 2


def test_a_long_answer_over_a_stream_is_whole(lab: Lab) -> None:
    reply = Reply(lab.reply(query("some.z.test"), limit=STREAM) or b"")
    assert len(set(reply.values)) == 2
