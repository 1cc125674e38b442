"""Response rate limiting: how many replies a network gets, and what becomes of the queries beyond."""

from __future__ import annotations

from ipaddress import IPv6Address
from socket import AF_INET6, inet_ntop

import dns.flags
import dns.message
import pytest
from core_support import query
from hypothesis import given
from hypothesis import strategies as st

from geodns.core import names
from geodns.core.limit import SECOND, Limiter, network_of

MS = SECOND // 1000
START = 7 * SECOND
QUERY = query("www.shop.example")


def passed(limiter: Limiter, arrivals: list[int], client: str = "192.0.2.1") -> list[int]:
    """Those arrivals (nanoseconds, ascending) that were let through."""
    return [now for now in arrivals if not limiter.over(client, now)]


@given(
    rate=st.integers(1, 2000),
    gaps=st.lists(st.one_of(st.just(0), st.integers(0, 5 * MS), st.integers(0, 2 * SECOND)), max_size=300),
    others=st.integers(0, 3),
)
def test_in_no_span_of_time_more_pass_than_a_burst_and_the_rate(
    rate: int, gaps: list[int], others: int
) -> None:
    limiter = Limiter(rate)
    moments, now = [], START
    for gap in gaps:
        now += gap
        for other in range(others):  # another network's buckets come and go beside it
            limiter.over(f"198.51.{other}.{now & 7}", now)
        moments += passed(limiter, [now])
    for first in range(len(moments)):
        for last in range(first, len(moments)):
            span = moments[last] - moments[first]
            assert (last - first + 1) * SECOND <= rate * (span + SECOND)


