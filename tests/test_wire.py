"""The bounded parser of queries and of OPT records: what is read, and why the rest is not."""

from __future__ import annotations

from ipaddress import IPv6Address

import dns.edns
import dns.message
import dns.rdatatype
import pytest
from core_support import query, subnet_option
from hypothesis import given, settings
from hypothesis import strategies as st

from geodns.core import edns, wire
from geodns.core.edns import Edns, Subnet
from geodns.core.wire import Malformed, Query

STEADY = settings(deadline=None, derandomize=True, max_examples=200)

NAME = b"\3www\4test\0"
QUESTION = NAME + b"\0\1\0\1"
OPT = b"\0\0\x29\x10\0\0\0\0\0\0\0"
TSIG = b"\0\0\xfa\0\xff\0\0\0\0\0\0"
POINTED = b"\xc0\x0c\0\1\0\1\0\0\0\0\0\4abcd"


def packet(rest: bytes = QUESTION, qd: int = 1, an: int = 0, ns: int = 0, ar: int = 0) -> bytes:
    return b"\x12\x34\0\0" + b"".join(n.to_bytes(2) for n in (qd, an, ns, ar)) + rest


def test_a_query_is_read() -> None:
    assert wire.parse(packet()) == Query(NAME, 1, 1, 26, None)
    assert wire.parse(packet(QUESTION + OPT, ar=1)) == Query(NAME, 1, 1, 26, (26, 37))
    assert wire.parse(packet(b"\0" + b"\0\2\0\3")) == Query(b"\0", 2, 3, 17, None)


def test_what_stands_behind_the_message_is_left_alone() -> None:
    assert wire.parse(packet(QUESTION + b"garbage")) == Query(NAME, 1, 1, 26, None)


def test_other_records_are_skipped_wherever_they_stand() -> None:
    assert wire.parse(packet(QUESTION + POINTED + OPT, ar=2)) == Query(NAME, 1, 1, 26, (42, 53))
    assert wire.parse(packet(QUESTION + POINTED + OPT, an=1, ar=1)) == Query(NAME, 1, 1, 26, (42, 53))
    assert wire.parse(packet(QUESTION + POINTED, ns=1)) == Query(NAME, 1, 1, 26, None)


def test_a_tsig_outside_the_additional_section_is_none() -> None:
    assert wire.parse(packet(QUESTION + TSIG + POINTED, ns=2)) == Query(NAME, 1, 1, 26, None)


def test_a_tsig_is_found_as_the_last_record() -> None:
    assert wire.parse(packet(QUESTION + TSIG, ar=1)) == Query(NAME, 1, 1, 26, None, 26)
    assert wire.parse(packet(QUESTION + OPT + TSIG, ar=2)) == Query(NAME, 1, 1, 26, (26, 37), 37)


def test_without_a_question_an_opt_is_enough() -> None:
    assert wire.parse(packet(OPT, qd=0, ar=1)) == Query(b"", 0, 1, 12, (12, 23))


UNREADABLE = [
    (packet(qd=0), 12, "question count"),
    (packet(TSIG, qd=0, ar=1), 12, "question count"),
    (packet(QUESTION * 2, qd=2), 12, "question count"),
    (packet(b""), 12, "question"),
    (packet(NAME), 12, "question"),
    (packet(NAME + b"\0\1\0"), 12, "question"),
    (packet(b"\3www"), 12, "question"),
    (packet(b"\3ww"), 12, "question"),
    (packet(b"\xc0\x0c\0\1\0\1"), 12, "question"),
    (packet(b"\3www\xc0\x0c\0\1\0\1"), 12, "question"),
    (packet(b"\x40" + b"a" * 64 + b"\0\0\1\0\1"), 12, "question"),
    (packet(b"\x3f" + b"a" * 63 + (b"\x3f" + b"a" * 63) * 3 + b"\0\0\1\0\1"), 12, "question"),
    (packet(QUESTION, ar=1), 26, "record"),
    (packet(QUESTION + OPT[:-1], ar=1), 26, "record"),
    (packet(QUESTION + b"\xc0", ar=1), 26, "record"),
    (packet(QUESTION + b"\x50aaa", ar=1), 26, "record"),
    (packet(QUESTION + b"\3aaa" + OPT[1:-1], ar=1), 26, "record"),
    (packet(QUESTION + (b"\x3f" + b"a" * 63) * 4 + OPT, ar=1), 26, "record"),
    (packet(QUESTION + OPT[:-1] + b"\1", ar=1), 26, "record"),
    (packet(QUESTION + OPT * 2, ar=2), 26, "opt"),
    (packet(QUESTION + b"\1a" + OPT, ar=1), 26, "opt"),
    (packet(QUESTION + b"\xc0\x1a" + POINTED[2:], ar=1), 26, "record"),  # to itself
    (packet(QUESTION + b"\1a\xff\x0c" + POINTED[2:], ns=1), 26, "record"),
    (packet(QUESTION + OPT, an=1), 26, "opt"),
    (packet(QUESTION + OPT, ns=1), 26, "opt"),
    (packet(QUESTION + b"\xc0\x0c" + OPT[1:], ar=1), 26, "opt"),
    (packet(QUESTION + TSIG + OPT, ar=2), 26, "tsig"),
    (packet(QUESTION + TSIG * 2, ar=2), 26, "tsig"),
    (packet(QUESTION, ar=17), 26, "record count"),
    (packet(QUESTION, an=0xFFFF, ns=0xFFFF, ar=0xFFFF), 26, "record count"),
]


