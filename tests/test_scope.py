"""Scope honesty (RFC 7871 §7.2.1, DESIGN §4, 8): within a returned scope everybody gets the same answer.

Seen from outside, with packets: whoever asks from inside the scope, at the same chance, gets the same reply.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_network
from random import Random

import core_worlds as worlds
import pytest
from core_support import LINES, Atlas, Lab, Reply, query
from geo_support import synthetic
from hypothesis import given, settings
from hypothesis import strategies as st

from geodns.core.compile.sheets import Widest
from geodns.core.replay import STREAM
from geodns.demo.databases import EXAMPLES
from geodns.geo.lines import carriers
from geodns.geo.locate import Geography
from geodns.geo.mmdb import open_database
from geodns.model import Pick

STEADY = settings(deadline=None, derandomize=True, max_examples=15)
seeds = st.integers(0, 2**32 - 1)

Address = IPv4Address | IPv6Address


def client(chance: Random) -> str:
    """A Client Subnet out of the worlds' networks, of any length, or from anywhere."""
    if chance.random() < 0.1:
        return f"{IPv4Address(chance.getrandbits(32))}/32"
    network = ip_network(worlds.network(chance))
    length = chance.randrange(1, network.max_prefixlen + 1) if chance.random() < 0.3 else network.prefixlen
    return str(ip_network((network.network_address, length), strict=False))


def inside(address: Address, scope: int, chance: Random) -> str:
    block = ip_network((address, scope), strict=False)
    return f"{block[chance.randrange(block.num_addresses)]}/{block.max_prefixlen}"


def asked(lab: Lab, name: str, rtype: str, subnet: str, chance: int) -> Reply:
    """A reply that no earlier question has a part in: turns always start anew."""
    lab.tally[:] = type(lab.tally)("Q", bytes(8 * len(lab.tally)))
    raw = lab.reply(query(name, rtype, subnet=subnet), limit=STREAM, chance=chance)
    assert raw is not None
    return Reply(raw)


def hold(lab: Lab, chance: Random, clients: list[str]) -> None:
    """Ask for every steered name, and from within every scope that comes back."""
    sticky = {s.owner for s in lab.model.zones[0].steers if s.pick is Pick.STICKY}
    for name, rtype in [*worlds.questions(lab.model), ("alias.z.test.", "A")]:
        for subnet in clients:
            luck = chance.getrandbits(32)
            reply = asked(lab, name, rtype, subnet, luck)
            address = ip_network(subnet).network_address
            assert reply.source == ip_network(subnet).prefixlen
            assert reply.scope is not None
            assert reply.scope == 0 or reply.scope >= (20 if address.version == 4 else 40)
            for _ in range(4):
                other = inside(address, reply.scope, chance)
                again = asked(lab, name, rtype, other, luck)
                assert (again.rcode, again.answer, again.scope) == (reply.rcode, reply.answer, reply.scope), (
                    f"{name} {rtype}: {subnet} and {other} are in one scope /{reply.scope}"
                )
    assert all(lab.sheets.sheets[i].sticky for i, s in enumerate(lab.sheets.specs) if s.owner in sticky)


@STEADY
@given(seeds)
def test_everybody_inside_a_scope_is_answered_the_same(seed: int) -> None:
    chance = Random(seed)
    lab = worlds.lab(chance)
    hold(lab, chance, [client(chance) for _ in range(4)])


@pytest.fixture(scope="module")
def databases(tmp_path_factory: pytest.TempPathFactory) -> dict:
    paths = synthetic(tmp_path_factory.mktemp("geo"))
    return {kind: open_database(path, kind) for kind, path in paths.items()}


def test_the_same_over_real_databases_with_own_networks_in_them(databases: dict) -> None:
    for seed in range(10):
        chance = Random(seed)
        model = worlds.model(chance)
        geography = Geography(databases, carriers() | worlds.LINES, model.policies.values())
        lab = Lab(model, locate=geography.locate)
        clients = [
            f"{ip_network(n)[chance.randrange(ip_network(n).num_addresses)]}/{ip_network(n).max_prefixlen}"
            for n in chance.sample(sorted(EXAMPLES.values()), 6)
        ]
        hold(lab, chance, [*clients, client(chance), client(chance)])


@STEADY
@given(seeds)
def test_health_never_changes_a_scope(seed: int) -> None:
    chance = Random(seed)
    lab = worlds.lab(chance)
    clients = [client(chance) for _ in range(4)]
    seen = [
        asked(lab, name, rtype, c, 0).scope for name, rtype in worlds.questions(lab.model) for c in clients
    ]
    for _ in range(4):
        lab.take(worlds.event(lab, chance))
    after = [
        asked(lab, name, rtype, c, 0).scope for name, rtype in worlds.questions(lab.model) for c in clients
    ]
    assert after == seen


@STEADY
@given(seeds)
def test_a_wider_widest_is_as_honest(seed: int) -> None:
    """`widest` only keeps resolvers from pinning many clients to one draw: honesty does not rest on it."""
    chance = Random(seed)
    lab = Lab(worlds.model(chance), worlds.places(chance), widest=Widest(1, 1))
    for _ in range(4):
        subnet = client(chance)
        address = ip_network(subnet).network_address
        for name, rtype in worlds.questions(lab.model):
            reply = asked(lab, name, rtype, subnet, 7)
            for _ in range(4):
                again = asked(lab, name, rtype, inside(address, reply.scope or 0, chance), 7)
                assert again.answer == reply.answer


@STEADY
@given(seeds)
def test_an_ipv4_client_inside_ipv6_is_answered_as_itself(seed: int) -> None:
    chance = Random(seed)
    lab = worlds.lab(chance)
    address, length = 0x0A000000 | chance.getrandbits(16), chance.randrange(20, 33)
    plain = ip_network((address, length), strict=False)
    number = int(plain.network_address)
    forms = {
        f"{IPv6Address(0xFFFF << 32 | number)}/{96 + length}": 96,
        f"{IPv6Address(0x64FF9B << 96 | number)}/{96 + length}": 96,
        f"{IPv6Address(0x2002 << 112 | number << 80)}/{16 + length}": 16,
    }
    for name, rtype in worlds.questions(lab.model):
        reply = asked(lab, name, rtype, str(plain), 11)
        for form, shift in forms.items():
            again = asked(lab, name, rtype, form, 11)
            assert again.answer == reply.answer
            assert again.scope == (reply.scope + shift if reply.scope else 0)


def test_the_atlas_of_the_tests_is_itself_honest() -> None:
    """`Atlas` stands in for databases: its blocks must hold what it says of them."""
    for seed in range(40):
        chance = Random(seed)
        model = worlds.model(chance)
        atlas = Atlas(worlds.places(chance), LINES | worlds.LINES, model.policies.values())
        for _ in range(5):
            address = ip_network(client(chance)).network_address
            here = atlas.locate(address)
            for length, part in ((here.geo, "country"), (here.asn, "asn"), (here.own, "own")):
                other = ip_network(inside(address, length, chance)).network_address
                assert getattr(atlas.locate(other).place, part) == getattr(here.place, part)
