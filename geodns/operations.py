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
from geodns.core.compile.rdata import type_number
from geodns.core.compile.sheets import Sheets
from geodns.core.edns import Subnet, source, unwrap
from geodns.core.explain import Client, explain
from geodns.core.guard import UnknownRegion, guard_pause
from geodns.core.health import Probe, Track
from geodns.core.replay import Replay
from geodns.core.world import PAUSE, Lifted, Overridden, Override, World
from geodns.errors import GeodnsError
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

    async def pause(
        self, region: str, *, reason: str, actor: str, until: float | None, force: bool
    ) -> Applied:
        server = self._server
        async with server.changing:
            self._known(region)
            refused = None if force else guard_pause(server.world, region)
            if refused is not None:
                raise refused
            override = Override(PAUSE, region, reason, actor, time.time(), until)
            await asyncio.to_thread(server.store.put_override, override)
            server.apply(Overridden(override))
            log.info("paused", region=region, reason=reason, actor=actor, until=until, force=force)
            return self._applied(override)

    async def resume(self, region: str, *, actor: str) -> Applied | None:
        server = self._server
        async with server.changing:
            override = server.world.paused(region)
            if override is None:  # else it may be lifted, though the files have lost the region since
                self._known(region)
                return None
            await asyncio.to_thread(server.store.drop_override, PAUSE, region)
            server.apply(Lifted(PAUSE, region))
            log.info("resumed", region=region, actor=actor)
            return self._applied(override)

    def _known(self, region: str) -> None:
        regions = self._server.world.regions
        if region not in regions:
            raise UnknownRegion(region, tuple(sorted(regions)))

    def _applied(self, override: Override) -> Applied:
        """Resolvers may hold the old answers for the longest TTL of a name that the region serves."""
        server, now = self._server, time.time()
        ttls = [
            spec.ttl for spec in server.sheets.specs if server.world.pools[spec.pool].region(override.subject)
        ]
        return Applied(override, now, now + max(ttls, default=0))

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
            "paused": [asdict(override) for override in server.world.overrides.values()],
            "failover": slowest and asdict(slowest) | {"budget": server.settings.failover_budget},
            "probes": asdict(server.monitor.stats) | {"waiting": server.monitor.waiting},
            "prober_suspected": server.monitor.suspected,
        }

    def metrics(self) -> bytes:
        return exposition(samples(self._server, self._totals))

    def book(self) -> None:
        """Keep the counts of a table that goes out of service."""
        self._totals.book(self._server)


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