@pytest.mark.parametrize(
    ("bad", "end", "why"), UNREADABLE, ids=[f"{n}: {why}" for n, (_, _, why) in enumerate(UNREADABLE)]
)
def test_what_cannot_be_read_says_why_and_how_far_it_was_read(bad: bytes, end: int, why: str) -> None:
    found = wire.parse(bad)
    assert isinstance(found, Malformed)
    assert found.why == why
    assert found.end == end


def test_the_longest_name_is_read_one_octet_more_is_not() -> None:
    longest = (b"\x3f" + b"a" * 63) * 3 + b"\x3d" + b"a" * 61 + b"\0"
    assert len(longest) == 255
    assert wire.parse(packet(longest + b"\0\1\0\1")) == Query(longest, 1, 1, 271, None)
    over = (b"\x3f" + b"a" * 63) * 3 + b"\x3e" + b"a" * 62 + b"\0"
    assert isinstance(wire.parse(packet(over + b"\0\1\0\1")), Malformed)


@STEADY
@given(st.binary(max_size=300), st.integers(0, 3), st.integers(0, 18), st.integers(0, 18))
def test_any_octets_are_a_query_or_malformed(rest: bytes, qd: int, an: int, ar: int) -> None:
    raw = packet(rest, qd, an, 0, ar)
    found = wire.parse(raw)
    assert 12 <= found.end <= len(raw)
    if isinstance(found, Query):
        assert found.opt is None or found.end <= found.opt[0] < found.opt[1] <= len(raw)
        dns.message.from_wire(packet(rest[: found.end - 12], 1))


@STEADY
@given(
    st.lists(st.binary(min_size=1, max_size=63), max_size=4).map(
        lambda labels: b"".join(bytes([len(x)]) + x for x in labels)
    ),
    st.integers(0, 0xFFFF).filter(lambda t: t not in (41, 249, 250)),
    st.none() | st.integers(0, 0xFFFF),
    st.booleans(),
)
def test_what_is_read_is_what_dnspython_reads(
    labels: bytes, qtype: int, payload: int | None, do: bool
) -> None:
    name = labels if len(labels) <= 254 else b""
    raw = query(name + b"\0", qtype, edns=payload, do=do)
    found, other = wire.parse(raw), dns.message.from_wire(raw)
    assert isinstance(found, Query)
    assert found.name == other.question[0].name.to_wire()
    assert (found.qtype, found.qclass) == (other.question[0].rdtype, other.question[0].rdclass)
    assert (found.opt is not None) == (other.edns >= 0)
    if found.opt is not None:
        read = edns.parse(raw[found.opt[0] : found.opt[1]])
        assert read == Edns(max(512, other.payload), 0, bool(other.ednsflags & 0x8000))


# EDNS


def opt(options: bytes, payload: int = 4096, version: int = 0, flags: int = 0) -> bytes:
    head = b"\0\0\x29" + payload.to_bytes(2) + bytes((0, version)) + flags.to_bytes(2)
    return head + len(options).to_bytes(2) + options


COOKIE = b"\0\x0a\0\x08abcdefgh"
NSID = b"\0\3\0\0"
KEEPALIVE = b"\0\x0b\0\0"


