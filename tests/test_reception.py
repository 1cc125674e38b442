"""What is decided without the data: opcodes, classes, whom to believe, what a server says of itself."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

import dns.edns
import pytest
from core_support import STREAM, Lab, Reply, query

from geodns.config.schema.settings import MAX_IDENTITY
from geodns.core import edns, wire
from geodns.core.cookies import Cookies
from geodns.core.reception import Arrival
from geodns.core.terms import Terms

LONGEST = ".".join(letter * 63 for letter in "abc") + "." + "d" * 54  # 255 octets with the zone's name
FILES = {
    "z.test.yaml": f"""
zone: z.test
nameservers: {{ns: 192.0.2.53}}
regions: {{one: {{}}, two: {{}}}}
checks: {{c: {{type: tcp, port: 80}}}}
pools: {{web: {{policy: places, check: c, regions: {{one: 192.0.2.1, two: 192.0.2.2}}}}}}
policies: {{places: [{{when: {{country: CN}}, to: one}}, {{to: two}}]}}
records:
  www: {{steer: web}}
  static: {{A: 192.0.2.9}}
  moved: {{DNAME: test.}}
  {LONGEST}: {{steer: web}}
"""
}
PLACES = {"10.1.0.0/16": {"country": "CN"}, "10.2.0.0/16": {"country": "DE"}}
TSIG = b"\0\0\xfa\0\xff\0\0\0\0\0\0"


def lab_of(tmp_path: Path, **terms: object) -> Lab:
    return Lab.of(tmp_path, FILES, PLACES, terms=Terms(**terms))  # type: ignore[arg-type]


def ask(lab: Lab, packet: bytes, source: str = "198.18.0.1", limit: int = 1232) -> Reply:
    return Reply(lab.reply(packet, source, limit) or b"")


def options(reply: Reply) -> dict[int, dns.edns.Option]:
    return {int(option.otype): option for option in reply.message.options}


# opcodes


@pytest.mark.parametrize(("opcode", "cause"), [(wire.NOTIFY, "notify"), (wire.UPDATE, "update")])
def test_notify_and_update_are_refused_cleanly(tmp_path: Path, opcode: int, cause: str) -> None:
    lab = lab_of(tmp_path)
    reply = ask(lab, query("z.test", "SOA", flags=opcode << 11))
    assert reply.rcode == "REFUSED"
    assert reply.message.opcode() == opcode
    assert len(reply.raw) == 12 + 8 + 4, "the question is echoed, and nothing else"
    assert "edns" not in reply.flags
    with_opt = ask(lab, query("z.test", "SOA", flags=opcode << 11, edns=1232))
    assert (with_opt.rcode, with_opt.message.edns) == ("REFUSED", 0)
    assert lab.replay.reception.aside == {cause: 2}


@pytest.mark.parametrize(("opcode", "rcode"), [(wire.NOTIFY, wire.FORMERR), (wire.UPDATE, wire.REFUSED)])
def test_an_update_may_be_as_long_as_it_likes_a_notify_may_not(
    tmp_path: Path, opcode: int, rcode: int
) -> None:
    many = query("z.test", "SOA", flags=opcode << 11)
    many = many[:8] + b"\0\x40" + many[10:] + b"\0\0\1\0\1\0\0\0\0\0\0" * 64
    assert lab_of(tmp_path).reply(many) == many[:2] + bytes([0x80 | opcode << 3, rcode]) + bytes(8)


def test_a_notify_without_a_question_is_malformed(tmp_path: Path) -> None:
    asked = query("z.test", "SOA", flags=wire.NOTIFY << 11)
    reply = lab_of(tmp_path).reply(asked[:4] + bytes(8))
    assert reply == asked[:2] + bytes([0x80 | wire.NOTIFY << 3, wire.FORMERR]) + bytes(8)


def test_an_update_without_a_zone_is_refused_without_one(tmp_path: Path) -> None:
    asked = query("z.test", "SOA", flags=wire.UPDATE << 11, edns=1232)
    reply = lab_of(tmp_path).reply(asked[:4] + b"\0\0" + asked[6:12] + asked[-11:])
    assert reply is not None
    assert reply[2:12] == bytes([0x80 | wire.UPDATE << 3, wire.REFUSED]) + bytes(7) + b"\1"


# what the server says of itself


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("version.bind", "geodns 1"),
        ("VERSION.server", "geodns 1"),
        ("id.server", "fra-1"),
        ("hostname.bind", "fra-1"),
    ],
)
def test_a_server_tells_who_it_is_when_it_was_told_to(tmp_path: Path, name: str, text: str) -> None:
    lab = lab_of(tmp_path, version=b"geodns 1", server=b"fra-1")
    reply = ask(lab, query(name, "TXT", rclass=wire.CH, edns=1232))
    assert reply.rcode == "NOERROR"
    assert reply.answer == [(name.lower(), 0, "TXT", f'"{text}"')]
    assert {"qr", "aa"} <= reply.flags
    assert reply.message.question[0].rdclass == wire.CH
    assert reply.message.edns == 0
    assert lab.replay.reception.aside == {"identity": 1}


@pytest.mark.parametrize(
    ("name", "rtype"), [("version.bind", "TXT"), ("id.server", "TXT"), ("z.test", "TXT"), ("x.server", "A")]
)
def test_otherwise_class_ch_is_refused(tmp_path: Path, name: str, rtype: str) -> None:
    assert ask(lab_of(tmp_path), query(name, rtype, rclass=wire.CH)).rcode == "REFUSED"
    told = lab_of(tmp_path, version=b"1", server=b"1")
    assert ask(told, query(name, "A", rclass=wire.CH)).rcode == "REFUSED"


def test_nsid_is_told_to_who_asks_for_it(tmp_path: Path) -> None:
    asked = query("static.z.test", options=edns.option(edns.NSID, b""))
    lab = lab_of(tmp_path, nsid=b"fra-1")
    for _ in range(2):
        found = options(ask(lab, asked))
        assert list(found) == [edns.NSID]
        assert found[edns.NSID].to_wire() == b"fra-1"
    assert not options(ask(lab, query("static.z.test", edns=1232)))
    assert not options(ask(lab_of(tmp_path), asked))


def test_keepalive_is_told_over_tcp_alone(tmp_path: Path) -> None:
    asked = query("static.z.test", options=edns.option(edns.KEEPALIVE, b""))
    lab = lab_of(tmp_path, idle=100)
    for _ in range(2):
        found = options(ask(lab, asked, limit=STREAM))
        assert list(found) == [edns.KEEPALIVE]
        assert found[edns.KEEPALIVE].to_wire() == b"\0\x64"
        assert not options(ask(lab, asked))
    assert not options(ask(lab, query("static.z.test", edns=1232), limit=STREAM))
    assert not options(ask(lab_of(tmp_path), asked, limit=STREAM))


@pytest.mark.python_lane
def test_long_opt_records_are_read_each_time(tmp_path: Path) -> None:
    lab = lab_of(tmp_path)
    for size, kept in ((100, 1), (128, 0)):
        lab.replay.forget()
        asked = query("static.z.test", options=edns.option(65001, bytes(size)))
        assert ask(lab, asked).values == ask(lab, asked).values == ["192.0.2.9"]
        assert len(lab.replay.tails.young) == kept


# whose Client Subnet is believed


def test_only_the_resolvers_named_speak_for_others(tmp_path: Path) -> None:
    lab = lab_of(tmp_path, resolvers=(ip_network("198.51.100.0/24"), ip_network("2001:db8::/32")))
    asked = query("www.z.test", subnet="10.1.0.0/16")
    for _ in range(2):
        for source in ("198.51.100.7", "2001:db8::7"):
            believed = ask(lab, asked, source)
            assert (believed.values, believed.scope) == (["192.0.2.1"], 20)
        for source in ("198.51.101.7", "2001:db9::7", "fe80::1%eth0"):
            doubted = ask(lab, asked, source)
            assert (doubted.values, doubted.scope) == (["192.0.2.2"], None), "its own place, no option"
            assert doubted.message.edns == 0
        own = ask(lab, asked, "10.1.2.3")
        assert (own.values, own.scope) == (["192.0.2.1"], None)


def test_what_nobody_may_say_must_still_be_well_formed(tmp_path: Path) -> None:
    lab = lab_of(tmp_path, resolvers=())
    bad = query("www.z.test", options=edns.option(edns.CLIENT_SUBNET, b"\0\3\x18\0\1\2\3"))
    assert ask(lab, bad).rcode == "FORMERR"


# extended errors


def extended(reply: Reply) -> list[tuple[int, str | None]]:
    return [(o.code, o.text) for o in reply.message.options if isinstance(o, dns.edns.EDEOption)]


def test_a_name_of_no_zone_is_refused_as_not_authoritative(tmp_path: Path) -> None:
    lab = lab_of(tmp_path)
    assert extended(ask(lab, query("other.test", edns=1232))) == [(20, None)]
    assert extended(ask(lab, query("other.test", subnet="10.1.0.0/16"))) == [(20, None)]
    assert len(lab.reply(query("other.test")) or b"") == len(query("other.test"))
    assert not extended(ask(lab, query("none.z.test", edns=1232)))


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ({}, []),
        ({"down": ["web/two"]}, []),
        ({"unknown": ["web"]}, [(0, "fail open: no endpoint is known to be up")]),
        ({"down": ["web"]}, [(0, "fail open: no endpoint is known to be up")]),
        ({"paused": ["one", "two"]}, [(0, "paused: every region for this client is")]),
    ],
)
def test_answers_that_are_not_as_usual_say_so_where_that_is_wanted(
    tmp_path: Path, state: dict[str, list[str]], told: list[tuple[int, str]]
) -> None:
    lab, silent = lab_of(tmp_path, states=True), lab_of(tmp_path)
    lab.state(state)
    silent.state(state)
    for subnet in (None, "10.1.0.0/16"):
        asked = query("www.z.test", edns=1232, subnet=subnet)
        for _ in range(2):
            reply = ask(lab, asked)
            assert extended(reply) == told
            assert reply.scope == (20 if subnet else None)
            assert not extended(ask(silent, asked))
    assert ask(lab, query("www.z.test")).message.edns == -1


def test_what_is_said_beside_an_answer_fits_where_least_fits(tmp_path: Path) -> None:
    secrets = (bytes(16),)
    lab = lab_of(tmp_path, states=True, nsid=bytes(MAX_IDENTITY), cookies=Cookies(secrets))
    lab.state({"down": ["web"]})
    asked = query(
        f"{LONGEST}.z.test", edns=512, subnet="2001:db8::1/128", options=b"\0\3\0\0\0\x0a\0\x08" + bytes(8)
    )
    reply = ask(lab, asked)
    assert set(options(reply)) == {3, 8, 10, 15}
    assert "tc" in reply.flags
    assert len(reply.raw) <= 512


def test_a_server_that_is_not_ready_says_so(tmp_path: Path) -> None:
    lab = lab_of(tmp_path)

    def not_ready(packet: bytes) -> bytes | None:
        return lab.replay.reception.not_ready(Arrival(packet, "198.18.0.1", 1232, 0, lab.now))

    reply = Reply(not_ready(query("www.z.test", edns=1232, flags=0x0100)) or b"")
    assert (reply.rcode, extended(reply), reply.answer) == ("SERVFAIL", [(14, None)], [])
    assert reply.flags == {"qr", "rd"}
    bare = not_ready(query("www.z.test"))
    assert bare == query("www.z.test", flags=0x8000 | wire.SERVFAIL)
    assert not_ready(query("www.z.test")[:-1]) == query("www.z.test")[:2] + b"\x80\1" + bytes(8)
    assert not_ready(query("www.z.test", flags=0x8000)) is None
    assert not_ready(b"short") is None
    assert lab.replay.reception.aside == {"not ready": 2, "question": 1, "silence": 2}
    for as_ever in (query("www.z.test", flags=0x7800), query("www.z.test", version=1), query("z.test")[:20]):
        assert not_ready(as_ever) == lab.reply(as_ever)


@pytest.mark.parametrize("do", [False, True])
def test_do_is_echoed_with_an_error_too(tmp_path: Path, do: bool) -> None:
    """RFC 3225 §3, RFC 6891 §6.1.4."""
    lab = lab_of(tmp_path)
    malformed = query("www.z.test", do=do, edns=1232, options=b"\0\x08\0\7")
    for reply in (
        ask(lab, malformed),
        ask(lab, query("www.z.test", do=do, edns=1232, version=1)),
        Reply(
            lab.replay.reception.not_ready(
                Arrival(query("www.z.test", do=do, edns=1232), "198.18.0.1", 1232, 0, lab.now)
            )
            or b""
        ),
    ):
        assert bool(reply.message.ednsflags & edns.DO) is do


def test_other_terms_hold_at_once_and_for_what_was_remembered(tmp_path: Path) -> None:
    lab = lab_of(tmp_path, states=True)
    asked = query("www.z.test", subnet="10.1.0.0/16")
    assert ask(lab, asked).scope == 20
    lab.replay.agree(Terms(resolvers=()))
    assert ask(lab, asked).scope is None


# transfers, and who signs


def test_transfers_are_refused_but_ixfr_over_udp_tells_the_serial_where_there_are_some(
    tmp_path: Path,
) -> None:
    refusing, giving = lab_of(tmp_path), lab_of(tmp_path, transfers=True)
    assert ask(refusing, query("z.test", "IXFR")).rcode == "REFUSED"
    told = ask(giving, query("z.test", "IXFR"))
    assert (told.rcode, told.answer) == ("NOERROR", ask(giving, query("z.test", "SOA")).answer)
    assert "tc" not in told.flags
    for lab in (refusing, giving):
        assert ask(lab, query("z.test", "AXFR")).rcode == "REFUSED"
        assert ask(lab, query("z.test", "IXFR"), limit=STREAM).rcode == "REFUSED"


def test_so_does_ixfr_for_a_name_that_a_dname_leads_to(tmp_path: Path) -> None:
    lab = lab_of(tmp_path, transfers=True)
    told = ask(lab, query("z.moved.z.test", "IXFR"))
    assert [rtype for _, _, rtype, _ in told.answer] == ["DNAME", "CNAME", "SOA"]
    assert told.answer == ask(lab, query("z.moved.z.test", "SOA")).answer


@pytest.mark.parametrize("name", ["z.test", "none.z.test", "static.z.test"])
def test_a_transfer_is_refused_whether_or_not_its_opt_record_is_known(tmp_path: Path, name: str) -> None:
    lab = lab_of(tmp_path)
    for rtype in ("AXFR", "IXFR"):
        asked = query(name, rtype, edns=1232)
        assert ask(lab, asked).rcode == "REFUSED"
        ask(lab, query(name, "A", edns=1232))
        assert ask(lab, asked).rcode == "REFUSED"


def test_a_signed_query_goes_to_whoever_knows_keys(tmp_path: Path) -> None:
    lab = lab_of(tmp_path)
    plain = query("static.z.test")
    asked = plain[:11] + b"\1" + plain[12:] + TSIG
    assert lab.reply(asked) == lab.reply(plain), "without keys the record is not looked at"
    seen: list[tuple[Arrival, int]] = []

    def signed(arrival: Arrival, start: int) -> bytes:
        seen.append((arrival, start))
        return b"signed"

    lab.replay.sign(signed)
    assert lab.reply(asked, "10.1.2.3", 1232, 7) == b"signed"
    assert seen == [(Arrival(asked, "10.1.2.3", 1232, 7, lab.now), len(plain))]
    assert lab.reply(plain) != b"signed"


def test_a_rehearsal_is_counted_nowhere(tmp_path: Path) -> None:
    lab = lab_of(tmp_path)
    lab.replay.rehearse(query("other.test"), "10.1.2.3", 1000)
    lab.replay.rehearse(query("www.z.test"), "10.1.2.3", 1000)
    assert not lab.replay.reception.aside
    assert not any(lab.tally)
