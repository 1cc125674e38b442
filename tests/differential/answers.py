"""A reply taken apart: sections as sets of records, names lower-cased and without compression."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

NS, CNAME, SOA, HINFO, NAPTR, DNAME, OPT, DS, ANY = 2, 5, 6, 13, 35, 39, 41, 43, 255

# Rdata with names that may be compressed, or that servers write with other letters' case:
# octets before, names, whether other octets follow.
_NAMES = {
    2: (0, 1),
    5: (0, 1),
    6: (0, 2),
    12: (0, 1),
    14: (0, 2),
    15: (2, 1),
    17: (0, 2),
    18: (2, 1),
    21: (2, 1),
    26: (2, 2),
    33: (6, 1),
    36: (2, 1),
    39: (0, 1),
    64: (2, 1),
    65: (2, 1),
    107: (2, 1),
}

Record = tuple[bytes, int, int, bytes]
"""(owner, type, TTL, rdata)"""


@dataclass(frozen=True, slots=True)
class Answer:
    """`flags` is the header's second word without TC, AA and RCODE, `options` the codes in the OPT record.

    `size` in octets.
    """

    rcode: int
    aa: bool
    tc: bool
    flags: int
    question: bytes
    answer: frozenset[Record]
    authority: frozenset[Record]
    additional: frozenset[Record]
    opt: tuple[int, int] | None
    repeated: bool
    size: int
    options: tuple[int, ...] = ()


def read(message: bytes) -> Answer:
    """ValueError or IndexError where it is no message."""
    word = int.from_bytes(message[2:4])
    counts = [int.from_bytes(message[i : i + 2]) for i in (4, 6, 8, 10)]
    at = 12
    for _ in range(counts[0]):
        _, at = _name(message, at)
        at += 4
    question = message[12:at]
    rcode, opt, repeated, options = word & 15, None, False, ()
    sections: list[frozenset[Record]] = []
    for count in counts[1:]:
        found: set[Record] = set()
        for _ in range(count):
            owner, at = _name(message, at)
            rtype = int.from_bytes(message[at : at + 2])
            ttl = int.from_bytes(message[at + 4 : at + 8])
            end = at + 10 + int.from_bytes(message[at + 8 : at + 10])
            if end > len(message):
                raise ValueError("a record is longer than the message")
            if rtype == OPT:
                rcode |= ttl >> 24 << 4
                opt = (ttl >> 16 & 0xFF, ttl & 0xFFFF)
                options = tuple(_codes(message[at + 10 : end]))
            else:
                record = (owner, rtype, ttl, _rdata(message, at + 10, end, rtype))
                repeated |= record in found
                found.add(record)
            at = end
        sections.append(frozenset(found))
    if at != len(message):
        raise ValueError("octets behind the last record")
    flags = word & ~0x060F
    return Answer(
        rcode,
        bool(word & 0x400),
        bool(word & 0x200),
        flags,
        question,
        *sections,
        opt,
        repeated,
        len(message),
        options,
    )


def _codes(options: bytes) -> Iterator[int]:
    while options:
        yield int.from_bytes(options[:2])
        options = options[4 + int.from_bytes(options[2:4]) :]


def folded_rdata(rdata: bytes, rtype: int) -> bytes:
    """Rdata without compression as `read` shows it: names in lower case."""
    return _rdata(rdata, 0, len(rdata), rtype)


def names_in(rtype: int, rdata: bytes) -> list[bytes]:
    """The names in rdata without compression that some server may compress."""
    at, count = _NAMES.get(rtype, (0, 0))
    found = []
    for _ in range(count):
        name, at = _name(rdata, at)
        found.append(name)
    return found


def _name(message: bytes, at: int) -> tuple[bytes, int]:
    parts = []
    end = -1
    for _ in range(256):
        length = message[at]
        if length >= 0xC0:
            end = at + 2 if end < 0 else end
            at = int.from_bytes(message[at : at + 2]) & 0x3FFF
        elif length == 0:
            return b"".join(parts) + b"\0", at + 1 if end < 0 else end
        else:
            parts.append(message[at : at + 1 + length].lower())
            at += 1 + length
    raise ValueError("a name without an end")


def _rdata(message: bytes, at: int, end: int, rtype: int) -> bytes:
    skip, names = _NAMES.get(rtype, (0, 0))
    if rtype == NAPTR:
        skip, names = _behind_strings(message, at + 4, 3) - at, 1
    parts = [message[at : at + skip]]
    at += skip
    for _ in range(names):
        name, at = _name(message, at)
        parts.append(name)
    parts.append(message[at:end])
    return b"".join(parts)


def _behind_strings(message: bytes, at: int, count: int) -> int:
    for _ in range(count):
        at += 1 + message[at]
    return at
