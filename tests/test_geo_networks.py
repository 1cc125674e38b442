"""Own networks: all that hold the address, the lines of the longest that has any, and an honest block."""

from __future__ import annotations

import random
from ipaddress import ip_address, ip_network

from geo_support import model
from hypothesis import given, settings
from hypothesis import strategies as st

from geodns.geo.networks import Networks, configured
from geodns.model import Line, When

OFFICE = {
    "10.0.0.0/8": {"vpn"},
    "10.1.0.0/16": (),
    "10.1.2.0/24": {"office", "lab"},
    "2001:db8::/32": {"office"},
    "2001:db8:1::/48": (),
}


def lookup(address: str) -> tuple[set[str], set[str], int]:
    own, lines, block = Networks(OFFICE).lookup(ip_address(address))
    return set(own), set(lines), block


def test_every_network_that_holds_the_address_is_its_own() -> None:
    assert lookup("10.1.2.3")[0] == {"10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24"}
    assert lookup("10.1.3.3")[0] == {"10.0.0.0/8", "10.1.0.0/16"}
    assert lookup("2001:db8:1::1")[0] == {"2001:db8::/32", "2001:db8:1::/48"}
    assert lookup("192.0.2.1")[0] == set()


def test_the_lines_are_those_of_the_longest_network_that_a_line_names() -> None:
    assert lookup("10.1.2.3")[1] == {"office", "lab"}
    assert lookup("10.1.3.3")[1] == {"vpn"}  # 10.1.0.0/16 is longer, but only a rule names it
    assert lookup("10.2.0.1")[1] == {"vpn"}
    assert lookup("2001:db8:1::1")[1] == {"office"}


def test_the_block_reaches_as_far_as_the_same_networks_do() -> None:
    assert lookup("10.1.2.3")[2] == 24
    assert lookup("10.1.3.3")[2] == 24  # beside 10.1.2.0/24
    assert lookup("10.1.128.1")[2] == 17
    assert lookup("10.2.0.1")[2] == 15
    assert lookup("11.0.0.1")[2] == 8  # the hole beside 10.0.0.0/8
    assert lookup("192.0.2.1")[2] == 1
    assert lookup("2001:db8:1::1")[2] == 48


def test_without_networks_of_its_family_an_address_has_the_whole_family_for_block() -> None:
    assert Networks({}).lookup(ip_address("192.0.2.1")) == (frozenset(), frozenset(), 0)
    assert Networks({"10.0.0.0/8": ()}).lookup(ip_address("::1")) == (frozenset(), frozenset(), 0)


def test_networks_come_from_lines_and_from_rules() -> None:
    office = Line("office", networks=("203.0.113.0/24",))
    world = model(When(networks=("192.0.2.0/24", "203.0.113.0/24")), When(), lines=[office])
    networks = configured([office], world.policies.values())
    assert networks.lookup(ip_address("203.0.113.1"))[:2] == ({"203.0.113.0/24"}, {"office"})
    assert networks.lookup(ip_address("192.0.2.1"))[:2] == ({"192.0.2.0/24"}, frozenset())


def _cidr(bits: int) -> st.SearchStrategy[str]:
    """Networks that crowd together (few random bits), so that they nest and touch."""
    crowded = st.one_of(st.integers(0, 7).map(lambda n: n << (bits - 3)), st.integers(0, (1 << bits) - 1))
    return st.tuples(crowded, st.one_of(st.integers(0, 6), st.integers(0, bits))).map(
        lambda pair: str(ip_network((pair[0].to_bytes(bits // 8, "big"), pair[1]), strict=False))
    )


@settings(deadline=None, derandomize=True)
@given(
    networks=st.dictionaries(
        st.one_of(_cidr(32), _cidr(128)), st.frozensets(st.sampled_from("abc"), max_size=2), max_size=25
    ),
    seed=st.integers(0, 2**32),
)
def test_the_answer_is_that_of_asking_every_network_and_the_block_is_the_largest_such(
    networks: dict[str, frozenset[str]], seed: int
) -> None:
    parsed = {text: ip_network(text) for text in networks}

    def holding(address: object) -> frozenset[str]:
        return frozenset(text for text, network in parsed.items() if address in network)

    chance = random.Random(seed)
    tried = Networks(networks)
    edges = [a for n in parsed.values() for a in (n.network_address, n.broadcast_address)]
    for address in [
        *edges,
        ip_address(chance.getrandbits(32)),
        ip_address(chance.getrandbits(128) | 1 << 127),
    ]:
        own, lines, block = tried.lookup(address)
        assert own == holding(address)
        with_lines = [text for text in own if networks[text]]
        longest = max(with_lines, key=lambda text: parsed[text].prefixlen, default=None)
        assert lines == (networks[longest] if longest else frozenset())
        assert _largest_block(address, parsed.values()) == block
        around = ip_network((address.packed, block), strict=False)
        for _ in range(3):
            other = around[chance.randrange(around.num_addresses)]
            assert holding(other) == own
            assert tried.lookup(other) == (own, lines, block)


def _largest_block(address, networks) -> int:
    """By definition: the shortest prefix whose block every network holds whole or not at all."""
    same = [n for n in networks if n.version == address.version]
    for length in range(address.max_prefixlen + 1):
        block = ip_network((address.packed, length), strict=False)
        if all(block.subnet_of(n) or not n.overlaps(block) for n in same):
            return length
    raise AssertionError("a single address is always such a block")
