"""The query's whole way under hostile packets, and its memories: what was asked before changes no octet."""

from __future__ import annotations

from array import array
from pathlib import Path
from random import Random

import core_worlds as worlds
import dns.flags
import dns.message
import pytest
from core_support import PAYLOAD, Lab, Places, Reply, mixed_case, query, subnet_option
from hypothesis import given, settings
from hypothesis import strategies as st

from geodns.core import wire
from geodns.core.clients import Memory
from geodns.core.replay import STREAM, Hooks, Replay

STEADY = settings(deadline=None, derandomize=True, max_examples=100)
seeds = st.integers(0, 2**32 - 1)

ZONE = """
zone: z.test
ttl: 30
nameservers: {ns: 192.0.2.53}
policies: {p: [{when: {country: CN}, to: south}, {to: nearest}]}
pools:
  web: {policy: p, regions: {south: [192.0.2.1, 192.0.2.2], north: ["2001:db8::1", 192.0.2.3]}}
  cdn: {policy: p, regions: {south: {target: s.cdn.test.}, north: {target: n.cdn.test.}}}
  many: {policy: nearest, answers: all, regions: {south: [%s]}}
records:
  www: {steer: web}
  img: {steer: cdn}
  many: {steer: many}
  stick: {steer: {pool: web, pick: sticky}}
  turns: {steer: {pool: web, pick: round-robin, answers: all}}
  two: {steer: {pool: many, answers: 2}}
  alias: {CNAME: www}
  static: {A: 192.0.2.9, TXT: [hello, world]}
  sub: {NS: ns.sub.z.test.}
  ns.sub: {A: 192.0.2.54}
  "*.w": {A: 192.0.2.8}
  moved: {DNAME: w}
""" % ", ".join(f"198.51.100.{i}" for i in range(60))  # noqa: UP031 - YAML is full of braces
FILES = {"_shared.yaml": "regions: {south: {at: [23, 113]}, north: {at: [50, 8]}}", "z.yaml": ZONE}
PLACES: Places = {"10.1.0.0/16": {"country": "CN"}, "10.2.0.0/16": {"country": "DE"}}
NAMES = (
    "www", "img", "many", "stick", "turns", "two", "alias", "static", "sub", "x.sub", "a.w", "b.moved", "gone"
)  # fmt: skip
TYPES = ("A", "AAAA", "TXT", "CNAME", "NS", "SOA", "ANY", "DS", "MX", "AXFR", "TYPE65280", "HTTPS")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return Lab.of(tmp_path_factory.mktemp("zones"), FILES, PLACES)


def valid(chance: Random) -> bytes:
    """A query as a resolver might send it: names of the zone and others, with and without EDNS."""
    full = chance.choice((*(f"{name}.z.test" for name in NAMES), "z.test", "www.other.test"))
    if chance.random() < 0.3:
        full = mixed_case(full)
    subnet = None
    if chance.random() < 0.5:
        near = f"10.{chance.randrange(4)}.{chance.randrange(4)}.0/24"
        subnet = chance.choice((near, "2001:db8::/56", "0.0.0.0/0"))
    return query(
        full,
        chance.choice(TYPES),
        subnet=subnet,
        edns=chance.choice((None, 0, 512, 800, 1232, 4096)),
        do=chance.random() < 0.2,
        flags=chance.choice((0, 0, 0x0100, 0x0110, 0x0020)),
        ident=chance.getrandbits(16),
        rclass=chance.choice((1, 1, 1, 1, 255, 3)),
    )


def mutated(packet: bytes, chance: Random) -> bytes:
    """The packet with some octets changed, inserted, removed or cut off."""
    raw = bytearray(packet)
    for _ in range(chance.randrange(1, 5)):
        at = chance.randrange(len(raw)) if raw else 0
        match chance.randrange(5):
            case 0:
                raw[at : at + 1] = bytes([chance.getrandbits(8)])
            case 1:
                raw[at:at] = chance.randbytes(chance.randrange(1, 8))
            case 2:
                del raw[at : at + chance.randrange(1, 8)]
            case 3:
                del raw[at:]
            case _:
                raw[at : at + 1] = bytes([chance.choice((0, 1, 0x3F, 0x40, 0xC0, 0xFF, 0x29, 8, 12))])
    return bytes(raw)


