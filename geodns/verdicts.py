"""From probes' results to one event for the world, and into the store, so that a restart remembers them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress

import structlog

from geodns.config.schema.settings import Settings
from geodns.core.health import Health, Probe, Track
from geodns.core.observations import HERE, Observation, agreed
from geodns.core.suspicion import Bonds, bonds, suspicious
from geodns.core.world import Observed, World
from geodns.errors import StoreError
from geodns.model import Pool
from geodns.monitor.probes import Prober
from geodns.monitor.schedule import Monitor
from geodns.store.state import Store

REMEMBERED = 3600.0  # seconds for which a verdict of an earlier run is believed
SAVE = 60.0  # seconds between saves of all verdicts; changed ones are saved at once

log = structlog.get_logger("geodns")


class Verdicts:
    """`apply` takes changes into the answers, `world` gives what they are made from.

    `errors` counts saves that failed; `problem` is why the last one did, if it did.
    """

    def __init__(
        self,
        apply: Callable[[Observed], None],
        world: Callable[[], World],
        store: Store,
        settings: Settings,
    ) -> None:
        self.errors = 0
        self.problem = ""
        commands = settings.limits.commands if settings.probes.exec else 0
        self._prober = Prober(settings.probes.allow, commands=commands)
        self._share = settings.probes.suspect / 100
        self.monitor = Monitor(
            self._observed,
            time.time,
            self._prober,
            settings.limits.probes,
            self._suspects,
            self._share,
            self._prober.begin,
        )
        self._apply = apply
        self._world = world
        self._bonds: tuple[Mapping[str, Pool], Mapping[Probe, Bonds]] = ({}, {})
        self._store = store
        self._pending: dict[Probe, Health] = {}
        self._changed: set[Probe] = set()  # and not yet saved
        self._change = asyncio.Event()

    async def begin(self, watched: frozenset[Probe]) -> None:
        """Probe from now on, and take up what is remembered. Raises StoreError."""
        remembered = self._store.verdicts(REMEMBERED, time.time())
        self._observe(await self.monitor.set_probes(watched, remembered))

    def flush(self) -> None:
        """What was observed and is not in the answers yet: changes of one turn of the loop are one event."""
        changes, self._pending = self._pending, {}
        if not changes:
            return
        held = self._world().health
        for probe, health in changes.items():
            known = held.get(probe)
            if known is None or known.verdict is not health.verdict:
                log.info("verdict", probe=probe.id, verdict=health.verdict.value, reason=health.reason)
        self._observe(changes)
        self._changed.update(changes)
        self._change.set()

    async def keep(self) -> None:
        """Save what changes at once, one save after the other, and everything now and then."""
        whole = time.monotonic()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(whole + SAVE - time.monotonic()):
                    await self._change.wait()
            self._change.clear()
            changed, self._changed = self._changed, set()
            everything = time.monotonic() - whole >= SAVE
            if everything:
                whole = time.monotonic()
            await asyncio.to_thread(self._remember, self.monitor.snapshot(None if everything else changed))

    async def close(self) -> None:
        """End all probes and save how they stand."""
        tracks = self.monitor.snapshot()
        await self.monitor.stop()
        await self._prober.close()
        self._remember(tracks)

    def _observed(self, changes: Mapping[Probe, Health]) -> None:
        if not self._pending:
            asyncio.get_running_loop().call_soon(self.flush)
        self._pending.update(changes)

    def _observe(self, health: Mapping[Probe, Health]) -> None:
        self._apply(Observed(agreed(Observation(HERE, probe, one) for probe, one in health.items())))

    def _suspects(self, failing: Collection[Probe], well: Collection[Probe]) -> bool:
        pools = self._world().pools
        if self._bonds[0] is not pools:
            self._bonds = pools, bonds(pools)
        return suspicious(failing, well, self._bonds[1], self._share)

    def _remember(self, tracks: Mapping[Probe, Track]) -> None:
        try:
            self._store.save_verdicts({p.id: t.health for p, t in tracks.items()}, time.time())
            self.problem = ""
        except StoreError as error:
            self.errors += 1
            self.problem = str(error)
            log.error("verdicts are not remembered", why=str(error))
