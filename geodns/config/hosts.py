"""Names that records point to: in every zone of the folder they must lead to addresses that can be told.

NS, MX and SRV name hosts (RFC 2181 §10.3, RFC 2782): no CNAME, nothing below a DNAME, not an address
written as a name. NS and MX besides cannot be steered: beside them addresses are sent along, and a steered
name has none of its own. What lies outside the zones is not looked up.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from geodns.config.findings import Findings
from geodns.config.records import Records
from geodns.core import names
from geodns.core.compile.rdata import AAAA, CNAME, DNAME, MX, NS, SRV, A, type_name
from geodns.errors import Position
from geodns.model import RRset, Steer

_SKIP = {NS: 0, MX: 2, SRV: 6}  # octets of the rdata before the name
_ADDRESS = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}\.", re.ASCII).fullmatch
_WILDCARD = b"\x01*"


@dataclass(frozen=True, slots=True)
class _Alias:
    """A target that is a CNAME, or redirected by a DNAME above it."""

    rrset: RRset


@dataclass(frozen=True, slots=True)
class _Delegated:
    """A target at or below a cut, and whether the zone holds glue for it."""

    cut: bytes
    glue: bool


@dataclass(frozen=True, slots=True)
class _Here:
    """A target that a zone here answers for; `addresses`: with a static A or AAAA."""

    addresses: bool


_Found = Steer | _Alias | _Delegated | _Here | None


class Hosts:
    """The zones of one folder, asked where a name leads."""

    def __init__(self, zones: Mapping[bytes, Records]) -> None:
        self._zones = zones
        self._names: dict[bytes, set[bytes]] = {}

    def judge(self, findings: Findings) -> None:
        for apex, records in self._zones.items():
            for (owner, rtype), rrset in records.rrsets.items():
                if rtype in _SKIP:
                    for target in {names.fold(rdata[_SKIP[rtype] :]): None for rdata in rrset.rdata}:
                        if target == names.ROOT:  # "no such service" (RFC 2782, RFC 7505)
                            continue
                        serves = rtype == NS and owner == apex == self._apex_over(target)
                        _judge(rrset, target, self._find(target), findings, serves=serves)

    def judge_mname(self, mname: bytes, position: Position, findings: Findings) -> None:
        """Secondaries and updates look for the primary by this name."""
        if self._find(names.fold(mname)) == _Here(addresses=False):
            message = f"the primary {names.to_text(mname)} has no address here"
            findings.warning("missing-address", message, position, "give it an A or AAAA record")

    def _find(self, target: bytes) -> _Found:
        """What answers for a folded name; None where no zone here does."""
        apex = self._apex_over(target)
        if apex is None:
            return None
        above, records = names.ancestors(target), self._zones[apex]
        for name in reversed(above[: above.index(apex) + 1]):
            if name != apex and (name, NS) in records.rrsets:
                return _Delegated(name, _addresses(target, records))
            if name != target and (name, DNAME) in records.rrsets:
                return _Alias(records.rrsets[name, DNAME])
        found = _at(target, records)
        if found == _Here(addresses=False) and target not in self._existing(apex):
            encloser = next(name for name in above if name in self._existing(apex))
            found = _at(_WILDCARD + encloser, records)
        return found

    def _apex_over(self, target: bytes) -> bytes | None:
        """The zone that answers for a folded name, None where none here does."""
        return next((name for name in names.ancestors(target) if name in self._zones), None)

    def _existing(self, apex: bytes) -> set[bytes]:
        """Every name of a zone, empty non-terminals included (RFC 4592 §2.2.2)."""
        if apex not in self._names:
            records = self._zones[apex]
            found = {apex}
            for owner in (*records.steers, *(owner for owner, _ in records.rrsets)):
                name = owner
                while name not in found:
                    found.add(name)
                    name = names.parent(name)
            self._names[apex] = found
        return self._names[apex]


def _at(name: bytes, records: Records) -> Steer | _Alias | _Here:
    if name in records.steers:
        return records.steers[name]
    alias = records.rrsets.get((name, CNAME))
    return _Alias(alias) if alias else _Here(_addresses(name, records))


def _addresses(name: bytes, records: Records) -> bool:
    return (name, A) in records.rrsets or (name, AAAA) in records.rrsets


def _judge(rrset: RRset, target: bytes, found: _Found, findings: Findings, *, serves: bool) -> None:
    """`serves`: the target is a nameserver of the zone that its own name lies in, which others then refuse to
    load.
    """
    text, kind = names.to_text(target), type_name(rrset.rtype)
    tell = findings.error if serves else findings.warning
    if _ADDRESS(text):
        message = f"{kind} names a host, but {text} looks like an address"
        findings.warning("address-as-name", message, rrset.position, "name a host that has that address")
        return
    match found:
        case Steer() if rrset.rtype != SRV:
            message = f"{kind} points to {text}, which is steered at {found.position}"
            hint = "point it to a name with static addresses"
            findings.error("steered-target", message, rrset.position, hint)
        case _Alias(alias):
            what = "is a CNAME" if alias.rtype == CNAME else "lies below a DNAME"
            message = f"{kind} points to {text}, which {what} at {alias.position}"
            tell("alias-target", message, rrset.position, "point it to a name with addresses")
        case _Here(addresses=False):
            who = f"the nameserver {text}" if rrset.rtype == NS else f"{text}, to which {kind} points,"
            message = f"{who} has no address here"
            tell("missing-address", message, rrset.position, "give it an A or AAAA record")
        case _Delegated(cut, glue=False) if rrset.rtype == NS:
            what = "what it serves" if cut == rrset.owner else f"{names.to_text(cut)}, delegated too,"
            message = f"the nameserver {text} lies inside {what} and has no address here"
            findings.warning("missing-glue", message, rrset.position, "give it an A or AAAA record, as glue")