def judge(packet: bytes, reply: bytes | None, limit: int) -> None:
    """What holds of every reply, whatever was asked."""
    if len(packet) < 12 or packet[2] & 0x80:
        assert reply is None
        return
    assert reply is not None
    read = dns.message.from_wire(reply)
    assert read.id == int.from_bytes(packet[:2])
    assert read.flags & dns.flags.QR
    assert not read.flags & (dns.flags.RA | dns.flags.AD)
    assert read.opcode() == packet[2] >> 3 & 15
    asked = wire.parse(packet)
    if packet[2] & 0x78 or isinstance(asked, wire.Malformed):
        assert reply[4:] == bytes(8)
        return
    assert reply[4:6] == b"\0\1"
    assert reply[12 : asked.end] == packet[12 : asked.end]
    room = STREAM
    if limit != STREAM:
        room = 512
        if asked.opt and read.edns >= 0:
            room = max(512, min(limit, int.from_bytes(packet[asked.opt[0] + 3 : asked.opt[0] + 5])))
    assert len(reply) <= room
    assert (read.edns >= 0) == (asked.opt is not None)
    for section in (read.answer, read.authority, read.additional):
        for rrset in section:
            assert rrset.ttl <= 3600
    ttls = {(r.name, r.rdtype): set() for r in dns.message.from_wire(reply, one_rr_per_rrset=True).answer}
    for r in dns.message.from_wire(reply, one_rr_per_rrset=True).answer:
        ttls[r.name, r.rdtype].add(r.ttl)
    assert all(len(found) == 1 for found in ttls.values())


@STEADY
@given(seeds)
def test_valid_and_mutated_packets_get_a_fitting_reply_or_silence(lab: Lab, seed: int) -> None:
    chance = Random(seed)
    for _ in range(4):
        packet = valid(chance)
        for asked in (packet, mutated(packet, chance)):
            limit = chance.choice((PAYLOAD, STREAM))
            judge(asked, lab.reply(asked, limit=limit, chance=chance.getrandbits(32)), limit)


@STEADY
@given(st.binary(max_size=600))
def test_any_octets_get_a_fitting_reply_or_silence(lab: Lab, packet: bytes) -> None:
    judge(packet, lab.reply(packet), PAYLOAD)
    judge(b"\0\0\0\0\0\1\0\0\0\0" + packet, lab.reply(b"\0\0\0\0\0\1\0\0\0\0" + packet), PAYLOAD)


def fresh(lab: Lab, places: int = 1000) -> Replay:
    """A lane that has never been asked anything, over the same table and counters."""
    hooks = Hooks(lab.tally, lab.classify, lab.sheets.fill)
    return Replay(lab.replay.state.index, lab.sheets.sheets, hooks, payload=PAYLOAD, places=places)


@settings(STEADY, max_examples=40)
@given(seeds)
def test_what_was_asked_before_changes_no_octet(seed: int) -> None:
    """A lane that remembers questions, OPT records and clients, beside one that is new for every packet."""
    chance = Random(seed)
    lab = worlds.lab(chance)
    known = fresh(lab, places=4)
    zone = [*worlds.questions(lab.model), ("alias.z.test.", "A"), ("z.test.", "SOA"), ("gone.z.test.", "A")]
    pool = [
        query(spelled, rtype, subnet=subnet, edns=size, flags=flags)
        for name, rtype in zone
        for spelled in (name, name, mixed_case(name))
        for subnet in (None, worlds.network(chance))
        for size, flags in ((None, 0x0100), (4096, 0))
    ]
    for _ in range(60):
        packet = chance.choice(pool) if chance.random() < 0.8 else mutated(chance.choice(pool), chance)
        client = chance.choice(("10.0.0.1", "10.0.200.9", "2001:db8::1", "192.0.2.1"))
        luck, limit = chance.getrandbits(32), chance.choice((PAYLOAD, STREAM))
        fresh(lab).answer(packet, client, limit, luck, lab.now)  # makes the answer set, if it is the first
        outcomes = []
        for lane in (fresh(lab), known):
            lab.tally[:] = array("Q", [5] * len(lab.tally))
            outcomes.append((lane.answer(packet, client, limit, luck, lab.now), lab.tally[:]))
        assert outcomes[0] == outcomes[1]
        if chance.random() < 0.1:
            lab.take(worlds.event(lab, chance))
            known.publish(lab.sheets.sheets)


