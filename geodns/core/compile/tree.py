"""All zones as one tree of names, and RFC 1034 §4.3.2's way through it: what answers are compiled from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

from geodns.core import wire
from geodns.core.names import ancestors, is_below, parent
from geodns.model import RRset, Steer, Zone

WILDCARD = b"\1*"


@dataclass(slots=True)
class Node:
    """An owner name, or an empty non-terminal. `glue` holds what lies under it where it is a cut."""

    owner: bytes
    zone: int
    rrsets: dict[int, RRset] = field(default_factory=dict)
    steer: Steer | None = None
    cut: bool = False
    glue: dict[bytes, dict[int, RRset]] = field(default_factory=dict)


class Hit(Enum):
    EXACT = 0
    WILDCARD = 1
    REFERRAL = 2
    NXDOMAIN = 3
    OUTSIDE = 4


class Tree:
    """Every node of every zone by folded owner name. Data under a cut is glue, never a node of its own.

    Where a zone and one below it are both served, the lower one answers from its apex on; what the upper
    one says of that apex (DS, RFC 4035 §3.1.4.1) is kept in `parental`.
    """

    def __init__(self, zones: tuple[Zone, ...]) -> None:
        self.zones = zones
        self.nodes: dict[bytes, Node] = {}
        self.parental: dict[bytes, Node] = {}
        apexes = {zone.apex for zone in zones}
        for number, zone in enumerate(zones):
            self._plant(number, zone, apexes - {zone.apex})

    def _plant(self, number: int, zone: Zone, others: set[bytes]) -> None:
        apex = zone.apex
        lower = {other for other in others if is_below(other, apex)}
        cuts = lower | {r.owner for r in zone.rrsets if r.rtype == wire.NS and r.owner != apex}
        self._node(apex, number)
        for rrset in zone.rrsets:
            cut = _cut_above(rrset.owner, apex, cuts)
            if cut is not None and cut not in lower:
                self._node(cut, number).glue.setdefault(rrset.owner, {})[rrset.rtype] = rrset
            elif rrset.owner in lower:
                self.parental.setdefault(rrset.owner, Node(rrset.owner, number)).rrsets[rrset.rtype] = rrset
            elif cut is None:
                self._node(rrset.owner, number).rrsets[rrset.rtype] = rrset
        for steer in zone.steers:
            if steer.owner not in lower and _cut_above(steer.owner, apex, cuts) is None:
                self._node(steer.owner, number).steer = steer
        for cut in cuts - lower:
            if _cut_above(cut, apex, cuts) is None:
                self._node(cut, number).cut = True
        for owner in lower:
            self.parental.setdefault(owner, Node(owner, number))

    def _node(self, owner: bytes, zone: int) -> Node:
        """The node at `owner`, made with every empty non-terminal between it and the apex."""
        node = self.nodes.get(owner)
        if node is not None:
            return node
        node = self.nodes[owner] = Node(owner, zone)
        apex = self.zones[zone].apex
        above = owner
        while above != apex:
            above = parent(above)
            if above in self.nodes:
                break
            self.nodes[above] = Node(above, zone)
        return node

    def find(self, name: bytes) -> tuple[Hit, Node | None]:
        """Where a folded name's search ends: the node whose data answers, the cut, or the encloser."""
        node = self.nodes.get(name)
        if node is not None:
            return (Hit.REFERRAL if node.cut else Hit.EXACT), node
        for above in ancestors(name)[1:]:
            node = self.nodes.get(above)
            if node is not None:
                if node.cut:
                    return Hit.REFERRAL, node
                star = self.wildcard(node)
                return (Hit.WILDCARD, star) if star else (Hit.NXDOMAIN, node)
        return Hit.OUTSIDE, None

    def wildcard(self, encloser: Node) -> Node | None:
        """The wildcard directly below a closest encloser (RFC 4592 §3.3.1)."""
        star = self.nodes.get(WILDCARD + encloser.owner)
        return star if star is not None and star.zone == encloser.zone else None

    def addresses(self, name: bytes) -> Iterable[RRset]:
        """Static A and AAAA of a name in the server's zones, glue included; steered ones never."""
        hit, node = self.find(name)
        if hit is Hit.EXACT and node is not None and node.steer is None:
            held = node.rrsets
        elif hit is Hit.REFERRAL and node is not None:
            held = node.rrsets if node.owner == name else node.glue.get(name, {})
        else:
            return ()
        return [held[t] for t in (wire.A, wire.AAAA) if t in held]


def _cut_above(owner: bytes, apex: bytes, cuts: set[bytes]) -> bytes | None:
    """The highest cut strictly above `owner`: what lies under it is occluded, or glue."""
    found: bytes | None = None
    if owner == apex:
        return None
    if not cuts:
        return None
    name = parent(owner)
    while name != apex:
        if name in cuts:
            found = name
        name = parent(name)
    return found
