"""From zones to `Names`: for every owner and type the answer, rendered; one row for all that are the same."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field

from geodns.core import wire
from geodns.core.compile.bodies import (
    QNAME,
    Body,
    SheetSpec,
    positive,
    record,
    referral,
    rrset,
    soa,
    soa_rdata,
)
from geodns.core.compile.rdata import type_name
from geodns.core.compile.tree import Hit, Node, Tree
from geodns.core.dname import substitute
from geodns.core.names import to_text
from geodns.core.table import FLAG_AA, FLAG_DNAME, FLAG_NO_SUBNET, Names
from geodns.model import Pool, RRset, Steer, Zone

MAX_CHAIN = 16
HINFO = b"\x07RFC8482\x00"
HINFO_TTL = 3600


@dataclass(frozen=True, slots=True)
class Slot:
    """What a counter of the tally counts: answers of a zone by query type and RCODE."""

    zone: str
    rtype: str
    rcode: int


@dataclass(frozen=True, slots=True)
class Built:
    """The names, what each sheet is made for, and what the first counters of the tally mean."""

    names: Names
    sheets: tuple[SheetSpec, ...]
    slots: tuple[Slot, ...]


@dataclass(slots=True)
class _Rows:
    """The answers so far; equal ones share a row."""

    ids: dict[tuple[object, ...], int] = field(default_factory=dict)
    flags: array[int] = field(default_factory=lambda: array("H"))
    an: array[int] = field(default_factory=lambda: array("H"))
    ns: array[int] = field(default_factory=lambda: array("H"))
    ar: array[int] = field(default_factory=lambda: array("H"))
    more: array[int] = field(default_factory=lambda: array("H"))
    body: array[int] = field(default_factory=lambda: array("I", [0]))
    extra: array[int] = field(default_factory=lambda: array("I"))
    sheet: array[int] = field(default_factory=lambda: array("i"))
    slot: array[int] = field(default_factory=lambda: array("I"))
    packed: bytearray = field(default_factory=bytearray)

    def add(self, flags: int, body: Body, slot: int, sheet: int = -1) -> int:
        key = (flags, body, slot, sheet)
        known = self.ids.get(key)
        if known is not None:
            return known
        self.flags.append(flags)
        self.an.append(body.an)
        self.ns.append(body.ns)
        self.ar.append(body.ar)
        self.more.append(body.more)
        self.packed += body.packed
        self.extra.append(len(self.packed))
        self.packed += body.optional
        self.body.append(len(self.packed))
        self.sheet.append(sheet)
        self.slot.append(slot)
        self.ids[key] = len(self.ids)
        return len(self.ids) - 1


def build(zones: tuple[Zone, ...], pools: Mapping[str, Pool], serials: Mapping[bytes, int]) -> Built:
    """Compile all that does not depend on health or geography. `serials` has every zone's SOA serial."""
    return _Builder(zones, pools, serials).run()


