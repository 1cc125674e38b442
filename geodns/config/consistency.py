"""What must not stand beside or below what in a zone (RFC 1034 §3.6.2 and §4.2.1, RFC 2181 §10, RFC 6672).

An error where a server that is known for care refuses the zone, a warning where it would load and mislead.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Container, Mapping

from geodns.config.findings import Findings
from geodns.config.records import Records
from geodns.core import names
from geodns.core.compile.rdata import AAAA, CNAME, DNAME, DS, MX, NS, A, type_name
from geodns.errors import Position
from geodns.model import Pool, RRset

_ADDRESSES = frozenset({A, AAAA})
_HOSTS = frozenset({A, AAAA, MX})
_HOST_LABEL = re.compile(rb"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?").fullmatch
_WILDCARD = b"\x01*"
_FIXED = 12  # octets of a record beside its rdata, its owner a pointer
_ROOM = 0xFFFF - 512  # octets for an RRset, beside header, question and OPT record


def judge(
    apex: bytes,
    records: Records,
    pools: Mapping[str, Pool],
    apexes: Container[bytes],
    findings: Findings,
) -> None:
    """Everything that one zone shows by itself; `apexes` are those of all zones that are served."""
    _judge_sizes(records, findings)
    _judge_aliases(apex, records, findings)
    _judge_steers(apex, records, pools, findings)
    _judge_owners(apex, apexes, records, findings)
    _judge_hosts(apex, records, pools, findings)
    _judge_covers(apex, records, findings)


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


def _judge_owners(apex: bytes, apexes: Container[bytes], records: Records, findings: Findings) -> None:
    """Types that make no sense at their owner."""
    for (owner, rtype), rrset in records.rrsets.items():
        star = owner.startswith(_WILDCARD)
        if rtype == NS and star:
            message = "a wildcard cannot be delegated"
            hint = "RFC 4592 §4.2: delegate each name that there is"
            findings.error("wildcard-ns", message, rrset.position, hint)
        elif rtype == DNAME and star:
            message = "what a DNAME at a wildcard means is not defined"
            hint = "RFC 6672 §3.3: write it at a name of its own"
            findings.warning("wildcard-dname", message, rrset.position, hint)
        elif rtype == DNAME and owner != apex and (owner, NS) in records.rrsets:
            message = "NS and DNAME cannot both stand at a name below the apex"
            findings.error("dname-beside-ns", message, rrset.position, "RFC 6672 §2.3: remove one of them")
        elif rtype == DS and owner == apex:
            message = "a DS belongs into the zone above this one"
            findings.error("ds-at-apex", message, rrset.position, "RFC 4035 §2.4: move it there")
        elif rtype == DS and owner not in apexes and (owner, NS) not in records.rrsets:
            message = "a DS without NS says nothing: nothing is delegated here"
            findings.warning("ds-alone", message, rrset.position, "give the name NS, or remove the DS")


def _judge_hosts(apex: bytes, records: Records, pools: Mapping[str, Pool], findings: Findings) -> None:
    for (owner, rtype), rrset in records.rrsets.items():
        if rtype in _HOSTS:
            _judge_host(owner, apex, rrset.position, findings)
    for owner, steer in records.steers.items():
        if not pools[steer.pool].targets:
            _judge_host(owner, apex, steer.position, findings)


def _judge_host(owner: bytes, apex: bytes, position: Position, findings: Findings) -> None:
    """RFC 1123 §2.1, of the labels below the apex; the first may be a wildcard."""
    at, edge = 2 * owner.startswith(_WILDCARD), len(owner) - len(apex)
    while at < edge:
        end = at + 1 + owner[at]
        if not _HOST_LABEL(owner, at + 1, end):
            label = names.to_text(owner[at:end] + names.ROOT)[:-1]
            message = f"'{label}' is nothing that a host is called, and programs that connect may refuse it"
            findings.warning("odd-host", message, position, "RFC 1123 §2.1: letters, digits, hyphens inside")
            return
        at = end


def _judge_covers(apex: bytes, records: Records, findings: Findings) -> None:
    """Below a delegation only glue has a meaning, below a DNAME nothing; what is steered is never asked."""
    covers = {
        owner: rrset
        for (owner, rtype), rrset in records.rrsets.items()
        if rtype == DNAME or (rtype == NS and owner != apex)
    }
    if not covers:
        return
    for owner, steer in records.steers.items():
        cover = _cover_over(owner, apex, covers)
        if cover is None:
            continue
        if cover.rtype == NS:
            message = f"this name is delegated away at {cover.position} and cannot be steered here"
            findings.error("below-cut", message, steer.position)
        elif cover.owner != owner:
            _below_dname(cover, "a steer", steer.position, findings)
    for (owner, rtype), rrset in records.rrsets.items():
        cover = _cover_over(owner, apex, covers)
        if cover is None or cover is rrset:
            continue
        kind = type_name(rtype)
        if cover.rtype == NS:
            if rtype not in _ADDRESSES and not (cover.owner == owner and rtype in (NS, DS, CNAME, DNAME)):
                message = f"this name is delegated away at {cover.position}: its {kind} is never served"
                hint = "only glue (A, AAAA) belongs below a delegation"
                findings.warning("below-cut", message, rrset.position, hint)
        elif cover.owner != owner:
            _below_dname(cover, kind, rrset.position, findings)


def _below_dname(dname: RRset, kind: str, position: Position, findings: Findings) -> None:
    message = f"below the DNAME at {dname.position} nothing can stand, but here is {kind}"
    findings.error("below-dname", message, position, "RFC 6672 §2.4: remove it, or the DNAME")


def _cover_over(owner: bytes, apex: bytes, covers: Mapping[bytes, RRset]) -> RRset | None:
    """The highest cut or DNAME at or above the owner; where both stand, the cut."""
    found = None
    while True:
        found = covers.get(owner, found)
        if owner == apex:
            return found
        owner = names.parent(owner)
