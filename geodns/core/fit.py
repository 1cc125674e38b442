"""Replies that must fit: names compressed when it gets tight, then less additional data, then only TC.

Bodies are compiled with one compression pointer, 0xC00C, so that they serve every question. That costs
nothing while a reply is short. A reply that would be too long is compressed by RFC 1035 §4.1.4 here, and
that is remembered, for it depends on nothing but the body and on where in the message it begins. Only where
that is not enough, and could be, it is compressed against the labels of the question, too.
"""

from __future__ import annotations

from geodns.core import wire
from geodns.core.unpacked import Heads, heads_of

STREAM = 65535  # the size limit that means TCP
FLOOR = 512
MAX_KEPT = 1024
MAX_BODY = 16384  # octets: longer ones would not get short enough, and pointers reach no farther
# What RFC 3597 §4 lets one compress, and this server has: where in the rdata names begin, and how many.
_NAMES_AT = {wire.NS: (0, 1), wire.CNAME: (0, 1), wire.SOA: (0, 2), wire.PTR: (0, 1), wire.MX: (2, 1)}

Parts = tuple[Heads, bytes]


class Fitter:
    """Makes replies fit. Keeps the compressed bodies of late, at most MAX_KEPT."""

    def __init__(self) -> None:
        self._kept: dict[tuple[int, bytes], bytes] = {}

    def reply(
        self, packet: bytes, end: int, which: int, opt: bytes, most: int, parts: tuple[Parts, ...]
    ) -> bytes:
        """The first of `parts` (heads, body) that fits into `most` octets, else a truncated reply.

        `end` is where the packet's question ends, `which` of the heads goes with the question's flags.
        """
        left = most - end - len(opt)
        question = packet[wire.HEADER : end - 4]
        for heads, whole in parts:
            body = whole
            if len(body) > left and len(body) <= MAX_BODY:
                body = self._tight(end, whole)
                if 0 < len(body) - left < len(question):
                    body = compressed(end, whole, question)
            if len(body) <= left:
                return b"".join((packet[:2], heads[which], packet[12:end], body, opt))
        return truncated(packet, end, which, opt, parts[0][0])

    def _tight(self, start: int, body: bytes) -> bytes:
        found = self._kept.get((start, body))
        if found is None:
            if len(self._kept) >= MAX_KEPT:
                self._kept.clear()
            found = self._kept[start, body] = compressed(start, body)
        return found


def truncated(packet: bytes, end: int, which: int, opt: bytes, heads: Heads) -> bytes:
    """A reply that says no more than that it does not fit (RFC 2181 §9)."""
    flags = int.from_bytes(heads[0][:2]) | wire.TC
    return b"".join((packet[:2], heads_of(flags, 0, 0, 0)[which], packet[12:end], opt))


def compressed(start: int, body: bytes, question: bytes = b"\0") -> bytes:
    """The records of a body that begins at octet `start` of a message, their names compressed.

    A name is compressed against those before it in the body, and against the name in `question`. Without
    that the result is the same for every question of the same length.
    """
    known = _suffixes(question)
    parts: list[bytes] = []
    at, place = 0, start
    while at < len(body):
        behind = wire.skip_name(body, at)
        data = behind + 10
        end = data + int.from_bytes(body[behind + 8 : data])
        owner = body[at:behind] if body[at] >= 0xC0 else _name(body[at:behind], place, known)
        rtype = int.from_bytes(body[behind : behind + 2])
        rdata = _rdata(rtype, body[data:end], place + len(owner) + 10, known)
        parts += (owner, body[behind : behind + 8], len(rdata).to_bytes(2), rdata)
        place += len(owner) + 10 + len(rdata)
        at = end
    return b"".join(parts)


def _suffixes(question: bytes) -> dict[bytes, int]:
    """Where the question's name and what it ends in stand, in lower case as owners are."""
    found, at = {}, 0
    while question[at]:
        found[question[at:].lower()] = wire.HEADER + at
        at += 1 + question[at]
    return found


def _rdata(rtype: int, rdata: bytes, place: int, known: dict[bytes, int]) -> bytes:
    at, count = _NAMES_AT.get(rtype, (0, 0))
    parts = [rdata[:at]]
    for _ in range(count):
        end = wire.name_end(rdata, at)
        parts.append(_name(rdata[at:end], place + sum(map(len, parts)), known))
        at = end
    return b"".join((*parts, rdata[at:]))


def _name(name: bytes, place: int, known: dict[bytes, int]) -> bytes:
    """A name at octet `place`: its new labels, then a pointer; all its suffixes are known from now on."""
    at = 0
    while name[at]:
        found = known.get(name[at:])
        if found is not None:
            return name[:at] + (0xC000 | found).to_bytes(2)
        if place + at <= 0x3FFF:
            known[name[at:]] = place + at
        at += 1 + name[at]
    return name


def room(limit: int, payload: int | None) -> int:
    """How long a reply may be: what the transport carries and, over UDP, the client takes."""
    if limit == STREAM:
        return STREAM
    return FLOOR if payload is None else min(limit, payload)
