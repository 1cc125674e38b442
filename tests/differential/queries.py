"""Random queries about generated zones: at names, above, below and beside them, of all types and manners."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from tests.differential.zones import NEVER, ODD, OUTSIDE, PLAIN, STAR, Name, Zone, text, wire

TYPES = {
    "A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "HINFO": 13, "MX": 15, "TXT": 16, "RP": 17, "AFSDB": 18,
    "AAAA": 28, "LOC": 29, "SRV": 33, "NAPTR": 35, "KX": 36, "DNAME": 39, "DS": 43, "SSHFP": 44, "TLSA": 52,
    "SVCB": 64, "HTTPS": 65, "ANY": 255, "URI": 256, "CAA": 257, "TYPE731": 731, "TYPE65280": 65280,
}  # fmt: skip
RARE = (0, 3, 10, 25, 46, 47, 48, 50, 59, 100, 128, 999, 65535)
NUMBERS = {number: name for name, number in TYPES.items()}


def number(rtype: str) -> int:
    return TYPES[rtype]


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
        return (
            f"{text(self.name)} {NUMBERS.get(self.qtype, self.qtype)} ({manner}{', TCP' if self.tcp else ''})"
        )


def ask(zones: list[Zone], seed: int, count: int) -> Iterator[Query]:
    chance = Random(seed)
    known: list[Name] = []
    types: dict[Name, list[int]] = {}
    targets = [OUTSIDE[0], ()]
    for zone in zones:
        known.append(zone.apex)
        for data in zone.sets.values():
            known.append(data.owner)
            types.setdefault(data.owner, []).append(TYPES[data.rtype])
    for _ in range(count):
        name = _name(chance, known if chance.random() < 0.99 else targets)
        held = types.get(name)
        roll = chance.random()
        if held and roll < 0.5:
            qtype = chance.choice(held)
        elif roll < 0.97:
            qtype = chance.choice((1, 1, 28, *TYPES.values()))
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
    payload = chance.choice((None, None, 512, 1232, 1232, 4096, 0))
    rd = chance.choice((b"\0", b"\1"))
    opt, do = b"", False
    if payload is not None:
        do = chance.random() < 0.5
        opt = b"\0\0\x29" + payload.to_bytes(2) + b"\0\0" + (b"\x80\0" if do else b"\0\0") + b"\0\0"
    packet = b"\0\0" + rd + b"\0\0\1\0\0\0\0\0" + (b"\1" if opt else b"\0")
    packet += raw + qtype.to_bytes(2) + b"\0\1" + opt
    return Query(packet, name, qtype, payload, chance.random() < 0.1, do)
