"""What the admin API may ask and do: the server's `admin.control.Control`."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import asdict, replace
from importlib.metadata import version
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TYPE_CHECKING

import structlog

from geodns.admin.control import Applied, Readiness
from geodns.admin.feed import Feed
from geodns.core import names
from geodns.core.audit import OVERRULE, REFUSE, Entry, Page, Proof, Wanted, of_batch, text
from geodns.core.compile.rdata import type_number
from geodns.core.compile.sheets import Sheets
from geodns.core.edns import Subnet, source, unwrap
from geodns.core.explain import Client, explain
from geodns.core.failover import Failover
from geodns.core.guard import Refused, guard
from geodns.core.health import Health, Probe, Track
from geodns.core.heartbeats import Heartbeat
from geodns.core.loads import Load
from geodns.core.overrides import pauses
from geodns.core.replay import Replay
from geodns.core.reports import expired, report
from geodns.core.returns import FAILBACK, course
from geodns.core.rules import Broken
from geodns.core.steer.odds import failing_open
from geodns.core.verbs import Asked, at_their_end, overruled, planned, said
from geodns.core.world import Batch, World, apply
from geodns.errors import DiskError, GeodnsError
from geodns.geo.locate import Geography
from geodns.observe.metrics import exposition
from geodns.predicting import Predictor
from geodns.samples import Totals, samples
from geodns.store.state import MAX_OVERRIDES, MAX_PLANS

if TYPE_CHECKING:
    from geodns.app import Server

MAX_FAILOVERS = 1000
OR_VOLATILE = 'or let it hold in memory until the disk takes it (--volatile, "volatile": true)'

log = structlog.get_logger("geodns")


class Operations:
    """Reads from and changes a running server; every change is persisted before it is in the answers."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._totals = Totals()
        self.predictor = Predictor(server)

    def world(self) -> World:
        return self._server.world

    def ready(self) -> Readiness:
        return self._server.readiness

    def tracks(self) -> Mapping[Probe, Track]:
        return self._server.monitor.snapshot()

    def explain(self, name: str, rtype: str, client: str) -> Mapping[str, object]:
        """Raises GeodnsError for a name, a type or a client that is none."""
        server = self._server
        return explained(server.replay, server.sheets, server.geography, (name, rtype, client))

    async def change(self, asked: Asked) -> Applied:
        applied = await self._change(asked)
        if not asked.dry_run:
            return applied
        before = applied.before
        after, _ = apply(before, at_their_end(applied.batch))
        return replace(applied, prediction=await self.predictor.predict(before, after))

    async def _change(self, asked: Asked) -> Applied:
        server = self._server
        async with server.changing:
            before, now = server.world, time.time()
            batch = planned(before, asked, now)
            after, touched = apply(before, batch)
            try:
                broken = overruled(asked, guard(before, apply(before, at_their_end(batch))[0]))
            except Refused as refused:
                if not asked.dry_run:
                    server.journal.note(*_judged(asked, REFUSE, refused.broken, now))
                raise
            entries = _judged(asked, OVERRULE, broken, now)
            volatile = False
            if batch.changes and not asked.dry_run:
                entries += of_batch(before, batch, now, asked.actor, asked.reason)
                bounded = sum(o.actor != FAILBACK for o in after.overrides.values()) <= MAX_OVERRIDES
                bounded = bounded and len(after.plans) <= MAX_PLANS
                volatile = not await self._take(batch, entries, volatile=asked.volatile and bounded)
                for change in asked.changes:
                    log.info(said(change), reason=asked.reason, actor=asked.actor, until=change.until)
                after, now = server.world, time.time()
            ttls = [spec.ttl for spec in server.sheets.specs if spec.pool in touched]
            rules = tuple(b.rule for b in broken)
            return Applied(before, batch, after, now, now + max(ttls, default=0), rules, volatile)

    def report(self, load: Load) -> None:
        self._server.apply(report(self._server.world, load))

    def end_reports(self) -> None:
        """Forget the loads whose time is over."""
        over = expired(self._server.world, time.time())
        if over is not None:
            self._server.apply(over)

    async def _take(self, batch: Batch, entries: list[Entry], *, volatile: bool = False) -> bool:
        """Onto the disk with the audit's entries, then into the answers; whether it is on the disk."""
        try:
            written = await self._server.journal.change(batch, entries, volatile=volatile)
        except DiskError as error:
            if volatile:
                raise
            raise DiskError(f"{error}; {OR_VOLATILE}", full=error.full) from error
        self._server.apply(batch)
        if written:
            self._server.journal.feed.tell(entries)
        return written

    def volatile(self) -> Collection[tuple[str, str]]:
        return self._server.journal.unwritten.keys()

    def signed(self, key: str, signature: str, body: bytes) -> bool:
        return self._server.heartbeats.signed(key, signature, body)

    def heartbeat(self, key: str, beat: Heartbeat, now: float) -> Health:
        return self._server.heartbeats.take(self._server.world, key, beat, now)

    async def audit(self, wanted: Wanted, limit: int) -> Page:
        return await self._server.journal.read(wanted, limit)

    async def verify(self, known: tuple[int, bytes] | None) -> Proof:
        return await self._server.journal.verify(known)

    def status(self) -> Mapping[str, object]:
        server = self._server
        return {
            "version": version("geodns"),
            **server.lane.told(),
            "started": server.started,
            "ready": asdict(server.readiness),
            "zones": [asdict(zone) for zone in server.reading.zones],
            "loaded_at": server.loaded_at,
            "problem": server.problem or None,
            "warnings": [str(problem) for problem in server.reading.warnings],
            "synthetic": server.geography.synthetic,
            "database_problem": server.database_problem or None,
            "databases": [asdict(d) for d in server.geography.describe(time.time())],
            "paused": [asdict(o) for o in server.world.overrides.values() if pauses(o)],
            "overrides": [asdict(o) | course(server.world, o) for o in server.world.overrides.values()],
            "planned": [asdict(plan) | {"id": plan.id} for plan in server.world.plans.values()],
            "unwritten": _unwritten(server),
            "alarms": server.alarms.counts(),
            "failing_open": [
                id_ for id_, pool in server.world.pools.items() if failing_open(pool, server.world)
            ],
            "failover": _failover(server.reading.failovers, server.settings.failover_budget),
            "probes": asdict(server.monitor.stats) | {"waiting": server.monitor.waiting},
            "heartbeats": dict(server.heartbeats.results),
            "prober_suspected": server.monitor.suspected,
        }

    def feed(self) -> Feed:
        return self._server.journal.feed

    def alarms(self) -> Mapping[str, object]:
        return self._server.alarms.told()

    async def test_alarms(self) -> list[dict[str, object]]:
        return await self._server.alarms.test()

    def metrics(self) -> bytes:
        return exposition(samples(self._server, self._totals))

    def book(self) -> None:
        """Keep the counts of a table that goes out of service."""
        self._totals.book(self._server)
        self.predictor.recent.note(self._server.sheets, time.time())
        self.predictor.recent.forget()


