"""How one of several possible answers is taken: published integer arithmetic, the same in every lane.

weighted     `draw(chance, total)` against the cumulative weights
round-robin  `turns(weights)`: starts in smooth interleaving, one after the other
sticky       `slot_of` the client's network, looked up in `slots(...)`, a weighted rendezvous; a split divides
             the slots among its regions first (`split_slots`)

The hash is SplitMix64's finalizer (Steele, Lea, Flood 2014); `chance` is 32 uniform bits.
"""

from __future__ import annotations

import hashlib
from array import array
from functools import lru_cache
from math import log2

from geodns.core.table import SLOTS

MAX_TURNS = 4096
KEPT = 1024  # members' costs, of 16 KiB each
_MASK = (1 << 64) - 1


def mix(x: int) -> int:
    """SplitMix64: 64 bits to 64 bits, every input bit to every output bit."""
    x = (x + 0x9E3779B97F4A7C15) & _MASK
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    x = (x ^ x >> 27) * 0x94D049BB133111EB & _MASK
    return x ^ x >> 31


def draw(chance: int, total: int) -> int:
    """An integer in [0, total) from 32 uniform bits; off uniform by less than total / 2**32."""
    return chance * total >> 32


def slot_of(family: int, address: int) -> int:
    """The slot (0 to 4095) of a client's network: its /24, or its /56."""
    network = address >> 8 if family == 4 else address >> 72
    return mix(family << 56 | network) >> 52


@lru_cache(maxsize=1024)
def turns(weights: tuple[int, ...]) -> array[int]:
    """The order in which members start when each is to have its weight's share, spread evenly.

    Smooth weighted round-robin as in nginx; weights that add up to more than 4096 are scaled down to it.
    """
    total = sum(weights)
    if total > MAX_TURNS:
        weights = tuple(max(1, w * MAX_TURNS // total) for w in weights)
        total = sum(weights)
    if min(weights) == max(weights):
        return array("H", range(len(weights)))
    current = [0] * len(weights)
    order = array("H")
    for _ in range(total):
        for i, w in enumerate(weights):
            current[i] += w
        best = current.index(max(current))
        current[best] -= total
        order.append(best)
    return order


@lru_cache(maxsize=512)
def slots(members: tuple[tuple[str, int], ...]) -> array[int]:
    """Which of the (name, weight) members each of the 4096 slots belongs to: weighted rendezvous hashing.

    A member wins a slot with the least -log2(u) / weight, u uniform from its own name and the slot: so a
    member that goes gives away only its own slots, and one that comes takes only what becomes its own.
    """
    best = array("H", bytes(2 * SLOTS))
    least = [cost / members[0][1] for cost in costs(members[0][0])]
    for index, (name, weight) in enumerate(members[1:], 1):
        for slot, cost in enumerate(costs(name)):
            if cost / weight < least[slot]:
                least[slot] = cost / weight
                best[slot] = index
    return best


@lru_cache(maxsize=512)
def split_slots(shares: tuple[tuple[str, int], ...], members: tuple[tuple[str, str, int], ...]) -> array[int]:
    """The same for (region, name, weight) members of regions with shares: the region first, then within it.

    Were it one rendezvous over all, the weights of a region's other endpoints would rise when one of them
    goes, and take clients of regions where nothing happened.
    """
    inside: dict[str, tuple[list[int], array[int]]] = {}
    for region, _ in shares:
        own = [i for i, member in enumerate(members) if member[0] == region]
        inside[region] = own, slots(tuple(members[i][1:] for i in own))
    regions = [shares[i][0] for i in slots(shares)]
    return array("H", (inside[r][0][inside[r][1][slot]] for slot, r in enumerate(regions)))


@lru_cache(maxsize=KEPT)
def costs(name: str) -> array[int]:
    """-log2(u) in 2**-24 steps for each slot; rounding keeps the last bit of a libm out of the matter."""
    stream = array("Q", hashlib.shake_128(name.encode()).digest(8 * SLOTS))
    return array("I", [round((64 - log2(u + 1)) * (1 << 24)) + 1 for u in stream])
