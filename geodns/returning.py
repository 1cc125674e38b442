"""What verdicts and time do to overrides, taken into the world at once and onto the disk beside it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import structlog

from geodns.core.audit import CLOCK, of_batch
from geodns.core.overrides import value_text
from geodns.core.returns import FAILBACK, following, passed, reconsidered
from geodns.core.world import Batch, Lifted, Observed, Overridden, World
from geodns.errors import StoreError

if TYPE_CHECKING:
    from geodns.app import Server

REASONS = {CLOCK: "its time is over", FAILBACK: "its verdicts have changed"}  # of what is lifted
AGAIN = 5.0  # seconds until a disk that refused is tried again

log = structlog.get_logger("geodns")


class Returns:
    """Holds, steps and ends that nobody asked for. Answers do not wait for the disk: a change that is lost
    with the process is found again by the clock, or by the next verdict. `errors` counts writes that failed.
    """

    def __init__(self, server: Server) -> None:
        self.errors = 0
        self._server = server
        self._unkept: set[tuple[str, str]] = set()
        self._more = asyncio.Event()

    def after(self, before: World, after: World, event: Observed) -> Batch:
        """What goes with verdicts; the caller takes it into the world."""
        now = time.time()
        batch = following(before, after, event, now)
        self._note(after, batch, now, FAILBACK)
        return batch

    def tick(self) -> None:
        """What time has changed."""
        world, now = self._server.world, time.time()
        self._take(world, passed(world, now), now, CLOCK)

    def reconsider(self) -> None:
        """What new files change."""
        world, now = self._server.world, time.time()
        self._take(world, reconsidered(world, now), now, FAILBACK)

    def _take(self, world: World, batch: Batch, now: float, actor: str) -> None:
        if batch.changes:
            self._note(world, batch, now, actor)
            self._server.apply(batch)

    def _note(self, world: World, batch: Batch, now: float, actor: str) -> None:
        for change in batch.changes:
            match change:
                case Overridden(override):
                    kind, subject = override.kind, override.subject
                    told = {"value": value_text(override), "until": override.until, "reason": override.reason}
                    log.info("override changed", kind=kind, subject=subject, **told)
                case Lifted(kind, subject):
                    log.info("override expired", kind=kind, subject=subject)
            self._unkept.add((kind, subject))
        if batch.changes:
            self._server.journal.note(*of_batch(world, batch, now, actor, REASONS[actor]))
            self._more.set()

    async def keep(self) -> None:
        """Write down what has changed, for ever; again where the disk refused."""
        while True:
            await self._more.wait()
            self._more.clear()
            async with self._server.changing:
                await self.write()
            if self._unkept:
                await asyncio.sleep(AGAIN)
                self._more.set()

    async def write(self) -> None:
        """Write down, once, what is not yet; nobody else may change overrides meanwhile."""
        keys, self._unkept = self._unkept, set()
        overrides = self._server.world.overrides
        put = [overrides[key] for key in keys if key in overrides]
        drop = [key for key in keys if key not in overrides]
        written = False
        try:
            await asyncio.to_thread(self._server.store.change_overrides, put, drop)
            written = True
        except StoreError as error:
            self.errors += 1
            log.error("overrides are not written", why=str(error), waiting=len(keys))
        finally:
            if not written:
                self._unkept |= keys
