"""What verdicts and time do to overrides, taken into the world at once and onto the disk beside it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from geodns.admin.schedules import upcoming
from geodns.core.audit import CLOCK, OVERRULE, REFUSE, Entry, of_batch, text
from geodns.core.guard import Refused, UnknownSubject, guard
from geodns.core.overrides import value_text
from geodns.core.plans import Plan
from geodns.core.returns import FAILBACK, begun, following, passed, reconsidered
from geodns.core.rules import Broken
from geodns.core.verbs import at_their_end
from geodns.core.world import Batch, Dropped, Lifted, Observed, Overridden, Planned, World, apply
from geodns.errors import GeodnsError, StoreError

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
        self._plans: set[str] = set()  # that are not kept either
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
        for plan in [plan for plan in self._server.world.plans.values() if plan.begins <= now]:
            self._begin(plan, now)

    def _begin(self, plan: Plan, now: float) -> None:
        """Set what is planned for now, unless it would break something that it may not."""
        world, what = self._server.world, f"the planned {plan.kind} of {plan.subject}"
        refused: GeodnsError | None = None
        batch = Batch(())
        broken: tuple[Broken, ...] = ()
        try:
            batch = begun(world, plan, now)
            broken = guard(world, apply(world, at_their_end(batch))[0])
            standing = tuple(b for b in broken if b.rule not in plan.overrule)
            refused = Refused(what, standing) if standing else None
        except UnknownSubject as error:
            refused = error
        if refused is None:
            told = [text({"plan": plan.id, "rule": b.rule, "detail": b.detail}) for b in broken]
            entries = [Entry(now, OVERRULE, plan.subject, CLOCK, plan.reason, "", after) for after in told]
            self._server.journal.note(*entries)
            self._take(world, batch, now, CLOCK)
        else:
            log.error("a plan is not carried out", plan=plan.id, why=str(refused))
            after = text({"plan": plan.id, "detail": str(refused)})
            self._server.journal.note(Entry(now, REFUSE, plan.subject, CLOCK, plan.reason, "", after))
        again = upcoming(plan.every, now) if plan.every else None
        self._server.apply(Dropped(plan.id) if again is None else Planned(replace(plan, begins=again)))
        self._plans.add(plan.id)
        self._more.set()

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
                case _:
                    continue
            self._unkept.add((kind, subject))
        if batch.changes:
            self._server.journal.amend(batch)
            self._server.journal.note(*of_batch(world, batch, now, actor, REASONS[actor]))
            self._more.set()

    async def keep(self) -> None:
        """Write down what has changed, for ever; again where the disk refused."""
        while True:
            await self._more.wait()
            self._more.clear()
            async with self._server.changing:
                await self.write()
            if self._unkept or self._plans:
                await asyncio.sleep(AGAIN)
                self._more.set()

    async def write(self) -> None:
        """Write down, once, what is not yet; nobody else may change overrides meanwhile."""
        async with self._server.journal.turn:
            await self._write()

    async def _write(self) -> None:
        keys, self._unkept = self._unkept, set()
        ids, self._plans = self._plans, set()
        overrides = self._server.world.overrides
        plans = {id: self._server.world.plans.get(id) for id in ids}
        put = [overrides[key] for key in keys if key in overrides]
        drop = [key for key in keys if key not in overrides]
        written = False
        try:
            await asyncio.to_thread(self._server.store.change_overrides, put, drop, (), plans)
            written = True
        except StoreError as error:
            self.errors += 1
            log.error("overrides are not written", why=str(error), waiting=len(keys))
        finally:
            if not written:
                self._unkept |= keys
                self._plans |= ids
