"""Records packed for the table: static bodies, referrals with glue, and the records of an answer set."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address

from dnslib import CLASS, RD, RR, DNSBuffer, DNSLabel

from geodns.core import wire
from geodns.core.compile.tree import Tree
from geodns.core.names import is_below, labels
from geodns.core.steer.odds import Member, Odds, Stage
from geodns.core.steer.picks import slots, split_slots, turns
from geodns.core.table import FIXED, STICKY, TURNS, WEIGHTED, AnswerSet
from geodns.model import Pick, RRset, Zone

QNAME = b"\xc0\x0c"
_ASKED = DNSLabel((b"the name asked",))  # stands for it until it is packed, as the pointer
FAMILY = {wire.A: 4, wire.AAAA: 6, wire.CNAME: 0}
_STATES = {Stage.UNPROBED: 1, Stage.OPEN: 1, Stage.PANIC: 1, Stage.PAUSED: 2}
MAX_DRAWS = 4096  # of a total of weights, for which each draw's member is written out
MAX_ADDITIONAL = 32  # records beside an answer; a hundred mail hosts would only be cut off again


@dataclass(frozen=True, slots=True)
class Body:
    """Whole sections: answer, authority and needed additional records, then those that may be left out."""

    an: int = 0
    ns: int = 0
    ar: int = 0
    more: int = 0
    packed: bytes = b""
    optional: bytes = b""


@lru_cache(maxsize=1 << 14)  # the same few records, in other company, are what a verdict changes
def record(owner: bytes, rtype: int, ttl: int, rdata: bytes) -> bytes:
    """One resource record of class IN as dnslib packs it; `owner` is a wire name, or QNAME."""
    buffer = DNSBuffer()
    if owner == QNAME:
        buffer.names[_ASKED.label] = wire.HEADER
    label = _ASKED if owner == QNAME else DNSLabel(tuple(labels(owner)))
    RR(label, rtype, CLASS.IN, ttl, RD(rdata)).pack(buffer)
    return bytes(buffer.data)


def rrset(owner: bytes, rrs: RRset) -> bytes:
    return b"".join(record(owner, rrs.rtype, rrs.ttl, rdata) for rdata in rrs.rdata)


def soa(zone: Zone, serial: int, ttl: int) -> bytes:
    """The zone's SOA as an authority record, its owner written out: it serves below the apex too."""
    return record(zone.apex, wire.SOA, ttl, soa_rdata(zone, serial))


def soa_rdata(zone: Zone, serial: int) -> bytes:
    s = zone.soa
    numbers = (serial, s.refresh, s.retry, s.expire, s.minimum)
    return s.mname + s.rname + b"".join(n.to_bytes(4) for n in numbers)


def referral(tree: Tree, cut: bytes) -> Body:
    """The NS RRset of a cut with its glue (RFC 9471: all or TC), and siblings' addresses where they fit."""
    node = tree.nodes[cut]
    ns = node.rrsets[wire.NS]
    needed: list[bytes] = []
    optional: list[bytes] = []
    for target in ns.rdata:
        name = target.lower()
        inside = is_below(name, cut)
        for addresses in tree.glue(node, name) if inside else tree.addresses(name):
            for rdata in addresses.rdata:
                packed = record(target, addresses.rtype, addresses.ttl, rdata)
                (needed if inside else optional).append(packed)
    optional = optional[:MAX_ADDITIONAL]
    packed = b"".join((rrset(cut, ns), *needed))
    return Body(0, len(ns.rdata), len(needed), len(optional), packed, b"".join(optional))


def positive(tree: Tree, rrs: RRset, owner: bytes = QNAME) -> Body:
    """An RRset as the answer, with the addresses of the hosts it names beside it (never steered ones)."""
    optional = [
        record(shown, addresses.rtype, addresses.ttl, rdata)
        for host, shown in _hosts(rrs, owner).items()
        for addresses in tree.addresses(host)
        for rdata in addresses.rdata
    ][:MAX_ADDITIONAL]
    return Body(len(rrs.rdata), 0, 0, len(optional), rrset(owner, rrs), b"".join(optional))