class _Builder:
    def __init__(
        self, zones: tuple[Zone, ...], pools: Mapping[str, Pool], serials: Mapping[bytes, int]
    ) -> None:
        self.tree = Tree(zones)
        self.zones = zones
        self.pools = pools
        self.serials = serials
        self.rows = _Rows()
        self.specs: dict[SheetSpec, int] = {}
        self.slots: dict[Slot, int] = {}
        self.texts = [to_text(zone.apex) for zone in zones]
        self.negatives: dict[tuple[int, int], bytes] = {}
        self.absent: dict[int, int] = {}
        self.alike: dict[tuple[object, ...], tuple[dict[int, int], int]] = {}

    def run(self) -> Built:
        owners = list(self.tree.nodes)
        index = {owner: i for i, owner in enumerate(owners)}
        name_at, types_at = array("I", [0]), array("I", [0])
        types, answers, otherwise, below = array("H"), array("I"), array("I"), array("i")
        wires = bytearray()
        for owner in owners:
            node = self.tree.nodes[owner]
            found, rest = self._answers(node)
            for rtype in sorted(found):
                types.append(rtype)
                answers.append(found[rtype])
            otherwise.append(rest)
            below.append(self._below(node, index))
            wires += owner
            name_at.append(len(wires))
            types_at.append(len(types))
        rows = self.rows
        names = Names(
            wire=bytes(wires),
            name_at=name_at,
            types=types,
            types_at=types_at,
            answers=answers,
            otherwise=otherwise,
            below=below,
            depth=max((_labels(owner) for owner in owners), default=0),
            a_flags=rows.flags,
            a_an=rows.an,
            a_ns=rows.ns,
            a_ar=rows.ar,
            a_more=rows.more,
            a_body=rows.body,
            a_extra=rows.extra,
            a_sheet=rows.sheet,
            a_slot=rows.slot,
            bodies=bytes(rows.packed),
        )
        return Built(names, tuple(self.specs), tuple(self.slots))

    def _below(self, node: Node, index: Mapping[bytes, int]) -> int:
        """What answers the names under a node that do not exist."""
        if node.cut:
            return ~self._referral(node, Body())
        if wire.DNAME in node.rrsets:
            body = Body(1, 0, 0, 0, rrset(node.owner, node.rrsets[wire.DNAME]))
            return ~self._row(node.zone, "DNAME", body, mark=FLAG_DNAME)
        star = self.tree.wildcard(node)
        if star is not None:
            return index[star.owner]
        if node.zone not in self.absent:
            body = Body(0, 1, 0, 0, self._negative(node.zone))
            self.absent[node.zone] = self._row(node.zone, "other", body, wire.NXDOMAIN)
        return ~self.absent[node.zone]

    def _answers(self, node: Node) -> tuple[dict[int, int], int]:
        """A node's answers by type, and the one for every other type.

        Names that are steered alike, and nothing else, are worked out once: most of a large zone.
        """
        steer = node.steer
        if steer is None or node.rrsets or node.cut or node.owner in self.tree.parental:
            return self._work_out(node)
        key = (node.zone, steer.pool, steer.policy, steer.pick, steer.answers, steer.ttl)
        if key not in self.alike:
            self.alike[key] = self._work_out(node)
        return self.alike[key]

    def _work_out(self, node: Node) -> tuple[dict[int, int], int]:
        if node.cut:
            return self._at_cut(node)
        if node.steer is not None and self.pools[node.steer.pool].targets:
            return {}, self._steered(node, node.steer, wire.CNAME, Body(), QNAME)
        if wire.CNAME in node.rrsets:
            return self._chain(node)
        found = {rtype: self._positive(node, rrs) for rtype, rrs in self._data(node).items()}
        if node.steer is not None:
            for rtype in (wire.A, wire.AAAA):
                found[rtype] = self._steered(node, node.steer, rtype, Body(), QNAME)
        if found:
            hinfo = record(QNAME, wire.HINFO, HINFO_TTL, HINFO)
            found.setdefault(wire.ANY, self._row(node.zone, "ANY", Body(1, 0, 0, 0, hinfo)))
        upper = self.tree.parental.get(node.owner)
        if upper is not None:
            found[wire.DS] = self._ds(upper, node.owner, Body(), QNAME, {node.owner})
        return found, self._nodata(node, Body())

    def _data(self, node: Node) -> dict[int, RRset]:
        """A node's static RRsets; the SOA, which the zone keeps apart, among them."""
        zone = self.zones[node.zone]
        if node.owner != zone.apex:
            return node.rrsets
        rdata = soa_rdata(zone, self.serials[zone.apex])
        return {**node.rrsets, wire.SOA: RRset(zone.apex, wire.SOA, zone.soa.ttl, (rdata,))}

    def _at_cut(self, node: Node) -> tuple[dict[int, int], int]:
        ds = self._ds(node, node.owner, Body(), QNAME, {node.owner})
        return {wire.DS: ds}, self._referral(node, Body())

    def _ds(self, upper: Node, name: bytes, prefix: Body, owner: bytes, passed: set[bytes]) -> int:
        """What the zone above a cut, or above the apex of a zone that is served too, says of the DS there.

        RFC 4035 §3.1.4.1. `name` is that name, `owner` how it is written, behind a chain as in `_follow`.
        """
        if upper.owner != name:
            return self._referral(upper, prefix)
        ds, alias = upper.rrsets.get(wire.DS), upper.rrsets.get(wire.CNAME)
        if ds is not None:
            return self._row(upper.zone, "DS", _behind(prefix, positive(self.tree, ds, owner)))
        if alias is None:
            return self._nodata(upper, prefix)
        prefix = _behind(prefix, Body(1, packed=rrset(owner, alias)))
        found, rest = self._follow(upper, prefix, alias.rdata[0], passed)
        return found.get(wire.DS, rest)

    def _positive(self, node: Node, rrs: RRset) -> int:
        return self._row(node.zone, type_name(rrs.rtype), positive(self.tree, rrs))

    def _referral(self, node: Node, prefix: Body) -> int:
        """A referral; behind CNAMEs the first name is ours, so AA stays (RFC 1035 §4.1.1)."""
        body = _behind(prefix, referral(self.tree, node.owner))
        return self._row(node.zone, "other", body, aa=bool(prefix.an))

    def _nodata(self, node: Node, prefix: Body) -> int:
        packed = self._negative(node.zone, node.steer.ttl if node.steer else None)
        return self._row(node.zone, "other", _behind(prefix, Body(0, 1, 0, 0, packed)))

    def _negative(self, zone: int, most: int | None = None) -> bytes:
        """The SOA of a negative answer (RFC 2308 §3); of a steered name no longer than its own TTL."""
        soa_ = self.zones[zone].soa
        ttl = min(soa_.ttl, soa_.minimum, soa_.ttl if most is None else most)
        known = self.negatives.get((zone, ttl))
        if known is None:
            known = soa(self.zones[zone], self.serials[self.zones[zone].apex], ttl)
            self.negatives[zone, ttl] = known
        return known

    def _steered(self, node: Node, steer: Steer, rtype: int, prefix: Body, owner: bytes) -> int:
        zone = self.zones[node.zone]
        spec = SheetSpec(
            pool=steer.pool,
            policy=steer.policy,
            pick=steer.pick,
            answers=1 if rtype == wire.CNAME else steer.answers,
            ttl=steer.ttl,
            ttl_min=zone.ttl_min,
            rtype=rtype,
            owner=owner,
            empty=self._negative(node.zone, steer.ttl),
            empty_ttl=min(zone.soa.ttl, zone.soa.minimum, steer.ttl),
        )
        sheet = self.specs.setdefault(spec, len(self.specs))
        return self._row(node.zone, type_name(rtype), prefix, sheet=sheet)

    def _chain(self, node: Node) -> tuple[dict[int, int], int]:
        """A CNAME's answers: followed through the server's own zones as far as it goes (RFC 6604)."""
        first = node.rrsets[wire.CNAME]
        alone = Body(1, 0, 0, 0, rrset(QNAME, first))
        found, rest = self._follow(node, alone, first.rdata[0], {node.owner})
        return {**found, **dict.fromkeys((wire.CNAME, wire.ANY), self._row(node.zone, "CNAME", alone))}, rest

    def _follow(
        self, node: Node, prefix: Body, target: bytes, passed: set[bytes]
    ) -> tuple[dict[int, int], int]:
        """The answers behind a chain that leads from `node` to `target`, through the names `passed`.

        `prefix` is what the answer section holds of it so far.
        """
        while len(passed) < MAX_CHAIN and target.lower() not in passed:
            passed.add(target.lower())
            hit, last = self.tree.find(target.lower())
            if hit is Hit.WILDCARD and last is not None:
                if last.owner in passed:
                    break
                passed.add(last.owner)
            if last is None or hit is Hit.OUTSIDE:
                return {}, self._row(node.zone, "other", prefix)
            if hit is Hit.REFERRAL:
                ds = self._ds(last, target.lower(), prefix, target, passed)
                return {wire.DS: ds}, self._referral(last, prefix)
            if hit is Hit.NXDOMAIN:
                body = _behind(prefix, Body(0, 1, 0, 0, self._negative(last.zone)))
                return {}, self._row(node.zone, "other", body, wire.NXDOMAIN)
            if last.steer is not None and self.pools[last.steer.pool].targets:
                return {}, self._steered(last, last.steer, wire.CNAME, prefix, target)
            if hit is Hit.DNAME:
                prefix, name = _redirected(prefix, target, last.rrsets[wire.DNAME])
                if name is None:
                    return {}, self._row(node.zone, "other", prefix, wire.YXDOMAIN)
                target = name
                continue
            onward = last.rrsets.get(wire.CNAME)
            if onward is None:
                return self._chain_end(last, prefix, target, passed), self._nodata(last, prefix)
            prefix, target = _behind(prefix, Body(1, packed=rrset(target, onward))), onward.rdata[0]
        return {}, self._row(node.zone, "other", prefix)

    def _chain_end(self, last: Node, prefix: Body, owner: bytes, passed: set[bytes]) -> dict[int, int]:
        found = {
            rtype: self._row(last.zone, type_name(rtype), _behind(prefix, positive(self.tree, rrs, owner)))
            for rtype, rrs in self._data(last).items()
        }
        if wire.DNAME in found and rrset(last.owner, last.rrsets[wire.DNAME]) in prefix.packed:
            found[wire.DNAME] = self._row(last.zone, "DNAME", prefix)  # the chain passed it already
        if last.steer is not None:
            for rtype in (wire.A, wire.AAAA):
                found[rtype] = self._steered(last, last.steer, rtype, prefix, owner)
        upper = self.tree.parental.get(last.owner)
        if upper is not None:
            found[wire.DS] = self._ds(upper, last.owner, prefix, owner, passed)
        return found

    def _row(
        self,
        zone: int,
        rtype: str,
        body: Body,
        rcode: int = 0,
        *,
        aa: bool = True,
        sheet: int = -1,
        mark: int = 0,
    ) -> int:
        flags = mark | (FLAG_AA if aa else 0) | rcode
        if not self.zones[zone].client_subnet:
            flags |= FLAG_NO_SUBNET
        slot = Slot(self.texts[zone], rtype, rcode)
        return self.rows.add(flags, body, self.slots.setdefault(slot, len(self.slots)), sheet)


def _behind(prefix: Body, body: Body) -> Body:
    """The CNAMEs that led here, then the rest."""
    return Body(prefix.an + body.an, body.ns, body.ar, body.more, prefix.packed + body.packed, body.optional)


def _redirected(prefix: Body, name: bytes, dname: RRset) -> tuple[Body, bytes | None]:
    """The chain with a DNAME and its synthesized CNAME, and where that leads; None where it is too long."""
    shown = rrset(dname.owner, dname)
    if shown not in prefix.packed:
        prefix = _behind(prefix, Body(1, packed=shown))
    found = substitute(name, dname.owner, dname.rdata[0])
    if found is None:
        return prefix, None
    return _behind(prefix, Body(1, packed=record(name, wire.CNAME, dname.ttl, found))), found


def _labels(owner: bytes) -> int:
    count = at = 0
    while owner[at]:
        at += 1 + owner[at]
        count += 1
    return count
