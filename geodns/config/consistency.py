"""What must not stand beside what in a zone (RFC 1034 §3.6.2, RFC 2181 §10, RFC 1034 §4.2.1)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from geodns.config.findings import Findings
from geodns.config.records import Records
from geodns.core import names
from geodns.core.compile.rdata import AAAA, CNAME, DS, MX, NS, A, type_name
from geodns.model import Pool, RRset, Steer

_ADDRESSES = frozenset({A, AAAA})
_WILDCARD = b"\x01*"
_FIXED = 12  # octets of a record beside its rdata, its owner a pointer
_ROOM = 0xFFFF - 512  # octets for an RRset, beside header, question and OPT record


def judge(apex: bytes, records: Records, pools: Mapping[str, Pool], findings: Findings) -> None:
    """Everything that one zone shows by itself."""
    _judge_sizes(records, findings)
    _judge_aliases(apex, records, findings)
    _judge_steers(apex, records, pools, findings)
    cuts = _cuts(apex, records)
    if cuts:
        _judge_cuts(apex, cuts, records, findings)
    _judge_glue(apex, records, findings)


def judge_targets(zones: Mapping[bytes, Records], findings: Findings) -> None:
    """NS and MX may not point to a steered name of any zone here: their addresses would not be found."""
    steered = {owner: steer for records in zones.values() for owner, steer in records.steers.items()}
    if not steered:
        return
    owners = steered.keys() | {owner for records in zones.values() for owner, _ in records.rrsets}
    for records in zones.values():
        for (_, rtype), rrset in records.rrsets.items():
            if rtype in (NS, MX):
                _judge_target(rrset, steered, owners, findings)


def _judge_target(
    rrset: RRset, steered: Mapping[bytes, Steer], owners: set[bytes], findings: Findings
) -> None:
    for rdata in rrset.rdata:
        target = names.fold(rdata[2:] if rrset.rtype == MX else rdata)
        found = _steered(target, steered, owners)
        if found is not None:
            kind = type_name(rrset.rtype)
            message = f"{kind} points to {names.to_text(target)}, which is steered at {found.position}"
            hint = "point it to a name with static addresses"
            findings.error("steered-target", message, rrset.position, hint)


def _steered(target: bytes, steered: Mapping[bytes, Steer], owners: set[bytes]) -> Steer | None:
    """The steer that answers for `target`, its wildcard included."""
    if target in owners:
        return steered.get(target)
    for above in names.ancestors(target)[1:]:
        if _WILDCARD + above in owners:
            return steered.get(_WILDCARD + above)
        if above in owners:
            return None
    return None


def _judge_sizes(records: Records, findings: Findings) -> None:
    """No message holds more than 65,535 octets, so no answer could hold such an RRset."""
    for (_, rtype), rrset in records.rrsets.items():
        if sum(map(len, rrset.rdata)) + _FIXED * len(rrset.rdata) > _ROOM:
            message = f"{len(rrset.rdata)} values of {type_name(rtype)} do not fit a DNS message"
            findings.error("too-large", message, rrset.position, "remove some of them")


def _judge_aliases(apex: bytes, records: Records, findings: Findings) -> None:
    aliases = [rrset for (_, rtype), rrset in records.rrsets.items() if rtype == CNAME]
    if not aliases:
        return
    types = _types(records)
    for rrset in aliases:
        if rrset.owner == apex:
            hint = "steer '@' to a pool of addresses, or give it A and AAAA"
            findings.error(
                "cname-at-apex", "a CNAME cannot stand at the apex, beside SOA and NS", rrset.position, hint
            )
            continue
        beside = [type_name(rtype) for rtype in types[rrset.owner] if rtype != CNAME]
        if rrset.owner in records.steers:
            beside.append("a steer")
        if beside:
            message = f"a CNAME stands alone, but here beside {', '.join(beside)}"
            findings.error("cname-beside", message, rrset.position)


def _judge_steers(apex: bytes, records: Records, pools: Mapping[str, Pool], findings: Findings) -> None:
    types = _types(records) if records.rrsets else {}
    for owner, steer in records.steers.items():
        beside = types.get(owner, ())
        targets = pools[steer.pool].targets
        if targets and owner == apex:
            message = f"pool '{steer.pool}' holds targets, and a CNAME cannot stand at the apex"
            findings.error("cname-at-apex", message, steer.position, "steer it to a pool of addresses")
        elif targets and beside:
            told = ", ".join(type_name(rtype) for rtype in beside)
            message = f"steered to targets the name is a CNAME and stands alone, but here beside {told}"
            findings.error("cname-beside", message, steer.position)
        elif not targets and _ADDRESSES & set(beside):
            message = "a name steered to addresses answers A and AAAA itself"
            findings.error("address-beside", message, steer.position, "remove the static addresses")


def _types(records: Records) -> Mapping[bytes, list[int]]:
    types: dict[bytes, list[int]] = defaultdict(list)
    for owner, rtype in records.rrsets:
        types[owner].append(rtype)
    return types


def _cuts(apex: bytes, records: Records) -> dict[bytes, RRset]:
    return {owner: rrset for (owner, rtype), rrset in records.rrsets.items() if rtype == NS and owner != apex}


def _judge_cuts(apex: bytes, cuts: Mapping[bytes, RRset], records: Records, findings: Findings) -> None:
    """Below a delegation only glue has a meaning; what is steered there would never be asked."""
    for owner, steer in records.steers.items():
        cut = _cut_over(owner, apex, cuts)
        if cut is not None:
            message = f"this name is delegated away at {cuts[cut].position} and cannot be steered here"
            findings.error("below-cut", message, steer.position)
    for (owner, rtype), rrset in records.rrsets.items():
        cut = _cut_over(owner, apex, cuts)
        allowed = rtype in _ADDRESSES or (cut == owner and rtype in (NS, DS, CNAME))
        if cut is not None and not allowed:
            kind = type_name(rtype)
            message = f"this name is delegated away at {cuts[cut].position}: its {kind} is never served"
            findings.warning(
                "below-cut", message, rrset.position, "only glue (A, AAAA) belongs below a delegation"
            )


def _cut_over(owner: bytes, apex: bytes, cuts: Mapping[bytes, RRset]) -> bytes | None:
    """The highest cut at or above the owner."""
    found = None
    while owner != apex:
        if owner in cuts:
            found = owner
        owner = names.parent(owner)
    return found


def _judge_glue(apex: bytes, records: Records, findings: Findings) -> None:
    for (owner, rtype), rrset in records.rrsets.items():
        if rtype != NS:
            continue
        for target in map(names.fold, rrset.rdata):
            if not names.is_below(target, owner if owner != apex else apex):
                continue
            if not any((target, kind) in records.rrsets for kind in _ADDRESSES):
                message = f"the nameserver {names.to_text(target)} has no address here"
                findings.warning("missing-address", message, rrset.position, "give it an A or AAAA record")