def test_an_opt_record_is_read() -> None:
    subnet = subnet_option("192.0.2.0/24")
    assert edns.parse(opt(b"", 100)) == Edns(512, 0, False)
    assert edns.parse(opt(COOKIE, 1232, 0, 0x8000)) == Edns(1232, 0, True, cookie=b"abcdefgh")
    assert edns.parse(opt(COOKIE + subnet + NSID + KEEPALIVE)) == Edns(
        4096, 0, False, Subnet(4, 0xC0000200, 24), subnet[4:], b"abcdefgh", nsid=True, keepalive=True
    )


def test_of_another_version_nothing_but_the_version_is_read() -> None:
    assert edns.parse(opt(subnet_option("192.0.2.0/24"), version=1)) == Edns(4096, 1, False)
    assert edns.parse(opt(b"\0", version=255)) == Edns(4096, 255, False)


def test_only_the_first_options_of_many_are_looked_at() -> None:
    unknown = b"\xfd\xe9\0\0"
    assert edns.parse(opt(unknown * (edns.MAX_OPTIONS - 1) + NSID)) == Edns(4096, 0, False, nsid=True)
    assert edns.parse(opt(unknown * edns.MAX_OPTIONS + NSID)) == Edns(4096, 0, False)


def test_a_second_option_of_a_kind_is_not_read() -> None:
    first, second = subnet_option("192.0.2.0/24"), subnet_option("10.0.0.0/8")
    read = edns.parse(opt(first + COOKIE + second + b"\0\x0a\0\0"))
    assert isinstance(read, Edns)
    assert (read.subnet, read.cookie) == (Subnet(4, 0xC0000200, 24), b"abcdefgh")


@pytest.mark.parametrize("text", ["0.0.0.0/0", "::/0"])
def test_a_client_subnet_of_0_names_nobody_and_is_echoed(text: str) -> None:
    read = edns.parse(opt(subnet_option(text)))
    assert isinstance(read, Edns)
    assert (read.subnet, read.subnet_option) == (None, subnet_option(text)[4:])


@pytest.mark.parametrize(
    "bad",
    [
        b"\0",
        b"\0\x0a\0",
        b"\0\x0a\0\x09abcdefgh",
        b"\0\x08\0\0",
        b"\0\x08\0\3\0\1\0",
        b"\0\x08\0\4\0\0\0\0",
        b"\0\x08\0\4\0\3\0\0",
        b"\0\x08\0\7\0\1\x18\x18\xc0\0\2",
        b"\0\x08\0\6\0\1\x18\0\xc0\0",
        b"\0\x08\0\x08\0\1\x18\0\xc0\0\2\0",
        b"\0\x08\0\x09\0\1\x21\0\xc0\0\2\0\0",
        b"\0\x08\0\7\0\1\x14\0\xc0\0\x28",
        b"\0\x08\0\x15\0\2\x81\0" + bytes(17),
    ],
    ids=[
        "half a code",
        "half a length",
        "cut off",
        "empty",
        "too short",
        "family 0",
        "family 3",
        "a scope in a query",
        "too few octets",
        "too many octets",
        "a prefix of 33",
        "bits beyond the prefix",
        "a prefix of 129",
    ],
)
def test_a_malformed_option_is_told(bad: bytes) -> None:
    read = edns.parse(opt(bad))
    assert isinstance(read, Malformed)
    assert read.why == ("client subnet" if bad[1:2] == b"\x08" else "option")


def number(text: str) -> int:
    return int(IPv6Address(text))


@pytest.mark.parametrize(
    ("address", "prefix", "ipv4", "length", "shift"),
    [
        ("::ffff:192.0.2.1", 128, 0xC0000201, 32, 96),
        ("::ffff:192.0.2.0", 120, 0xC0000200, 24, 96),
        ("::ffff:0:0", 96, 0, 0, 96),
        ("64:ff9b::192.0.2.1", 128, 0xC0000201, 32, 96),
        ("2002:c000:201::1", 128, 0xC0000201, 32, 16),
        ("2002:c000:200::", 40, 0xC0000200, 24, 16),
        ("2001:0:1:2:3:4:3fff:fdfe", 128, 0xC0000201, 32, 96),
    ],
)
def test_an_embedded_ipv4_address_is_taken_out(
    address: str, prefix: int, ipv4: int, length: int, shift: int
) -> None:
    assert edns.unwrap(Subnet(6, number(address), prefix)) == Subnet(4, ipv4, length, shift)