def _unwritten(server: Server) -> Mapping[str, object] | None:
    """What the disk has not taken: overrides set or lifted, rows of the audit; None where it takes all."""
    journal = server.journal
    if not journal.refused or not journal.waiting:
        return None
    changes = [
        {"kind": kind, "subject": subject, "set": override is not None}
        for (kind, subject), override in journal.unwritten.items()
    ]
    return {"why": journal.refused, "overrides": changes, "log_rows": journal.waiting}


def _failover(found: tuple[Failover, ...], budget: float) -> Mapping[str, object]:
    """How long failures may be told: of every pool and TTL that names are steered with, the slowest first."""
    records = [asdict(each) | {"seconds": each.seconds} for each in found[:MAX_FAILOVERS]]
    return {"budget": budget, "records": records, "more": len(found[MAX_FAILOVERS:])}


def _judged(asked: Asked, action: str, broken: tuple[Broken, ...], now: float) -> list[Entry]:
    """What the audit has of rules that a change was refused for, or that were overruled."""
    subject = asked.changes[0].subject
    told = [text({"rule": b.rule, "detail": b.detail}) for b in broken]
    return [Entry(now, action, subject, asked.actor, asked.reason, "", after) for after in told]


def explained(
    replay: Replay, sheets: Sheets, geography: Geography, asked: tuple[str, str, str]
) -> Mapping[str, object]:
    """How the answer to (name, type, client) comes about. Raises GeodnsError where one of them is none."""
    name, rtype, client = asked
    who = client_of(client)
    address = who.subnet.ip()
    question, now = question_of(name, rtype), int(time.time())
    found = explain(replay, sheets, sheets.world, question, who, geography.locate(address), now)
    return found | {"databases": [asdict(evidence) for evidence in geography.explain(address)]}


def client_of(text: str) -> Client:
    """An address stands for a packet's source, a network (`10.1.0.0/16`) for a Client Subnet."""
    try:
        if "/" not in text:
            return Client(text, source(text), told=False)
        network = ip_network(text, strict=False)
    except ValueError:
        raise GeodnsError(f"'{text}' is neither an address nor a network; try 10.1.0.0/16") from None
    return Client(str(network), _subnet(network), told=True)


def _subnet(network: IPv4Network | IPv6Network) -> Subnet:
    return unwrap(Subnet(network.version, int(network.network_address), network.prefixlen))


def question_of(name: str, rtype: str) -> tuple[bytes, int]:
    """A question as typed by a person; a missing final dot is meant."""
    try:
        return names.fold(names.from_text(name)), type_number(rtype)
    except ValueError as error:
        raise GeodnsError(str(error)) from None
