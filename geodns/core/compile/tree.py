"""All zones as one tree of names, and RFC 1034 §4.3.2's way through it: what answers are compiled from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

from geodns.core import wire
from geodns.core.names import ancestors, parent
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
    DNAME = 5


class Tree:
    """Every node of every zone by folded owner name. Data under a cut is glue, never a node of its own.

    Data under a DNAME is never seen (RFC 6672 §2.4). Where a zone and one below it are both served, the lower
    one answers from its apex on; what the upper one says of that apex (DS, RFC 4035 §3.1.4.1) is kept in
    `parental`: a node for it, or the cut above it.
    """

    def __init__(self, zones: tuple[Zone, ...]) -> None:
        self.zones = zones
        self.nodes: dict[bytes, Node] = {}
        self.parental: dict[bytes, Node] = {}
        lower = _direct({zone.apex for zone in zones})
        for number, zone in enumerate(zones):
            self._plant(number, zone, lower[zone.apex])

    def _plant(self, number: int, zone: Zone, lower: set[bytes]) -> None:
        """Take over a zone's data; `lower` are the apexes of the zones right below it."""
        apex = zone.apex
        cuts = lower | {r.owner for r in zone.rrsets if r.rtype == wire.NS and r.owner != apex}
        covers = cuts | {r.owner for r in zone.rrsets if r.rtype == wire.DNAME}
        self._node(apex, number)
        for rrset in zone.rrsets:
            cover = _cover_above(rrset.owner, apex, covers)
            if cover is None and rrset.owner not in lower:
                self._node(rrset.owner, number).rrsets[rrset.rtype] = rrset
            elif cover is None:
                self._node(parent(rrset.owner), number)
                self.parental.setdefault(rrset.owner, Node(rrset.owner, number)).rrsets[rrset.rtype] = rrset
            elif cover in cuts and cover not in lower:
                self._node(cover, number).glue.setdefault(rrset.owner, {})[rrset.rtype] = rrset
            elif cover in lower:
                self._node(parent(cover), number)
        for steer in zone.steers:
            if steer.owner not in lower and _cover_above(steer.owner, apex, covers) is None:
                self._node(steer.owner, number).steer = steer
        for cut in cuts:
            cover = _cover_above(cut, apex, covers)
            if cover is None and cut in lower:
                self.parental.setdefault(cut, Node(cut, number))
            elif cover is None:
                self._node(cut, number).cut = True
            elif cut in lower and cover in cuts and cover not in lower:
                self.parental[cut] = self._node(cover, number)

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
                if wire.DNAME in node.rrsets:
                    return Hit.DNAME, node
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
            return _addresses(node.rrsets)
        return self.glue(node, name) if hit is Hit.REFERRAL and node is not None else ()

    def glue(self, cut: Node, name: bytes) -> Iterable[RRset]:
        """A and AAAA that a zone holds for a name at or below a cut."""
        return _addresses(cut.rrsets if cut.owner == name else cut.glue.get(name, {}))


def _direct(apexes: set[bytes]) -> dict[bytes, set[bytes]]:
    """For each apex those below it that have no other one between."""
    found: dict[bytes, set[bytes]] = {apex: set() for apex in apexes}
    for apex in apexes:
        upper = next((name for name in ancestors(apex)[1:] if name in apexes), None)
        if upper is not None:
            found[upper].add(apex)
    return found


def _addresses(held: dict[int, RRset]) -> Iterable[RRset]:
    return [held[t] for t in (wire.A, wire.AAAA) if t in held]


def _cover_above(owner: bytes, apex: bytes, covers: set[bytes]) -> bytes | None:
    """The highest cut or DNAME strictly above `owner`: what lies under it is glue, or never seen."""
    if owner == apex or not covers:
        return None
    found: bytes | None = None
    name = owner
    while name != apex:
        name = parent(name)
        if name in covers:
            found = name
    return found
