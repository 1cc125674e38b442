"""How many IPv4 addresses lie where: a walk over all of them, block by block, in bounded time.

Blocks that the walk finds are counted whole. Where they are finer than its steps one address, taken by a
hash, stands for a step. Steps are as small as the bound allows: small databases are counted exactly.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address

from geodns.core.place import EMPTY, Located, Place

LOOKUPS = 20_000
STEPS = range(12, 25, 2)  # prefix lengths
STRETCH = 100  # look-ups between two pauses, in which other threads get the interpreter: a millisecond or two
PAUSE = 20e-6  # seconds
_SPREAD = 2_654_435_761  # Knuth's multiplicative hash

Locate = Callable[[IPv4Address | IPv6Address], Located]


def survey(locate: Locate, most: int = LOOKUPS) -> Counter[Place]:
    """IPv4 addresses by place, without those of which nothing is known. `most`: look-ups in one walk."""
    found: Counter[Place] = Counter()
    for bits in STEPS:
        finer, fine = _walk(locate, bits, most)
        if finer is None:
            break
        found = finer
        if fine:
            break
    return found


def _walk(locate: Locate, bits: int, most: int) -> tuple[Counter[Place] | None, bool]:
    """The addresses, in steps of /bits, and whether no block was finer; None beyond `most` look-ups."""
    found: Counter[Place] = Counter()
    at, size, lookups, fine = 0, 1 << 32 - bits, 0, True
    while at < 1 << 32:
        if lookups == most:
            return None, False
        lookups += 1
        if not lookups % STRETCH:
            time.sleep(PAUSE)
        located = locate(IPv4Address(at + (at // size * _SPREAD) % size))
        block = max(located.own, located.asn, located.geo)
        fine = fine and block <= bits
        here = max(size, 1 << 32 - block)
        here -= at % here
        if located.place != EMPTY:
            found[located.place] += here
        at += here
    return found, fine
