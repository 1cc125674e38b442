"""What the admin API may ask and do: the server's `admin.control.Control`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TYPE_CHECKING

import structlog

from geodns.admin.control import Applied, Readiness
from geodns.core import names
from geodns.core.audit import CLOCK, OVERRULE, REFUSE, Entry, Page, Proof, Wanted, of_batch, text
from geodns.core.compile.rdata import type_number
from geodns.core.compile.sheets import Sheets
from geodns.core.edns import Subnet, source, unwrap
from geodns.core.explain import Client, explain
from geodns.core.guard import Refused, guard
from geodns.core.health import Probe, Track
from geodns.core.overrides import PAUSE
from geodns.core.replay import Replay
from geodns.core.rules import Broken
from geodns.core.steer.odds import failing_open
from geodns.core.verbs import Asked, overruled, planned, said
from geodns.core.world import Batch, Lifted, Overridden, World, apply, due
from geodns.errors import GeodnsError, StoreError
from geodns.geo.locate import Geography
from geodns.observe.metrics import exposition
from geodns.samples import Totals, samples

if TYPE_CHECKING:
    from geodns.app import Server

log = structlog.get_logger("geodns")


class Operations:
    """Reads from and changes a running server; every change is persisted before it is in the answers."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._totals = Totals()

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
        server = self._server
        async with server.changing:
            before, now = server.world, time.time()
            batch = planned(before, asked, now)
            after, touched = apply(before, batch)
            try:
                broken = overruled(asked, guard(before, after))
            except Refused as refused:
                if not asked.dry_run:
                    server.journal.note(*_judged(asked, REFUSE, refused.broken, now))
                raise
            entries = _judged(asked, OVERRULE, broken, now)
            if batch.changes and not asked.dry_run:
                entries += of_batch(before, batch, now, asked.actor, asked.reason)
                await self._take(batch, entries)
                for change in asked.changes:
                    log.info(said(change), reason=asked.reason, actor=asked.actor, until=change.until)
                after, now = server.world, time.time()
            ttls = [spec.ttl for spec in server.sheets.specs if spec.pool in touched]
            rules = tuple(b.rule for b in broken)
            return Applied(before, batch, after, now, now + max(ttls, default=0), rules)

    async def end_overrides(self) -> None:
        """Lift the overrides whose time is over."""
        server = self._server
        if not due(server.world, time.time()):
            return
        async with server.changing:
            now = time.time()
            over = due(server.world, now)
            ended = Batch(tuple(Lifted(o.kind, o.subject) for o in over))
            entries = of_batch(server.world, ended, now, CLOCK, "its time is over")
            try:
                await self._take(ended, entries)
            except StoreError:  # they are past their end in the store as well, and are dropped at a restart
                server.journal.note(*entries)
                server.apply(ended)
            for override in over:
                log.info("override expired", kind=override.kind, subject=override.subject)

    async def _take(self, batch: Batch, entries: list[Entry]) -> None:
        """Onto the disk, with the audit's entries and those that wait, then into the answers."""
        put = [change.override for change in batch.changes if isinstance(change, Overridden)]
        drop = [(change.kind, change.subject) for change in batch.changes if isinstance(change, Lifted)]
        server = self._server
        waiting = server.journal.take()
        try:
            await asyncio.to_thread(server.store.change_overrides, put, drop, waiting + entries)
        except StoreError:
            server.journal.give_back(waiting)
            raise
        server.apply(batch)

    async def audit(self, wanted: Wanted, limit: int) -> Page:
        return await self._server.journal.read(wanted, limit)

    async def verify(self, known: tuple[int, bytes] | None) -> Proof:
        return await self._server.journal.verify(known)

    def status(self) -> Mapping[str, object]:
        server = self._server
        slowest = server.reading.slowest
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
            "paused": [asdict(o) for o in server.world.overrides.values() if o.kind == PAUSE],
            "overrides": [asdict(override) for override in server.world.overrides.values()],
            "alarms": server.alarms.counts(),
            "failing_open": [
                id_ for id_, pool in server.world.pools.items() if failing_open(pool, server.world)
            ],
            "failover": slowest and asdict(slowest) | {"budget": server.settings.failover_budget},
            "probes": asdict(server.monitor.stats) | {"waiting": server.monitor.waiting},
            "prober_suspected": server.monitor.suspected,
        }

    def alarms(self) -> Mapping[str, object]:
        return self._server.alarms.told()

    async def test_alarms(self) -> list[dict[str, object]]:
        return await self._server.alarms.test()

    def metrics(self) -> bytes:
        return exposition(samples(self._server, self._totals))

    def book(self) -> None:
        """Keep the counts of a table that goes out of service."""
        self._totals.book(self._server)


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
