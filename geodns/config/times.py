"""How long things are kept: TTLs that outlive every mistake, an SOA that secondaries would stumble over."""

from __future__ import annotations

from collections.abc import Mapping

from geodns.config.findings import Findings
from geodns.config.records import Records
from geodns.config.sheets import Sheet
from geodns.model import Pool, RRset, Soa, Steer

WEEK = 604800  # beyond which resolvers are told to cap a TTL (RFC 8767 §4)
LONG_NEGATIVE = 10800  # RFC 2308 §5


def judge(sheet: Sheet, records: Records, soa: Soa, pools: Mapping[str, Pool], findings: Findings) -> None:
    assert sheet.head is not None
    hint = "RFC 8767 §4: resolvers should keep nothing longer than 604800 s"
    if sheet.head.ttl > WEEK:
        at = sheet.document.position(("ttl",))
        findings.warning("long-ttl", f"a TTL of {sheet.head.ttl} s is over a week", at, hint)
    held: tuple[RRset | Steer, ...] = (*records.rrsets.values(), *records.steers.values())
    for item in held:
        if item.ttl > WEEK and item.ttl != sheet.head.ttl:
            findings.warning("long-ttl", f"a TTL of {item.ttl} s is over a week", item.position, hint)
    for steer in records.steers.values():
        _judge_shed(steer, pools[steer.pool], findings)
    _judge_soa(sheet, soa, findings)


def _judge_shed(steer: Steer, pool: Pool, findings: Findings) -> None:
    """Load that does not show yet what was shed before would make a region shed more and more."""
    known = any(region.capacity is not None for region in pool.regions)
    if known and pool.shed is not None and pool.shed.settle < 2 * steer.ttl:
        message = (
            f"pool '{pool.id}' may shed anew after {pool.shed.settle:g} s, while caches hold {steer.ttl} s"
        )
        hint = f"lower the ttl, or raise `settle` of `shed` to {2 * steer.ttl}s"
        findings.warning("quick-shed", message, steer.position, hint)


def _judge_soa(sheet: Sheet, soa: Soa, findings: Findings) -> None:
    document = sheet.document
    if soa.minimum > LONG_NEGATIVE:
        at = document.position(("soa", "minimum"))
        message = "a name that is added is unknown to resolvers for over 3 hours"
        findings.warning("long-negative", message, at, "RFC 2308 §5: one to three hours at most")
    if soa.retry >= soa.refresh:
        at = document.position(("soa", "retry"))
        message = f"secondaries try again after {soa.retry} s, no sooner than they refresh ({soa.refresh} s)"
        findings.warning("soa-times", message, at, "RFC 1912 §2.2: make retry a fraction of refresh")
    second = soa.refresh + soa.retry
    if soa.expire <= second:
        at = document.position(("soa", "expire"))
        message = f"secondaries give the zone up after {soa.expire} s, before a second try ({second} s)"
        findings.warning("soa-times", message, at, "RFC 1912 §2.2: two to four weeks are usual")
