"""The records of a zone: steered names and static data, each at its owner.

The hot path of a large zone: one pass, positions taken from marks only where they are kept.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from geodns.config.findings import Findings
from geodns.config.policies import Policies
from geodns.config.pools import Pools
from geodns.config.schema.reading import Adapter, read
from geodns.config.schema.zones import RdataForm, RecordForm, SteerForm
from geodns.config.sheets import RECORDS, Sheet
from geodns.config.yaml import Loc, Spot
from geodns.core import names
from geodns.core.compile.rdata import CNAME, DNAME, SOA, canonical, is_data, pack, type_number
from geodns.errors import Position
from geodns.model import Pick, RRset, Steer

# What nearly every owner of a large zone is.
_LABEL = re.compile(r"[a-z0-9_-]{1,63}").fullmatch
_RECORD: Adapter[RecordForm] = Adapter(RecordForm)


@dataclass(slots=True)
class Records:
    """What stands in one zone; RRsets by owner and type, steered names by owner."""

    rrsets: dict[tuple[bytes, int], RRset] = field(default_factory=dict)
    steers: dict[bytes, Steer] = field(default_factory=dict)

    def add(self, rrset: RRset, findings: Findings) -> None:
        first = self.rrsets.setdefault((rrset.owner, rrset.rtype), rrset)
        if first is not rrset:
            message = f"this type already stands at this name, at {first.position}"
            findings.error("duplicate-rrset", message, rrset.position, "merge the values into one list")


class Reader:
    """Reads the records of one sheet that has a zone."""

    def __init__(self, sheet: Sheet, pools: Pools, policies: Policies, findings: Findings) -> None:
        assert sheet.apex is not None
        assert sheet.head is not None
        self.document = sheet.document
        self.apex = sheet.apex
        self.zone = sheet.zone
        self.ttl = sheet.head.ttl
        self.pools = pools
        self.policies = policies
        self.findings = findings
        self.records = Records()
        self.owners: dict[bytes, Any] = {}

    def read(self) -> Records:
        value = self.document.value.get(RECORDS)
        if value is not None and not isinstance(value, dict):
            at = self.document.position((RECORDS,))
            self.findings.error("wrong-type", "'records' is a mapping of names to what stands there", at)
            return self.records
        spots = self.document.spots((RECORDS,))
        for key, item in (value or {}).items():
            mark, spot = spots[key]
            owner = self._owner(key, mark)
            form: RecordForm | None = read(_RECORD, item, self.document, (RECORDS, key), self.findings).value
            if owner is None or form is None:
                continue
            marks = spot.children if isinstance(spot, Spot) else {}
            ttl = self.ttl if form.ttl is None else form.ttl
            if form.steer is not None:
                self._steer(key, owner, form.steer, ttl, self.document.at(marks["steer"][0]))
            for rtype, data in (form.__pydantic_extra__ or {}).items():
                self._rrset(key, owner, rtype, data, ttl, self.document.at(marks[rtype][0]))
        return self.records

    def _owner(self, key: str, mark: Any) -> bytes | None:
        try:
            owner = owner_of(key, self.apex, self.zone)
        except ValueError as error:
            self.findings.error("bad-name", str(error), self.document.at(mark))
            return None
        first = self.owners.setdefault(owner, mark)
        if first is not mark:
            message = f"'{key}' is the same name as in line {first.line + 1}"
            self.findings.error("duplicate-key", message, self.document.at(mark), "merge the two")
            return None
        return owner

    def _steer(self, key: str, owner: bytes, form: SteerForm, ttl: int, at: Position) -> None:
        loc: Loc = (RECORDS, key, "steer")
        entry = self.pools.table.find(form.pool, self.zone)
        if entry is None:
            where = self.document.position((*loc, "pool"))
            self.pools.table.look_up(form.pool, self.zone, where, self.findings)
        policy_id = None
        if form.policy is not None:
            where = self.document.position((*loc, "policy"))
            policy_id = self.policies.look_up(form.policy, self.zone, where)
        pool = self.pools.built.get(entry.id) if entry else None
        if entry is None or pool is None or (form.policy is not None and policy_id is None):
            return
        answers = pool.answers if form.answers == 0 else form.answers
        if pool.targets and answers != 1 and form.answers != 0:
            where = self.document.position((*loc, "answers"))
            message = f"pool '{pool.id}' holds targets, and a name has only one CNAME"
            self.findings.error("many-cnames", message, where, "remove `answers`")
        policy = self.policies.built.get(policy_id or pool.policy)
        if policy is not None and entry.whole:
            self.policies.judge(policy, pool, at if policy_id else pool.position)
        self.records.steers[owner] = Steer(
            owner=owner,
            pool=pool.id,
            policy=policy_id or pool.policy,
            pick=pool.pick if form.pick is None else Pick(form.pick),
            answers=answers,
            ttl=ttl if form.ttl is None else form.ttl,
            position=at,
        )

    def _rrset(self, key: str, owner: bytes, rtype: str, form: RdataForm, ttl: int, at: Position) -> None:
        try:
            number = type_number(rtype)
        except ValueError:
            message = f"'{rtype}' is neither `steer`, `ttl` nor a record type"
            self.findings.error("unknown-type", message, at, "a type without a name is written TYPE65280")
            return
        if number == SOA:
            self.findings.error("soa-record", "the SOA is given by `soa:` of the zone", at)
            return
        if not is_data(number):
            self.findings.error("meta-type", f"{rtype.upper()} is no type for data in a zone", at)
            return
        values: dict[bytes, bytes] = {}
        many = len(form.values) > 1
        for place, text in enumerate(form.values):
            loc: Loc = (RECORDS, key, rtype, "values", place)
            try:
                rdata = pack(rtype, text, self.apex)
            except ValueError as error:
                self.findings.error("bad-rdata", str(error), self.document.position(loc))
                continue
            if values.setdefault(canonical(number, rdata) if many else rdata, rdata) is not rdata:
                where = self.document.position(loc)
                self.findings.warning("duplicate-value", f"'{text}' is listed twice", where, "once is enough")
        if number in (CNAME, DNAME) and len(values) > 1:
            self.findings.error("many-cnames", f"a name has only one {rtype.upper()}", at)
        if values:
            own = ttl if form.ttl is None else form.ttl
            self.records.add(RRset(owner, number, own, tuple(values.values()), at), self.findings)


def owner_of(key: str, apex: bytes, zone: str) -> bytes:
    """The owner that a record key means. ValueError says what is wrong with it."""
    if key == "@":
        return apex
    if key.endswith(".") and not key.endswith("\\."):
        raise ValueError(f"'{key}' ends in a dot, but record names are relative to {zone}")
    lower = key.lower()
    if _LABEL(lower) and len(lower) + 1 + len(apex) <= names.MAX_NAME and lower != zone:
        return bytes((len(lower),)) + lower.encode() + apex
    if lower == zone:
        raise ValueError(f"'{key}' is the zone's own name; write '@'")
    if zone != "." and lower.endswith(f".{zone}"):
        raise ValueError(f"'{key}' ends in the zone's own name; write '{key[: -len(zone) - 1]}'")
    return names.fold(names.from_text(key, apex))
