"""Replies that get tight: what compression may and may not change, and that its memory is bounded."""

from __future__ import annotations

import dns.message
from hypothesis import given
from hypothesis import strategies as st

from geodns.core import fit, wire
from geodns.core.fit import MAX_BODY, MAX_KEPT, Fitter, compressed
from geodns.core.unpacked import heads_of

QUESTION = b"\1q\4test\0\0\x0f\0\1"
PACKET = b"\0\7\0\0\0\1\0\0\0\0\0\0" + QUESTION
POINTER = b"\xc0\x0c"

labels = st.sampled_from([b"a", b"A", b"bb", b"mail", b"\0", b"." * 63])
names = st.lists(labels, max_size=3).map(lambda found: b"".join(bytes([len(x)]) + x for x in found) + b"\0")
rdatas = st.one_of(
    st.tuples(st.sampled_from([wire.NS, wire.CNAME, wire.PTR, wire.DNAME]), names),
    st.tuples(st.just(wire.SOA), st.tuples(names, names).map(lambda two: b"".join(two) + bytes(20))),
    st.tuples(st.just(wire.MX), names.map(lambda name: b"\0\x0a" + name)),
    st.tuples(st.just(wire.SRV), names.map(lambda name: bytes(6) + name)),
    st.tuples(st.just(wire.TXT), st.just(b"\4mail")),
    st.tuples(st.just(65280), names),
)
records = st.tuples(names | st.just(POINTER), rdatas).map(lambda r: wire.record(r[0], r[1][0], 30, r[1][1]))
bodies = st.lists(records, min_size=1, max_size=8)


def told(body: bytes, count: int) -> list[tuple[str, str, int]]:
    """The records of a reply's answer section with all names written out, letters' case kept."""
    head = b"\0\7\x84\0\0\1" + count.to_bytes(2) + bytes(4)
    message = dns.message.from_wire(head + QUESTION + body, one_rr_per_rrset=True)
    return [(str(rr.name), rr[0].to_text(), rr.rdtype) for rr in message.answer]


@given(bodies)
def test_compression_changes_no_record(parts: list[bytes]) -> None:
    body = b"".join(parts)
    for question in (b"\0", QUESTION[:-4]):
        tight = compressed(len(PACKET), body, question)
        assert len(tight) <= len(body)
        assert told(tight, len(parts)) == told(body, len(parts))


def test_names_are_written_once_but_not_where_compression_is_forbidden() -> None:
    name = b"\4mail\4test\0"
    body = wire.record(name, wire.MX, 1, b"\0\1" + name) + wire.record(name, wire.SRV, 1, bytes(6) + name)
    tight = compressed(len(PACKET), body)
    pointer = (0xC000 | len(PACKET)).to_bytes(2)
    assert tight == wire.record(name, wire.MX, 1, b"\0\1" + pointer) + wire.record(
        pointer, wire.SRV, 1, bytes(6) + name
    )


def test_where_it_counts_the_question_takes_part() -> None:
    """A referral for a cut of 200 octets, asked for just that: the name is written once, not twice."""
    cut = (b"\x3f" + b"n" * 63) * 3 + b"\4test\0"
    packet = PACKET[:12] + cut + b"\0\1\0\1"
    body = wire.record(cut, wire.NS, 1, b"\2ns" + cut)
    one_too_few, just_enough = (
        Fitter().reply(packet, len(packet), 0, b"", len(packet) + 17 + most, ((heads_of(0, 0, 1, 0), body),))
        for most in (-1, 0)
    )
    assert one_too_few[2] & 2
    assert just_enough[len(packet) :] == wire.record(POINTER, wire.NS, 1, b"\2ns" + POINTER)


def test_the_names_of_an_soa_are_compressed() -> None:
    apex = b"\4zone\4test\0"
    names_, numbers = (b"\2ns" + apex, b"\5admin" + apex), bytes(20)
    tight = compressed(len(PACKET), wire.record(apex, wire.SOA, 1, b"".join(names_) + numbers))
    pointer = (0xC000 | len(PACKET)).to_bytes(2)
    assert tight == wire.record(apex, wire.SOA, 1, b"\2ns" + pointer + b"\5admin" + pointer + numbers)


def reply(fitter: Fitter, body: bytes, most: int) -> bytes:
    return fitter.reply(PACKET, len(PACKET), 0, b"", most, ((heads_of(0, 2, 0, 0), body),))


def test_a_reply_that_fits_once_compressed_is_not_truncated() -> None:
    body = wire.record(b"\4mail\4test\0", wire.A, 1, bytes(4)) * 2
    assert len(PACKET + body) > len(PACKET + compressed(len(PACKET), body))
    found = reply(Fitter(), body, len(PACKET) + len(body) - 1)
    assert not found[2] & 2
    assert found[12:] == QUESTION + compressed(len(PACKET), body)


def test_a_reply_that_never_fits_says_so_and_no_more() -> None:
    for size in (600, MAX_BODY + 1):
        found = reply(Fitter(), wire.record(POINTER, wire.TXT, 1, bytes(size)), 512)
        assert found[2] & 2
        assert found[4:] == b"\0\1" + bytes(6) + QUESTION


def test_the_memory_of_compressed_bodies_is_bounded() -> None:
    fitter = Fitter()
    for number in range(MAX_KEPT + 10):
        reply(fitter, wire.record(b"\4mail\4test\0", wire.A, number, bytes(4)) * 2, 70)
    assert 0 < len(fitter._kept) <= MAX_KEPT


def test_room_is_what_the_transport_and_the_client_allow() -> None:
    assert fit.room(fit.STREAM, 512) == 65535
    assert fit.room(1232, None) == 512
    assert fit.room(1232, 4096) == 1232
    assert fit.room(1232, 700) == 700
