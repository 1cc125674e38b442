"""Rows of the table unpacked for the Python lane: heads counted, bodies sliced, ready to be joined."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from dataclasses import dataclass, replace
from operator import sub

from geodns.core import wire
from geodns.core.steer.picks import draw, mix
from geodns.core.table import FIXED, FLAG_DNAME, FLAG_NO_SUBNET, TURNS, AnswerSet, Names

Heads = tuple[bytes, bytes, bytes, bytes]
MAX_SLICED = 1 << 14  # octets of an answer set's bodies; longer ones are sliced when they are asked for


@dataclass(slots=True)
class Made:
    """An answer of the table unpacked: heads by RD + 2 * OPT, with and without what may be left out."""

    heads: Heads
    body: bytes
    lean_heads: Heads
    lean: bytes
    sheet: int
    slot: int
    flags: int
    an: int


@dataclass(slots=True)
class Ready:
    """An answer set ready to send: `bodies[i]` starts its circle at member i, none is longer than `longest`.

    `order` leads from a draw, a turn or a slot to a start; it is empty where several are drawn one by one.
    """

    heads: Heads
    bodies: list[bytes] | Unsliced
    longest: int
    pick: int
    order: array[int]
    total: int
    slot: int
    set: AnswerSet
    prefix: bytes
    an: int
    flags: int
    low: Ready | None = None
    low_ttl: int = 0


def heads_of(flags: int, an: int, ns: int, ar: int) -> Heads:
    """Octets 2 to 11 of a header, without and with RD, then the same with an OPT counted."""
    word = wire.QR | flags & ~(FLAG_DNAME | FLAG_NO_SUBNET)
    counts = b"\0\1" + an.to_bytes(2) + ns.to_bytes(2)
    return (
        word.to_bytes(2) + counts + ar.to_bytes(2),
        (word | wire.RD).to_bytes(2) + counts + ar.to_bytes(2),
        word.to_bytes(2) + counts + (ar + 1).to_bytes(2),
        (word | wire.RD).to_bytes(2) + counts + (ar + 1).to_bytes(2),
    )


def make(names: Names, answer: int) -> Made:
    """Unpack a row of the table."""
    n = names
    flags, an, ns, ar, more = (
        n.a_flags[answer],
        n.a_an[answer],
        n.a_ns[answer],
        n.a_ar[answer],
        n.a_more[answer],
    )
    start, extra, end = n.a_body[answer], n.a_extra[answer], n.a_body[answer + 1]
    lean = n.bodies[start:extra]
    return Made(
        heads=heads_of(flags, an, ns, ar + more),
        body=n.bodies[start:end] if more else lean,
        lean_heads=heads_of(flags, an, ns, ar),
        lean=lean,
        sheet=n.a_sheet[answer],
        slot=n.a_slot[answer],
        flags=flags,
        an=an,
    )


class Unsliced:
    """The bodies of a set whose answers are many and long: all of them would be that number squared."""

    def __init__(self, set_: AnswerSet, prefix: bytes) -> None:
        self._set = set_
        self._prefix = prefix

    def __getitem__(self, start: int) -> bytes:
        at = self._set.at
        return self._prefix + self._set.rrs[at[start] : at[start + self._set.count]]


def prepare(set_: AnswerSet, prefix: bytes, an: int, flags: int, empty: bytes) -> Ready:
    """Slice an answer set's circle at every start."""
    if not set_.members:
        body = prefix + empty
        heads = heads_of(flags, an, 1, 0)
        return Ready(heads, [body], len(body), FIXED, set_.order, 1, set_.slot, set_, prefix, an, flags)
    at, count, members = set_.at, set_.count, set_.members
    heads = heads_of(flags, an + count, 0, 0)
    longest = len(prefix) + max(map(sub, at[count:], at[:members]))
    bodies: list[bytes] | Unsliced = Unsliced(set_, prefix)
    if members * longest <= MAX_SLICED:
        bodies = [bodies[start] for start in range(members)]
    total = len(set_.order) if set_.pick == TURNS else set_.weights[-1]
    return Ready(heads, bodies, longest, set_.pick, set_.order, total, set_.slot, set_, prefix, an, flags)


def take(ready: Ready, tally: array[int], slot: int, chance: int) -> int:
    """Where in its circle an answer starts, counted; -1 where it is drawn member by member.

    `slot` is the client's (sticky); `chance` 32 uniform bits (weighted).
    """
    counter = ready.slot
    turn = tally[counter]
    tally[counter] = turn + 1
    match ready.pick:
        case 0:  # FIXED
            return 0
        case 1:  # WEIGHTED
            if ready.order:
                return ready.order[chance * ready.total >> 32]
            set_ = ready.set
            if set_.count in (1, set_.members):
                return bisect_right(set_.weights, draw(chance, ready.total))
            return -1
        case 2:  # TURNS
            return ready.order[turn % ready.total]
        case _:  # STICKY
            return ready.order[slot]


def draw_several(ready: Ready, chance: int) -> bytes:
    """`count` different members drawn by weight, one after the other, each draw without those before it."""
    set_ = ready.set
    weights = [w - (set_.weights[i - 1] if i else 0) for i, w in enumerate(set_.weights)]
    total = ready.total
    parts = [ready.prefix]
    for _ in range(set_.count):
        rest = draw(chance, total)
        member = 0
        while rest >= weights[member]:
            rest -= weights[member]
            member += 1
        parts.append(set_.rrs[set_.at[member] : set_.at[member + 1]])
        total -= weights[member]
        weights[member] = 0
        chance = mix(chance) & 0xFFFFFFFF
    return b"".join(parts)


def lowered(ready: Ready, empty: bytes, empty_ttl: int, now: int) -> Ready:
    """The same answers with the TTL lowered to the moment at which they may change."""
    set_ = ready.set
    ttl = max(set_.ttl_min, set_.change_at - now)
    if ready.low is None or ready.low_ttl != ttl:
        ready.low, ready.low_ttl = _with_ttl(ready, empty, empty_ttl, ttl), ttl
    return ready.low


def _with_ttl(ready: Ready, empty: bytes, empty_ttl: int, ttl: int) -> Ready:
    set_ = ready.set
    if not set_.members:
        at = _ttl_of_first(empty)
        empty = empty[:at] + min(ttl, empty_ttl).to_bytes(4) + empty[at + 4 :]
        return prepare(set_, ready.prefix, ready.an, ready.flags, empty)
    rrs = bytearray(set_.rrs)
    for start in set_.at[:-1]:
        rrs[start + set_.ttl_at : start + set_.ttl_at + 4] = min(ttl, set_.ttl).to_bytes(4)
    return prepare(replace(set_, rrs=bytes(rrs)), ready.prefix, ready.an, ready.flags, empty)


def _ttl_of_first(record: bytes) -> int:
    """Where the TTL of a record with an uncompressed owner stands."""
    return wire.name_end(record, 0) + 4