@given(
    rate=st.integers(1, 100_000),
    late=st.lists(st.integers(0, SECOND), min_size=1, max_size=200),
)
def test_who_keeps_to_the_rate_is_never_limited(rate: int, late: list[int]) -> None:
    limiter = Limiter(rate)
    now, gap = START, -(-SECOND // rate)
    for more in late:
        now += gap + more
        assert not limiter.over("192.0.2.1", now)


def test_a_burst_is_as_large_as_what_a_second_brings() -> None:
    limiter = Limiter(50)
    assert len(passed(limiter, [START] * 80)) == 50
    assert len(passed(limiter, [START + 100 * MS] * 80)) == 5
    assert len(passed(limiter, [START + 20 * SECOND] * 80)) == 50


def test_a_rate_that_does_not_divide_a_second_is_kept_to_the_nanosecond() -> None:
    limiter = Limiter(3)
    almost_thirds = [START + i * 333_333_333 for i in (1, 2, 3)]
    assert passed(limiter, [START] * 4) == [START] * 3
    assert passed(limiter, almost_thirds) == almost_thirds[1:], "six would be more than 3 * 1.999999999"


def test_queries_over_the_limit_do_not_lengthen_it() -> None:
    limiter = Limiter(10)
    flood = [START + i * MS for i in range(10_000)]
    assert len(passed(limiter, flood)) == 10 + 10 * 10 - 1


def test_a_network_shares_one_limit_and_its_neighbour_has_its_own() -> None:
    limiter = Limiter(3)
    clients = ["192.0.2.1", "192.0.2.200", "192.0.2.7", "192.0.2.1", "192.0.3.1", "19.20.2.1", "192.0.2.9"]
    assert [limiter.over(client, START) for client in clients] == [False] * 3 + [True, False, False, True]


def test_an_ipv6_network_is_a_slash_56() -> None:
    limiter = Limiter(1)
    clients = ["2001:db8:1:aa01::1", "2001:db8:1:aaff:9:8:7:6", "2001:db8:1:ab00::1", "2001:db8::1", "::1"]
    assert [limiter.over(client, START) for client in clients] == [False, True, False, False, False]


@given(st.integers(0, (1 << 128) - 1), st.integers(0, 127), st.integers(0, 0xFFFF))
def test_the_text_of_an_ipv6_network_is_its_own_however_it_is_shortened(
    address: int, flip: int, zeros: int
) -> None:
    for group in range(8):  # runs of zero groups are what the text leaves out
        if zeros >> group & 1:
            address &= ~(0xFFFF << 16 * group)
    other = address ^ 1 << flip
    same = network_of(_text(address)) == network_of(_text(other))
    assert same == (address >> 72 == other >> 72)


def _text(address: int) -> str:
    """As the system writes it, not the library."""
    return inet_ntop(AF_INET6, IPv6Address(address).packed)


@pytest.mark.parametrize(
    ("slip", "answered"), [(0, []), (1, [*range(12)]), (2, [1, 3, 5, 7, 9, 11]), (5, [4, 9])]
)
def test_one_in_so_many_queries_over_the_limit_gets_the_word_to_come_by_tcp(
    slip: int, answered: list[int]
) -> None:
    limiter = Limiter(1, slip=slip)
    replies = [limiter.turn_away(QUERY) for _ in range(12)]
    assert [i for i, reply in enumerate(replies) if reply is not None] == answered
    assert limiter.outcomes == {
        outcome: count
        for outcome, count in (("slipped", len(answered)), ("dropped", 12 - len(answered)))
        if count
    }


@pytest.mark.parametrize(
    ("packet", "opt"),
    [
        (query("wWw.Shop.example", "AAAA", flags=0x0100), False),
        (query("www.shop.example", edns=4096), True),
        (query("www.shop.example", do=True, subnet="10.0.0.0/8"), True),
        (query(b"\0", "NS"), False),
        (query("www.shop.example", rclass=3), False),
    ],
)
def test_that_word_is_the_question_with_tc_and_no_longer_than_the_query(packet: bytes, opt: bool) -> None:
    reply = Limiter(1, payload=1400).turn_away(packet)
    assert reply is not None and len(reply) <= len(packet)
    asked, told = dns.message.from_wire(packet), dns.message.from_wire(reply)
    assert asked.is_response(told)
    assert told.flags == dns.flags.QR | dns.flags.TC | asked.flags & dns.flags.RD
    assert not (told.answer or told.authority or told.additional or told.rcode())
    end = 12 + len(names.from_text(str(asked.question[0].name))) + 4
    assert reply[12:end] == packet[12:end], "echoed octet for octet"
    heard = (told.edns, told.payload, told.ednsflags & dns.flags.DO)
    assert heard == ((0, 1400, asked.ednsflags & dns.flags.DO) if opt else (-1, 0, 0))


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        QUERY[:11],
        QUERY[:2] + b"\x80\0" + QUERY[4:],  # a reply
        QUERY[:2] + b"\x28\0" + QUERY[4:],  # an UPDATE
        QUERY[:-1],
        QUERY[:4] + b"\0\2" + QUERY[6:],
        QUERY[:4] + b"\0\0" + QUERY[6:],
        QUERY[:12] + b"\xc0\x0c" + QUERY[-4:],
        QUERY[:12] + b"\x40" * 300,
        query(b"", edns=1232)[:4] + b"\0\0" + query(b"", edns=1232)[6:12] + query(b"", edns=1232)[16:],
    ],
)
def test_what_has_no_question_to_echo_gets_silence(packet: bytes) -> None:
    limiter = Limiter(1)
    assert limiter.turn_away(packet) is None
    assert limiter.outcomes == {"dropped": 1}


def test_a_broken_opt_record_is_not_answered_with_one() -> None:
    reply = Limiter(1).turn_away(query("www.shop.example", edns=1232)[:-1])
    assert reply is not None and reply[10:12] == b"\0\0" and reply[12:] == QUERY[12:]