# replies to what is no ordinary query


@pytest.mark.parametrize("opcode", sorted({*range(1, 16)} - {wire.NOTIFY, wire.UPDATE}))
def test_other_opcodes_get_notimp_and_only_a_header(lab: Lab, opcode: int) -> None:
    asked = query("www.z.test", flags=opcode << 11 | 0x0100)
    reply = lab.reply(asked)
    assert reply == asked[:2] + bytes((0x80 | opcode << 3 | 1, wire.NOTIMP)) + bytes(8)


@pytest.mark.parametrize("packet", [b"", b"\0" * 11, query("www.z.test", flags=0x8000), b"\x80" * 12])
def test_short_packets_and_replies_get_silence(lab: Lab, packet: bytes) -> None:
    assert lab.reply(packet) is None


@pytest.mark.parametrize("counts", [b"\0\0", b"\0\2", b"\xff\xff"])
def test_no_question_or_several_is_a_format_error(lab: Lab, counts: bytes) -> None:
    asked = query("www.z.test", flags=0x0100)
    reply = lab.reply(asked[:4] + counts + asked[6:])
    assert reply == asked[:2] + bytes((0x81, wire.FORMERR)) + bytes(8)


def test_two_opt_records_are_a_format_error(lab: Lab) -> None:
    asked = query("www.z.test", edns=1232)
    opt = asked[-11:]
    reply = lab.reply(asked[:10] + b"\0\2" + asked[12:] + opt)
    assert reply == asked[:2] + bytes((0x80, wire.FORMERR)) + bytes(8)


def test_a_malformed_client_subnet_is_a_format_error_with_edns(lab: Lab) -> None:
    asked = query("www.z.test", subnet="10.1.0.0/16")
    spoilt = asked[:-4] + b"\x10\1" + asked[-2:]
    reply = Reply(lab.reply(spoilt) or b"")
    assert (reply.rcode, reply.answer, reply.scope) == ("FORMERR", [], None)
    assert reply.message.edns == 0


def test_an_opt_record_among_others_and_trailing_octets_are_read(lab: Lab) -> None:
    plain, asked = query("static.z.test"), query("static.z.test", edns=1232)
    other = b"\0\0\x10\0\1\0\0\0\0\0\0"
    among = lab.reply(asked[:10] + b"\0\2" + asked[12:-11] + other + asked[-11:])
    assert among == lab.reply(asked)
    assert lab.reply(plain + b"\0trailing") == lab.reply(plain)
    assert lab.reply(asked + b"\0trailing") == lab.reply(asked)


def test_unknown_options_are_ignored(lab: Lab) -> None:
    asked = query("static.z.test", edns=1232)
    padded = asked[:-2] + b"\0\x10" + b"\0\x0a\0\x08abcdefgh\0\x0c\0\0"
    assert lab.reply(padded) == lab.reply(asked)


def test_the_header_s_other_bits_are_not_taken_over(lab: Lab) -> None:
    bare, loud = lab.reply(query("static.z.test")), lab.reply(query("static.z.test", flags=0x06F0))
    assert bare is not None
    assert loud == bare


def test_names_with_zeros_and_dots_in_labels_are_names(lab: Lab) -> None:
    for label in (b"\3a\0b", b"\4w.z\0", b"\1\0", b"\6static"):
        reply = Reply(lab.reply(query(label + b"\1z\4test\0", "A")) or b"")
        assert reply.rcode == ("NOERROR" if label == b"\6static" else "NXDOMAIN")
    assert Reply(lab.reply(query(b"\6static\6z\0test\0", "A")) or b"").rcode == "REFUSED"