@pytest.mark.parametrize(
    ("address", "prefix"),
    [
        ("::ffff:0:0", 95),
        ("64:ff9b::", 64),
        ("64:ff9b:1::c000:201", 128),
        ("2002::", 15),
        ("2001:0:1:2:3:4:3fff:fdff", 127),
        ("2001:db8::1", 128),
        ("::192.0.2.1", 128),
    ],
)
def test_what_the_prefix_does_not_cover_stays_ipv6(address: str, prefix: int) -> None:
    subnet = Subnet(6, number(address) >> (128 - prefix) << (128 - prefix), prefix)
    assert edns.unwrap(subnet) is subnet


@STEADY
@given(st.integers(0, 2**128 - 1), st.sampled_from(edns._EMBEDDED), st.integers(0, 128), st.data())
def test_no_other_address_of_a_plain_block_is_taken_for_ipv4(
    address: int, embedded: tuple[int, int], near: int, data: st.DataObject
) -> None:
    prefix, _ = embedded
    keep = (1 << near) - 1
    client = (prefix & ~keep) | (address & keep)  # near the networks where it matters
    subnet = edns.unwrap(Subnet(6, client, 64))
    if subnet.family == 4:
        return
    free = 128 - edns.plain(subnet)
    other = client >> free << free | data.draw(st.integers(0, (1 << free) - 1))
    assert other == client or edns.unwrap(Subnet(6, other, 128)).family == 6


@pytest.mark.parametrize(
    ("address", "length"),
    [
        ("::ffff:192.0.2.1", 96),
        ("64:ff9b::1", 96),
        ("2002:c000:201::", 16),
        ("2001::1", 32),
        ("::192.0.2.1", 96),
    ],
)
def test_ipv6_addresses_that_stand_for_ipv4_ones(address: str, length: int) -> None:
    assert edns.stands_for_ipv4(number(address)) == (True, length)


@STEADY
@given(st.integers(0, 2**128 - 1), st.sampled_from(edns._STANDING), st.integers(0, 128), st.data())
def test_around_an_address_that_stands_for_none_no_other_does(
    address: int, standing: tuple[int, int], near: int, data: st.DataObject
) -> None:
    keep = (1 << near) - 1
    client = (standing[0] & ~keep) | (address & keep)
    stands, length = edns.stands_for_ipv4(client)
    free = 128 - length
    other = client >> free << free | data.draw(st.integers(0, (1 << free) - 1))
    assert edns.stands_for_ipv4(other)[0] == stands


def test_a_source_address_is_a_subnet_of_one() -> None:
    assert edns.source("192.0.2.1") == Subnet(4, 0xC0000201, 32)
    assert edns.source("fe80::1%eth0") == Subnet(6, number("fe80::1"), 128)
    assert edns.source("::ffff:192.0.2.1") == Subnet(4, 0xC0000201, 32, 96)
    assert str(edns.source("192.0.2.1").ip()) == "192.0.2.1"
    assert str(edns.source("2001:db8::1").ip()) == "2001:db8::1"
    assert (edns.source("192.0.2.1").bits, edns.source("::1").bits) == (32, 128)
    assert edns.plain(edns.source("192.0.2.1")) == 0


@STEADY
@given(st.integers(0, 0xFFFF), st.booleans(), st.sampled_from((0, 16)), st.none() | st.integers(0, 32))
def test_a_reply_s_opt_record_is_what_dnspython_reads(
    payload: int, do: bool, rcode: int, scope: int | None
) -> None:
    option = subnet_option("192.0.2.0/24")[4:]
    options = b"" if scope is None else edns.reply_subnet(option, scope)
    raw = packet(QUESTION + edns.reply_opt(payload, do, rcode, options), ar=1)
    read = dns.message.from_wire(raw)
    assert (read.payload, read.edns, bool(read.ednsflags & 0x8000)) == (payload, 0, do)
    assert read.rcode() == rcode
    told = [(o.srclen, o.scopelen, o.address) for o in read.options if isinstance(o, dns.edns.ECSOption)]
    assert told == ([] if scope is None else [(24, scope, "192.0.2.0")])


def test_a_record_is_what_dnspython_reads() -> None:
    made = wire.record(b"\xc0\x0c", wire.A, 15, bytes((192, 0, 2, 1)))
    read = dns.message.from_wire(packet(QUESTION + made, an=1))
    assert read.answer[0].to_text() == "www.test. 15 IN A 192.0.2.1"