def _hosts(rrs: RRset, owner: bytes) -> dict[bytes, bytes]:
    """The hosts in rdata whose addresses are worth sending along (RFC 1035 §3.3.9, 2782, 9460).

    In lower case, each with how its records' owner is written: as the host is, or as `owner` where an SVCB or
    HTTPS record means its own (RFC 9460 §2.5.2), which a wildcard's is not.
    """
    skip = {wire.NS: 0, wire.MX: 2, wire.SRV: 6, wire.SVCB: 2, wire.HTTPS: 2}.get(rrs.rtype)
    if skip is None:
        return {}
    found: dict[bytes, bytes] = {}
    for rdata in rrs.rdata:
        end = wire.name_end(rdata, skip)
        host = rdata[skip:end]
        if host == b"\0" and rrs.rtype in (wire.SVCB, wire.HTTPS):
            found.setdefault(rrs.owner, owner)
        elif end > 0:
            found.setdefault(host.lower(), host)
    return found


@dataclass(frozen=True, slots=True)
class SheetSpec:
    """What a sheet is made for: names that share all of this share the sheet."""

    pool: str
    policy: str
    pick: Pick
    answers: int | None
    ttl: int
    ttl_min: int
    rtype: int
    owner: bytes
    empty: bytes
    empty_ttl: int


def answer_set(spec: SheetSpec, odds: Odds, slot: int) -> AnswerSet:
    """The records of every possible answer that the odds allow, ready to be sliced."""
    records = [record(spec.owner, spec.rtype, spec.ttl, _rdata(m, spec.rtype)) for m in odds.members]
    at = array("I", [0])
    for packed in records * 2:
        at.append(at[-1] + len(packed))
    weights = array("I")
    for member in odds.members:
        weights.append((weights[-1] if weights else 0) + member.weight)
    members = len(records)
    return AnswerSet(
        pick=_pick(spec.pick, members),
        count=min(members, spec.answers or members),
        members=members,
        rrs=b"".join(records * 2),
        at=at,
        weights=weights,
        order=_order(spec.pick, odds, spec.answers or members) if members > 1 else array("H"),
        ttl=spec.ttl,
        ttl_min=min(spec.ttl, spec.ttl_min),
        ttl_at=len(spec.owner) + 4,
        change_at=odds.change_at,
        slot=slot,
        state=_STATES.get(odds.stage, 0),
    )


def _pick(pick: Pick, members: int) -> int:
    if members < 2:
        return FIXED
    return {Pick.WEIGHTED: WEIGHTED, Pick.ROUND_ROBIN: TURNS, Pick.STICKY: STICKY}[pick]


def _order(pick: Pick, odds: Odds, count: int) -> array[int]:
    members = odds.members
    match pick:
        case Pick.ROUND_ROBIN:
            return turns(tuple(m.weight for m in members))
        case Pick.STICKY:
            named = tuple((m.region, sticky_name(m), m.weight) for m in members)
            return split_slots(odds.split, named) if odds.split else slots(tuple(m[1:] for m in named))
        case _:
            one_draw = count == 1 or count >= len(members)
            if not one_draw or sum(m.weight for m in members) > MAX_DRAWS:
                return array("H")
            return array("H", (i for i, m in enumerate(members) for _ in range(m.weight)))


def sticky_name(member: Member) -> str:
    """What a member's slots are found by."""
    return f"{member.region}/{member.name}"


def _rdata(member: Member, rtype: int) -> bytes:
    return member.value if isinstance(member.value, bytes) else _packed(member.value)


@lru_cache(maxsize=1 << 14)
def _packed(address: str) -> bytes:
    return ip_address(address).packed