def test_what_is_refused_is_counted_by_cause(tmp_path: Path) -> None:
    lab = Lab.of(tmp_path, FILES, PLACES)
    asked = query("www.z.test")
    for packet in (
        b"",
        query("www.z.test", flags=0x0800),
        asked[:-1],
        query("www.z.test", version=1),
        query("www.z.test", rclass=3),
        query("z.test", "AXFR"),
        query("other.test"),
    ):
        lab.reply(packet)
    causes = ("silence", "opcode", "question", "version", "class", "transfer", "zone")
    assert lab.replay.reception.aside == dict.fromkeys(causes, 1)


# memories


def test_a_memory_is_bounded_recalls_what_is_used_and_counts_what_it_forgets() -> None:
    memory: Memory[int] = Memory(3)
    for i in range(3):
        memory.keep(str(i), i)
    assert memory.recall("0") is None
    memory.keep("3", 3)
    assert (sorted(memory.young), sorted(memory.old)) == (["3"], ["0", "1", "2"])
    assert memory.recall("1") == 1
    assert "1" in memory.young
    for i in range(10, 20):
        memory.keep(str(i), i)
        assert len(memory.young) <= 3
        assert len(memory.old) <= 3
    assert memory.forgotten > 0
    assert memory.recall("2") is None


def test_what_a_memory_forgets_is_taken_apart_a_little_at_a_time() -> None:
    memory: Memory[int] = Memory(1000)
    for i in range(5000):
        memory.keep(str(i), i)
    assert (len(memory.young), len(memory.old)) == (1000, 1000)
    for _ in range(20):
        memory.clear()
        memory.keep("x", 1)
    held = sum(map(len, memory._dying))
    assert held <= 4 * 1000
    assert (len(memory.young), len(memory.old)) == (1, 0)


@pytest.mark.python_lane
def test_a_flood_of_networks_and_names_leaves_bounded_memories(lab: Lab) -> None:
    replay = fresh(lab, places=50)
    for i in range(1000):
        option = subnet_option(f"10.{i >> 8}.{i & 255}.0/24")
        assert option
        packet = query(f"n{i}.www.z.test" if i % 2 else "www.z.test", subnet=f"10.{i >> 8}.{i & 255}.0/24")
        replay.answer(packet, f"198.51.{i >> 8}.{i & 255}", PAYLOAD, i, 1000)
    for memory in (replay.tails, replay.sources):
        assert len(memory.young) + len(memory.old) <= 100
    assert replay.tails.forgotten >= 800


@pytest.mark.python_lane
@pytest.mark.parametrize("below", ["z.test", "www.z.test", "w.z.test", "sub.z.test", "moved.z.test"])
def test_a_flood_of_names_leaves_the_short_cut_to_names_that_exist(lab: Lab, below: str) -> None:
    replay = fresh(lab)
    for i in range(200):
        replay.answer(query(f"x{i}.{below}"), "198.51.100.1", PAYLOAD, i, 1000)
    assert not replay.state.shortcut
    replay.answer(query("www.z.test"), "198.51.100.1", PAYLOAD, 0, 1000)
    assert len(replay.state.shortcut) == 1


@pytest.mark.python_lane
def test_places_that_may_have_changed_are_asked_anew(tmp_path: Path) -> None:
    lab = Lab.of(tmp_path, FILES, PLACES)
    asked = query("img.z.test", "CNAME", subnet="10.1.0.0/24")
    assert Reply(lab.reply(asked) or b"").values == ["s.cdn.test."]
    germany = Lab.of(tmp_path, FILES, {"10.1.0.0/16": {"country": "DE"}})
    lab.geography = germany.geography
    assert Reply(lab.reply(asked) or b"").values == ["s.cdn.test."]
    lab.replay.relocate(None)
    assert Reply(lab.reply(asked) or b"").values == ["n.cdn.test."]
