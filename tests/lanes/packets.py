"""Packets about a world: as resolvers send them, of every shape, and with octets changed."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from random import Random

import core_worlds

from geodns.core import names, wire
from geodns.core.cookies import Cookies
from geodns.model import Model
from tests.differential import shapes

STREAM = 65535
BELOW = ("x", "a.b", "stick", "again", "gone.again", "*", "y" * 60)
TYPES = (5, 2, 6, 15, 16, 33, 39, 43, 65, 251, 252, 255, 65280)
EMBEDDED = ("::ffff:10.0.{}.0", "64:ff9b::10.0.{}.0", "2002:a00:{}00::", "2001:0:a00:{}::", "::10.0.{}.0")
CLIENTS = (
    "198.18.0.1",
    "10.0.18.9",
    "10.0.200.1",
    "2001:db8:10::1",
    "fe80::1%eth0",
    "::1",
    "::ffff:10.0.16.7",
    "64:ff9b::a00:1207",
    "2002:a00:1007::1",
    "2001:0:a00:1::f5ff:eff8",
)


def stock(model: Model, cookies: Cookies | None, now: int, chance: Random) -> Iterator[tuple[bytes, str]]:
    """Some thousand packets, each with the client that its cookie was made for, if any."""
    sets = [rrs for zone in model.zones for rrs in zone.rrsets]
    held = [(steer.owner, wire.A) for zone in model.zones for steer in zone.steers]
    held += [(rrs.owner, rrs.rtype) for rrs in sets]
    moved = [rrs.owner for rrs in sets if rrs.rtype == wire.DNAME]
    for _ in range(len(held) if moved else 0):
        owner, rtype = chance.choice(held)
        held.append((_below(chance.choice(moved), owner, chance), rtype))
    long = [(rrs.owner, rrs.rtype) for rrs in sets if sum(map(len, rrs.rdata)) > 400] or held
    for number in range(1500):
        owner, rtype = chance.choice(long if number % 8 == 0 else held)
        yield _query(
            _name(owner, chance),
            chance.choice((rtype, rtype, 1, 28, chance.choice(TYPES))),
            cookies,
            now,
            chance,
        )
    apex = tuple(names.labels(chance.choice(model.zones).apex))
    for shape in shapes.every(apex, chance):
        yield shape.packet, ""


def changed(packet: bytes, chance: Random) -> bytes:
    """The packet with some octets changed, inserted, removed or cut off."""
    raw = bytearray(packet)
    for _ in range(chance.randrange(1, 4)):
        at = chance.randrange(len(raw) + 1)
        match chance.randrange(6):
            case 0 | 1:
                raw[at : at + 1] = bytes([chance.getrandbits(8)])
            case 2:
                raw[at:at] = chance.randbytes(chance.randrange(1, 8))
            case 3:
                del raw[at : at + chance.randrange(1, 8)]
            case 4:
                raw[at : at + 1] = bytes([chance.choice((0, 1, 0x3F, 0x40, 0xC0, 0xFF, 0x29, 8, 10, 12))])
            case _:
                del raw[at:]
    return bytes(raw)


def client(chance: Random) -> str:
    if chance.random() < 0.5:
        return chance.choice(CLIENTS)
    return str(ip_network(core_worlds.network(chance)).network_address)


def _below(apex: bytes, owner: bytes, chance: Random) -> bytes:
    """The owner's first labels, below another name."""
    first = names.labels(owner)[: chance.choice((1, 1, 2))]
    while first and sum(map(len, first)) + len(first) + len(apex) > names.MAX_NAME:
        first.pop()
    return b"".join(bytes([len(label)]) + label for label in first) + apex


def _name(owner: bytes, chance: Random) -> bytes:
    below = chance.random() < 0.3 and len(owner) < 180
    found = names.from_text(chance.choice(BELOW), owner) if below else owner
    if chance.random() < 0.3:
        found = bytes(o ^ 32 if 65 <= o & 0xDF <= 90 and chance.random() < 0.5 else o for o in found)
    return found


def _query(name: bytes, rtype: int, cookies: Cookies | None, now: int, chance: Random) -> tuple[bytes, str]:
    flags = chance.choice((0, 0, 0x0100, 0x0110))
    question = name + rtype.to_bytes(2) + chance.choice((1,) * 12 + (255, 3)).to_bytes(2)
    extra, asker = b"", chance.choice(CLIENTS)
    if chance.random() < 0.75:
        options = [option for option in _options(cookies, asker, now, chance) if chance.random() < 0.4]
        payload = chance.choice((0, 512, 600, 800, 1232, 1232, 4096, 65535))
        extra = shapes.opt(*options, payload=payload, flags=chance.choice((0, 0x8000)))
    header = chance.randbytes(2) + shapes.header(flags, 1, additional=int(bool(extra)))[2:]
    return header + question + extra, asker


def _options(cookies: Cookies | None, asker: str, now: int, chance: Random) -> Iterator[tuple[int, bytes]]:
    yield 8, _subnet(chance)
    theirs = chance.randbytes(8)
    value = theirs
    if cookies is not None and chance.random() < 0.6:
        made = now + chance.choice((0, -1, 200, 299, 301, -1799, -1801, -3599, -3601))
        examined = cookies.examine(theirs, asker, made)
        value = examined.value if examined else theirs
    yield 10, chance.choice((value, value, theirs, theirs + bytes(16), bytes(7), theirs + bytes(40)))
    yield 3, b""
    yield 11, b""
    yield 65001, chance.randbytes(chance.randrange(4))


def _subnet(chance: Random) -> bytes:
    if chance.random() < 0.2:
        address = ip_address(chance.choice(EMBEDDED).format(chance.randrange(10, 99)))
        network = ip_network(
            (address, chance.choice((128, 128, 120, 112, 64, 48, 33, 32, 17, 16, 15))), strict=False
        )
    else:
        network = ip_network(core_worlds.network(chance))
        if chance.random() < 0.5:
            network = network.supernet(new_prefix=chance.randrange(network.prefixlen + 1))
    octets = network.network_address.packed[: (network.prefixlen + 7) // 8]
    return (1 if network.version == 4 else 2).to_bytes(2) + bytes((network.prefixlen, 0)) + octets
