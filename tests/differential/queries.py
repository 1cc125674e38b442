"""Random queries about generated zones: at names, above, below and beside them, of all types and manners."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from dns.rdatatype import from_text, to_text

from tests.differential.zones import NEVER, ODD, OUTSIDE, PLAIN, STAR, VALUES, Name, Zone, text, wire

PAYLOADS = (0, 511, 512, 513, 1231, 1232, 1233, 4096, 65535)
RARE = (0, 3, 10, 25, 46, 47, 48, 50, 59, 100, 128, 999, 65535)


def number(rtype: str) -> int:
    return int(from_text(rtype))


HELD = tuple(number(rtype) for rtype in ("NS", "CNAME", "SOA", "DNAME", "DS", "ANY", *VALUES))


@dataclass(frozen=True, slots=True)
class Query:
    """`packet` has id 0. `payload` None: no EDNS. `do`: the DNSSEC OK bit."""

    packet: bytes
    name: Name
    qtype: int
    payload: int | None
    tcp: bool
    do: bool = False

    def __str__(self) -> str:
        manner = "no EDNS" if self.payload is None else f"EDNS {self.payload}"
        return f"{text(self.name)} {to_text(self.qtype)} ({manner}{', TCP' if self.tcp else ''})"


def ask(zones: list[Zone], seed: int, count: int) -> Iterator[Query]:
    chance = Random(seed)
    known: list[Name] = []
    types: dict[Name, list[int]] = {}
    targets = [OUTSIDE[0], ()]
    for zone in zones:
        known.append(zone.apex)
        for data in zone.sets.values():
            known.append(data.owner)
            types.setdefault(data.owner, []).append(number(data.rtype))
    for _ in range(count):
        name = _name(chance, known if chance.random() < 0.99 else targets)
        held = types.get(name)
        roll = chance.random()
        if held and roll < 0.5:
            qtype = chance.choice(held)
        elif roll < 0.97:
            qtype = chance.choice((1, 1, 28, *HELD))
        else:
            qtype = chance.choice(RARE)
        yield make(chance, name, qtype)


def _name(chance: Random, known: list[Name]) -> Name:
    """A known name, or one above, below or beside it."""
    name = chance.choice(known)
    roll = chance.random()
    if roll < 0.45:
        return name
    if roll < 0.6 and len(name) > 1:
        name = name[1:]
    labels = (*PLAIN, NEVER, NEVER, STAR, chance.choice(ODD))
    for _ in range(chance.choice((0, 1, 1, 1, 2, 3))):
        below = (chance.choice(labels), *name)
        if len(wire(below)) <= 255:
            name = below
    return name


def make(chance: Random, name: Name, qtype: int) -> Query:
    raw = wire(name)
    if chance.random() < 0.3:
        raw = bytes(o ^ 32 if 65 <= o & 0xDF <= 90 and chance.random() < 0.5 else o for o in raw)
    payload = chance.choice((None, None, *PAYLOADS, chance.randint(513, 1400)))
    rd = chance.choice((b"\0", b"\1"))
    opt, do = b"", False
    if payload is not None:
        do = chance.random() < 0.5
        opt = b"\0\0\x29" + payload.to_bytes(2) + b"\0\0" + (b"\x80\0" if do else b"\0\0") + b"\0\0"
    packet = b"\0\0" + rd + b"\0\0\1\0\0\0\0\0" + (b"\1" if opt else b"\0")
    packet += raw + qtype.to_bytes(2) + b"\0\1" + opt
    return Query(packet, name, qtype, payload, chance.random() < 0.1, do)
