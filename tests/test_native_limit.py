"""The native rate limit beside the reference: the same arrivals, the same decisions, the same octets."""

from __future__ import annotations

from ipaddress import IPv6Address
from socket import AF_INET6, inet_ntop

import pytest
from core_support import query
from hypothesis import given
from hypothesis import strategies as st

from geodns.core.limit import SECOND, Limiter

native = pytest.importorskip("geodns._native", reason="the native lane is not built")
pytestmark = pytest.mark.usefixtures("native_lane")  # nor is a stale one of any use

MS = SECOND // 1000
START = 7 * SECOND
QUERY = query("www.shop.example")


def _v6(network: int, host: int) -> str:
    """As the system writes it."""
    return inet_ntop(AF_INET6, IPv6Address(0x2001 << 112 | network << 70 | host).packed)


CLIENTS = st.one_of(
    st.builds("192.0.{}.{}".format, st.integers(0, 3), st.integers(0, 255)),
    st.builds(_v6, st.integers(0, 7), st.integers(0, 1 << 64)),
)
GAPS = st.one_of(st.just(0), st.integers(0, 5 * MS), st.integers(0, 2 * SECOND))


@given(
    rate=st.one_of(st.integers(1, 20), st.integers(1, 1_000_000)),
    arrivals=st.lists(st.tuples(CLIENTS, GAPS), max_size=300),
)
def test_who_is_over_the_limit_is_so_in_both(rate: int, arrivals: list[tuple[str, int]]) -> None:
    limiter, other = Limiter(rate), native.Rate(rate)
    now = START
    for client, gap in arrivals:
        now += gap
        assert other.over(client, now) == limiter.over(client, now)
    assert other.displaced == limiter.displaced == 0


def test_a_flood_of_networks_and_a_limited_one() -> None:
    limiter, other = Limiter(10, blocks=100_000), native.Rate(10, blocks=100_000)
    for i in range(50_000):
        now = START + i * MS // 10
        for client in (f"10.{i % 40}.{i % 251}.1", f"192.0.2.{i % 200}"):
            assert other.over(client, now) == limiter.over(client, now)
    assert other.displaced == limiter.displaced == 0


def test_memory_is_bounded_and_what_is_lost_is_counted() -> None:
    other = native.Rate(1, blocks=1000)
    for i in range(5000):
        assert not other.over(f"10.{i >> 8}.{i & 255}.1", START), "who begins anew begins with a full bucket"
    assert 3900 <= other.displaced <= 4100


PACKETS = [
    query("wWw.Shop.example", "AAAA", flags=0x0100),
    query("www.shop.example", edns=4096),
    query("www.shop.example", do=True, subnet="10.0.0.0/8"),
    query(b"\0", "NS"),
    query("www.shop.example", rclass=3),
    query("www.shop.example", edns=1232)[:-1],
    b"",
    QUERY[:11],
    QUERY[:2] + b"\x80\0" + QUERY[4:],
    QUERY[:2] + b"\x28\0" + QUERY[4:],
    QUERY[:-1],
    QUERY[:4] + b"\0\2" + QUERY[6:],
    QUERY[:12] + b"\xc0\x0c" + QUERY[-4:],
    QUERY[:12] + b"\x40" * 300,
    QUERY[:12] + (b"\x3f" + b"x" * 63) * 3 + b"\x3d" + b"x" * 61 + b"\0\0\1\0\1",
    QUERY[:12] + (b"\x3f" + b"x" * 63) * 3 + b"\x3e" + b"x" * 62 + b"\0\0\1\0\1",
]


@pytest.mark.parametrize("slip", [0, 1, 2, 5])
def test_who_is_turned_away_gets_the_same(slip: int) -> None:
    limiter, other = Limiter(1, slip=slip, payload=1400), native.Rate(1, slip=slip, payload=1400)
    for packet in PACKETS * 3:
        assert other.turn_away(packet) == limiter.turn_away(packet)
    assert {outcome: count for outcome, count in other.outcomes.items() if count} == limiter.outcomes


@given(at=st.integers(0, len(PACKETS) - 1), cut=st.integers(0, 300), flips=st.lists(st.integers(0, 800)))
def test_and_so_with_what_is_broken(at: int, cut: int, flips: list[int]) -> None:
    packet = bytearray(PACKETS[at][: cut or None])
    for flip in flips:
        if flip >> 3 < len(packet):
            packet[flip >> 3] ^= 1 << (flip & 7)
    limiter, other = Limiter(1), native.Rate(1)
    assert other.turn_away(bytes(packet)) == limiter.turn_away(bytes(packet))


@pytest.mark.parametrize("trusted", [False, True])
@pytest.mark.parametrize("dry_run", [False, True])
def test_who_is_spared_is_so_in_both(trusted: bool, dry_run: bool) -> None:
    exempt = ["192.0.2.128/25", "198.51.100.7/32", "2001:db8:1::/48"]
    limiter = Limiter(1, exempt=exempt, trusted=lambda *_: trusted, dry_run=dry_run)
    other = native.Rate(1, exempt=exempt, dry_run=dry_run)
    for client in ("192.0.2.128", "192.0.2.127", "198.51.100.7", "2001:db8:1:ffff::", "2001:db8:2::5"):
        assert other.spares(client, trusted) == limiter.spares(QUERY, client, 0)
    assert {outcome: count for outcome, count in other.outcomes.items() if count} == limiter.outcomes


@pytest.mark.parametrize("exempt", [["10.0.0.1/8"], ["all"]])
def test_what_is_no_network_is_an_error(exempt: list[str]) -> None:
    with pytest.raises(ValueError, match="exempt"):
        native.Rate(1, exempt=exempt)
