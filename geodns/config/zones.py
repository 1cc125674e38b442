"""A zone put together: SOA and nameservers derived, the digest of its content."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from ipaddress import ip_address
from typing import Any

from geodns.config.findings import Findings
from geodns.config.records import Records
from geodns.config.sheets import Sheet
from geodns.core import names
from geodns.core.compile.rdata import AAAA, NS, A
from geodns.core.compile.rdata import name as rdata_name
from geodns.model import Policy, Pool, RRset, Soa, Steer, Zone

NEGATIVE_TTL = 60


def add_nameservers(sheet: Sheet, records: Records, findings: Findings) -> None:
    """The NS RRset at the apex, and the addresses of nameservers inside the zone, from `nameservers`."""
    head, apex, document = sheet.head, sheet.apex, sheet.document
    assert head is not None
    assert apex is not None
    stands = records.rrsets.get((apex, NS))
    if not head.nameservers:
        if stands is None:
            hint = "write `nameservers: {ns1: 192.0.2.53}`, or NS at '@'"
            findings.error(
                "no-nameserver", "the zone has no nameserver", document.key_position(("zone",)), hint
            )
        return
    at = document.key_position(("nameservers",))
    if stands is not None:
        message = f"NS at '@' and `nameservers` both say who serves the zone (`nameservers` at {at})"
        findings.error("two-nameservers", message, stands.position, "keep one of them")
        return
    targets: dict[bytes, bytes] = {}
    for text, addresses in head.nameservers.items():
        where = document.key_position(("nameservers", text))
        try:
            target = rdata_name(text, apex)
        except ValueError as error:
            findings.error("bad-name", str(error), where)
            continue
        owner = names.fold(target)
        if targets.setdefault(owner, target) is not target:
            findings.warning("duplicate-value", f"'{text}' is listed twice", where, "once is enough")
        if addresses and not names.is_below(owner, apex):
            message = f"'{text}' is outside the zone, which cannot give it addresses"
            findings.error("foreign-address", message, where, "leave its list empty")
            continue
        for rtype, version in ((A, 4), (AAAA, 6)):
            rdata = [
                ip_address(a).packed for a in dict.fromkeys(addresses) if ip_address(a).version == version
            ]
            if rdata:
                records.add(RRset(owner, rtype, head.ttl, tuple(rdata), where), findings)
    if targets:
        records.add(RRset(apex, NS, head.ttl, tuple(targets.values()), at), findings)


def derive_soa(sheet: Sheet, records: Records, findings: Findings) -> Soa:
    """The SOA with what the file leaves out: the first nameserver, hostmaster, short negative TTLs."""
    head, apex = sheet.head, sheet.apex
    assert head is not None
    assert apex is not None
    form = head.soa
    short = min(head.ttl, NEGATIVE_TTL)
    stands = records.rrsets.get((apex, NS))
    mname = stands.rdata[0] if stands else names.ROOT
    rname = b"\x0ahostmaster" + apex if len(apex) + 11 <= names.MAX_NAME else apex
    if form.mname is not None:
        mname = _soa_name(form.mname, apex, ("soa", "mname"), sheet, findings) or mname
    if form.rname is not None:
        user, at_sign, host = form.rname.partition("@")
        text = user.replace(".", "\\.") + f".{host.rstrip('.')}." if at_sign and user else form.rname
        rname = _soa_name(text, apex, ("soa", "rname"), sheet, findings) or rname
    minimum = short if form.minimum is None else form.minimum
    return Soa(
        mname=mname,
        rname=rname,
        serial=form.serial,
        refresh=form.refresh,
        retry=form.retry,
        expire=form.expire,
        minimum=minimum,
        ttl=short if form.ttl is None else form.ttl,
    )


def _soa_name(text: str, apex: bytes, loc: tuple[str, ...], sheet: Sheet, findings: Findings) -> bytes | None:
    try:
        return rdata_name(text, apex)
    except ValueError as error:
        findings.error("bad-name", str(error), sheet.document.position(loc))
        return None


def assemble(
    sheet: Sheet, records: Records, soa: Soa, pools: Mapping[str, Pool], policies: Mapping[str, Policy]
) -> Zone:
    head, apex = sheet.head, sheet.apex
    assert head is not None
    assert apex is not None
    rrsets, steers = tuple(records.rrsets.values()), tuple(records.steers.values())
    return Zone(
        apex=apex,
        soa=soa,
        rrsets=rrsets,
        steers=steers,
        digest=digest((apex, soa, head.ttl_min, head.client_subnet), rrsets, steers, pools, policies),
        ttl_min=head.ttl_min,
        client_subnet=head.client_subnet,
        position=sheet.document.key_position(("zone",)),
    )


def digest(
    head: tuple[Any, ...],
    rrsets: tuple[RRset, ...],
    steers: tuple[Steer, ...],
    pools: Mapping[str, Pool],
    policies: Mapping[str, Policy],
) -> str:
    """A hash of what the zone answers from: its data, and the pools and policies that it uses.

    The same for the same content in another order or layout; checks are not content, positions neither.
    """
    found = hashlib.blake2b(repr(_plain(head)).encode(), digest_size=16)
    for rrset in sorted(rrsets, key=lambda r: (r.owner, r.rtype)):
        found.update(repr((rrset.owner, rrset.rtype, rrset.ttl, sorted(rrset.rdata))).encode())
    for steer in sorted(steers, key=lambda s: s.owner):
        found.update(
            f"{steer.owner!r} {steer.pool} {steer.policy} {steer.pick} {steer.answers} {steer.ttl}".encode()
        )
    used = [pools[id_] for id_ in sorted({steer.pool for steer in steers}) if id_ in pools]
    found.update(repr(_plain(used)).encode())
    rules = [policies[id_] for id_ in sorted({steer.policy for steer in steers}) if id_ in policies]
    found.update(repr(_plain(rules)).encode())
    return found.hexdigest()


def _plain(value: Any) -> Any:
    """Frozen dataclasses as tuples, without what does not compare and without checks."""
    if is_dataclass(value) and not isinstance(value, type):
        return (
            type(value).__name__,
            *(_plain(getattr(value, f.name)) for f in fields(value) if f.compare and f.name != "check"),
        )
    if isinstance(value, tuple | list):
        return tuple(_plain(item) for item in value)
    return value