def test_exempt_networks_are_spared_to_the_address() -> None:
    limiter = Limiter(1, exempt=["192.0.2.128/25", "198.51.100.7/32", "2001:db8:1::/48"])
    spared = ["192.0.2.128", "192.0.2.255", "198.51.100.7", "2001:db8:1::5", "2001:db8:1:ffff::"]
    limited = ["192.0.2.127", "198.51.100.6", "2001:db8:2::5", "::c000:280", "10.0.0.1"]
    assert all(limiter.spares(QUERY, client, 0) for client in spared)
    assert not any(limiter.spares(QUERY, client, 0) for client in limited)
    assert limiter.outcomes == {"exempt": 5}


def test_only_who_is_over_the_limit_is_asked_for_a_cookie_and_is_spared_with_one() -> None:
    seen: list[tuple[bytes, str, int]] = []

    def trusted(packet: bytes, client: str, seconds: int) -> bool:
        seen.append((packet, client, seconds))
        return packet == QUERY

    limiter = Limiter(1, trusted=trusted, exempt=["127.0.0.0/8"])
    assert not limiter.over("192.0.2.1", START) and not seen
    assert limiter.spares(QUERY, "192.0.2.1", 77)
    assert not limiter.spares(QUERY + b"?", "192.0.2.1", 78)
    assert limiter.spares(QUERY, "127.0.0.1", 79)
    assert seen == [(QUERY, "192.0.2.1", 77), (QUERY + b"?", "192.0.2.1", 78)]
    assert limiter.outcomes == {"cookie": 1, "exempt": 1}


def test_a_dry_run_spares_all_and_counts_what_it_would_have_limited() -> None:
    limiter = Limiter(2, dry_run=True, exempt=["127.0.0.0/8"])
    over = [limiter.over("192.0.2.1", START) for _ in range(5)]
    assert over == [False, False, True, True, True]
    assert all(limiter.spares(QUERY, "192.0.2.1", 0) for limited in over if limited)
    assert limiter.spares(QUERY, "127.0.0.1", 0)
    assert limiter.outcomes == {"dry run": 3, "exempt": 1}


def test_a_million_forged_networks_leave_a_limited_one_limited_and_memory_bounded() -> None:
    limiter = Limiter(5, blocks=1000)
    got = 0
    for i in range(1_000_000):
        now = START + i * 1000  # a million queries a second
        limiter.over(f"10.{i >> 8 & 255}.{i & 255}.{i >> 16}", now)
        if i % 100 == 0:
            got += not limiter.over("192.0.2.1", now)
            assert limiter.watched <= 1000
    assert got == 5 + 5 - 1, "the flooded one is asked so often that it is never forgotten"
    assert limiter.displaced > 0


def test_a_network_forgotten_before_its_time_has_one_burst_again_and_is_counted() -> None:
    limiter = Limiter(5, blocks=1000)
    others = [f"10.{i >> 8}.{i & 255}.1" for i in range(1400)]
    assert len(passed(limiter, [START] * 9)) == 5
    for client in others[:1000]:
        limiter.over(client, START)
    assert len(passed(limiter, [START] * 9)) == 5
    for client in others[1000:]:
        limiter.over(client, START)
    assert limiter.displaced == 500, "the first generation; the second one is still known"
    assert limiter.over("192.0.2.1", START)


def test_what_time_forgets_is_no_loss() -> None:
    limiter = Limiter(5, blocks=1000)
    for second in range(50):
        for i in range(400):
            client = f"10.{second}.{i & 255}.{i >> 8}"
            assert not limiter.over(client, START + second * SECOND + i)
        assert limiter.watched <= 2 * 256
    assert limiter.displaced == 0


def test_the_turn_of_generations_pardons_nobody() -> None:
    limiter = Limiter(10)
    told = 0
    for ms in range(0, 10_000, 7):
        now = START + ms * MS
        limiter.over(f"10.0.{ms % 251}.1", now)  # a new network now and then turns the generations
        told += not limiter.over("192.0.2.1", now)
    assert told == 10 + 10 * 10 - 1
