"""What a transfer of a zone holds (RFC 5936 §3): all static data, and one fixed answer for each steered name.

A secondary cannot steer. It is given what a client of unknown place gets while everything is up: the
addresses that the first step of that client's order allows, all of them, or the first target. That depends
on the files alone, as the serial does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address

from geodns.core import wire
from geodns.core.compile.bodies import soa_rdata
from geodns.core.place import EMPTY
from geodns.core.steer.conditions import AllUp
from geodns.core.steer.odds import decide
from geodns.core.steer.orders import Order, Plan
from geodns.model import Model, Steer, Zone

CHUNK = 16_384  # octets of records in a message, unless one record is longer
MAX_CONTENT = 256 << 20  # octets: a zone that is longer, by its steered names' addresses, is not transferred


@dataclass(frozen=True, slots=True)
class Content:
    """A zone as transferred. `soa` is its SOA record; `chunks` are the messages' answer sections.

    A chunk is (count of records, the records uncompressed). The SOA opens the first one, never alone there
    (RFC 1995 §4), and closes the last one.
    """

    apex: bytes
    serial: int
    soa: bytes
    chunks: tuple[tuple[int, bytes], ...]


def content(zone: Zone, model: Model, serial: int) -> Content | None:
    """The zone's content under a serial; None where it is longer than MAX_CONTENT."""
    soa = wire.record(zone.apex, wire.SOA, zone.soa.ttl, soa_rdata(zone, serial))
    cutter = _Cutter()
    for record in _records(zone, model, soa):
        if not cutter.add(record):
            return None
    return Content(zone.apex, serial, soa, cutter.close())


@dataclass(slots=True)
class _Cutter:
    """Puts records into chunks, as many into each as fit."""

    chunks: list[tuple[int, bytes]] = field(default_factory=list)
    total: int = 0
    size: int = 0
    waiting: list[bytes] = field(default_factory=list)

    def add(self, record: bytes) -> bool:
        """Whether the record still fits into the whole."""
        if self.waiting and self.size + len(record) > CHUNK:
            self.close()
        self.waiting.append(record)
        self.size += len(record)
        self.total += len(record)
        return self.total <= MAX_CONTENT

    def close(self) -> tuple[tuple[int, bytes], ...]:
        self.chunks.append((len(self.waiting), b"".join(self.waiting)))
        self.waiting, self.size = [], 0
        return tuple(self.chunks)


def _records(zone: Zone, model: Model, soa: bytes) -> Iterator[bytes]:
    """The SOA, the apex's NS, which are short, all else, and the SOA again."""
    yield soa
    for rrs in sorted(zone.rrsets, key=lambda r: (r.owner, r.rtype) != (zone.apex, wire.NS)):
        for rdata in rrs.rdata:
            yield wire.record(rrs.owner, rrs.rtype, rrs.ttl, rdata)
    answers: dict[tuple[str, str], list[tuple[int, bytes]]] = {}
    for steer in zone.steers:
        key = (steer.pool, steer.policy)
        if key not in answers:
            answers[key] = list(_answers(steer, model))
        for rtype, rdata in answers[key]:
            yield wire.record(steer.owner, rtype, steer.ttl, rdata)
    yield soa


def _answers(steer: Steer, model: Model) -> Iterator[tuple[int, bytes]]:
    """Type and rdata of the records that stand for a steered name."""
    pool = model.pools[steer.pool]
    regions = tuple(model.regions[r.region] for r in pool.regions)
    order: Order = Plan(model.policies[steer.policy], regions).order(EMPTY).order
    if pool.targets:
        for member in decide(pool, order, AllUp(), 0).members[:1]:
            yield wire.CNAME, bytes(member.value) if isinstance(member.value, bytes) else b""
        return
    for rtype, family in ((wire.A, 4), (wire.AAAA, 6)):
        members = decide(pool, order, AllUp(), family).members
        for rdata in dict.fromkeys(ip_address(str(m.value)).packed for m in members):
            yield rtype, rdata
