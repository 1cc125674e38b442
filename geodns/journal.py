"""What the server writes down: overrides with their rows in the audit, and rows beside other work; in order,
bounded, and again where the disk refused.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

import structlog

from geodns.admin.feed import Feed
from geodns.core.audit import (
    FILES,
    LOAD,
    NO_HASH,
    REJECT,
    Entry,
    Page,
    Proof,
    Wanted,
    in_memory,
    of_verdicts,
    text,
)
from geodns.core.health import Probe
from geodns.core.overrides import Override
from geodns.core.plans import PLAN, Plan
from geodns.core.world import Batch, Dropped, Event, Lifted, Observed, Overridden, Planned, User, World, users
from geodns.errors import DiskError, StoreError
from geodns.loading import Reading
from geodns.model import Pool
from geodns.store.state import Store

MAX_WAITING = 50_000  # entries that are not on the disk yet
AT_ONCE = 1_000  # entries in a transaction
AGAIN = 5.0  # seconds until a disk that refused is tried again
MAX_UNWRITTEN = 1_000  # overrides set or lifted that are not on the disk
MAX_TOLD = 20  # zones, problems

log = structlog.get_logger("geodns")


Changes = Mapping[tuple[str, str], Override | Plan | None]
"""By kind and subject, or PLAN and its id: what is set; None where it is lifted or dropped."""


class Journal:
    """`lost` counts entries for which there was no room; `errors` writes that failed. `unwritten`: changes
    that hold in memory only, because the disk refused; they are written with the entries that wait.
    `refused`: why the last write failed; empty where it did not.

    `feed` is told of all entries. Whoever writes overrides, here or elsewhere, takes `turn`.
    """

    def __init__(self, store: Store, started: float) -> None:
        self.lost = 0
        self.feed = Feed(f"{int(started * 1000):x}")
        self.errors = 0
        self.unwritten: Changes = {}
        self.refused = ""
        self._store = store
        self._started = started
        self._users: tuple[Mapping[str, Pool], Mapping[Probe, Sequence[User]]] = ({}, {})
        self._waiting: deque[Entry] = deque()
        self._more = asyncio.Event()
        self.turn = asyncio.Lock()  # to write: what was done first is written first
        self._writing: set[asyncio.Task[bool]] = set()

    def note(self, *entries: Entry) -> None:
        """Write entries soon."""
        room = MAX_WAITING - len(self._waiting)
        self._waiting.extend(entries[:room])
        self.lost += max(0, len(entries) - room)
        self.feed.tell(entries)
        self._more.set()

    def observed(self, before: World, event: Event) -> None:
        """Write down the verdicts that an event changes."""
        if isinstance(event, Observed):
            if self._users[0] is not before.pools:
                self._users = before.pools, users(before.pools)
            self.note(*of_verdicts(before, event, self._started, self._users[1]))

    def loaded(self, before: Reading | None, reading: Reading) -> None:
        """Write down that files were taken into service."""
        known = {zone.apex: zone.serial for zone in before.zones} if before else {}
        now = {zone.apex: zone.serial for zone in reading.zones}
        changed = {apex: serial for apex, serial in now.items() if known.get(apex) != serial}
        gone = sorted(known.keys() - now.keys())
        serials = dict(list(changed.items())[:MAX_TOLD])
        after = {"zones": len(now), "serials": serials, "gone": gone[:MAX_TOLD]}
        was = text({"zones": len(known)}) if before else ""
        why = "the files have changed" if before else "the server starts"
        self.note(Entry(time.time(), LOAD, "zones", FILES, why, was, text(after)))

    def rejected(self, problems: list[str]) -> None:
        """Write down that files were not taken."""
        told = text({"problems": problems[:MAX_TOLD], "more": max(0, len(problems) - MAX_TOLD)})
        self.note(Entry(time.time(), REJECT, "zones", FILES, problems[0] if problems else "", "", told))

    @property
    def waiting(self) -> int:
        """How many entries are not on the disk yet."""
        return len(self._waiting)

    async def change(self, batch: Batch, entries: list[Entry], *, volatile: bool) -> bool:
        """Write changed overrides, their entries and all that waits, in one transaction; whether it was done.

        Where the disk refuses and `volatile` allows it they wait as well; else StoreError is raised, and
        nothing is kept.
        """
        return await self._begin(self._change(batch, entries, volatile))

    def amend(self, batch: Batch) -> None:
        """What is changed by the clock or by verdicts is written by others; here what waits is kept true."""
        waiting = {key: what for key, what in _changes(batch).items() if key in self.unwritten}
        self.unwritten = {**self.unwritten, **waiting}

    async def keep(self) -> None:
        """Write what waits, for ever."""
        while True:
            await self._more.wait()
            self._more.clear()
            while self._waiting:
                if not await self._begin(self._write_some()):
                    await asyncio.sleep(AGAIN)

    async def close(self) -> None:
        """Write the rest, when nobody calls `keep` any more."""
        await asyncio.gather(*self._writing, return_exceptions=True)
        while self._waiting and await self._begin(self._write_some()):
            pass
        if self._waiting:
            log.error(
                "lost, because the disk refuses", rows=len(self._waiting), overrides=len(self.unwritten)
            )

    async def _begin(self, work: Coroutine[Any, Any, bool]) -> bool:
        """Do some work that, once begun, is ended, whoever waits for it or not."""
        writing = asyncio.get_running_loop().create_task(work)
        self._writing.add(writing)
        writing.add_done_callback(self._writing.discard)
        return await asyncio.shield(writing)

    async def _change(self, batch: Batch, entries: list[Entry], volatile: bool) -> bool:
        async with self.turn:
            changes = {**self.unwritten, **_changes(batch)}
            try:
                await self._put(changes, MAX_WAITING, entries)
            except DiskError:
                room = len(changes) <= MAX_UNWRITTEN and len(self._waiting) + len(entries) <= MAX_WAITING
                if not (volatile and room):
                    raise
                self.unwritten = {**self.unwritten, **_changes(batch)}  # time may have amended it
                self.note(*map(in_memory, entries))
                return False
            return True

    async def _write_some(self) -> bool:
        """Write the oldest entries; all of them where overrides are to be written with theirs."""
        async with self.turn:
            try:
                await self._put(self.unwritten, MAX_WAITING if self.unwritten else AT_ONCE)
            except StoreError as error:
                log.error("the audit is not written", why=str(error), waiting=len(self._waiting))
                return False
            return True

    async def _put(self, changes: Changes, most: int, entries: Iterable[Entry] = ()) -> None:
        """Write changes, the oldest `most` of the entries that wait, and others behind them."""
        oldest = list(islice(self._waiting, most))
        put = [what for what in changes.values() if isinstance(what, Override)]
        drop = [key for key, what in changes.items() if what is None and key[0] != PLAN]
        plans = {
            id: what
            for (kind, id), what in changes.items()
            if kind == PLAN and not isinstance(what, Override)
        }
        try:
            if changes:
                await asyncio.to_thread(self._store.change_overrides, put, drop, [*oldest, *entries], plans)
            else:
                await asyncio.to_thread(self._store.note, oldest)
        except DiskError as error:
            self.errors += 1
            self.refused = str(error)
            raise
        for _ in oldest:
            self._waiting.popleft()
        if self.unwritten:
            log.info("what was in memory only is on the disk", overrides=[on for _, on in self.unwritten])
        self.unwritten, self.refused = {}, ""

    async def read(self, wanted: Wanted, limit: int) -> Page:
        """Rows that are written. Raises StoreError."""
        return await asyncio.to_thread(self._store.audit, wanted, limit)

    async def verify(self, known: tuple[int, bytes] | None) -> Proof:
        """Go along the chain; `known` is number and hash of a row as somebody noted it. Raises StoreError."""
        begin = await self.read(Wanted(), 1)
        good, wrong, before = (0, NO_HASH), "", None
        while not wrong and good != before:
            before = good
            good, wrong = await asyncio.to_thread(self._store.check_audit, good)
        if known is not None and not wrong:
            kept = await asyncio.to_thread(self._store.audit_row, known[0])
            if kept != known[1]:
                wrong = f"row {known[0]} is {'not kept' if kept is None else 'another one than you noted'}"
        return Proof(begin.dropped + 1, *good, wrong)


def _changes(batch: Batch) -> Changes:
    """What a batch comes to."""
    found: dict[tuple[str, str], Override | Plan | None] = {}
    for change in batch.changes:
        match change:
            case Overridden(override):
                found[override.kind, override.subject] = override
            case Lifted(kind, subject):
                found[kind, subject] = None
            case Planned(plan):
                found[PLAN, plan.id] = plan
            case Dropped(id):
                found[PLAN, id] = None
    return found
