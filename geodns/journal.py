"""What the server writes to its audit: with an override, or beside other work; in order, bounded, and again
where the disk refused.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterable

import structlog

from geodns.core.audit import FILES, LOAD, NO_HASH, REJECT, Entry, Page, Proof, Wanted, of_verdicts, text
from geodns.core.world import Event, Observed, World
from geodns.errors import StoreError
from geodns.loading import Reading
from geodns.store.state import Store

MAX_WAITING = 50_000  # entries that are not on the disk yet
AT_ONCE = 1_000  # entries in a transaction
AGAIN = 5.0  # seconds until a disk that refused is tried again
MAX_TOLD = 20  # zones, problems

log = structlog.get_logger("geodns")


class Journal:
    """`lost` counts entries for which there was no room; `errors` writes that failed; `problem` is why the
    last one did, if it did.
    """

    def __init__(self, store: Store, started: float) -> None:
        self.lost = 0
        self.errors = 0
        self.problem = ""
        self._store = store
        self._started = started
        self._waiting: deque[Entry] = deque()
        self._more = asyncio.Event()
        self._writing: asyncio.Task[bool] | None = None

    def note(self, *entries: Entry) -> None:
        """Write entries soon."""
        room = MAX_WAITING - len(self._waiting)
        self._waiting.extend(entries[:room])
        self.lost += max(0, len(entries) - room)
        self._more.set()

    def observed(self, before: World, event: Event) -> None:
        """Write down the verdicts that an event changes."""
        if isinstance(event, Observed):
            self.note(*of_verdicts(before, event, self._started))

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

    def take(self, most: int = MAX_WAITING) -> list[Entry]:
        """The oldest entries that wait; whoever takes them writes them, or gives them back."""
        return [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]

    def give_back(self, entries: Iterable[Entry]) -> None:
        self._waiting.extendleft(reversed(list(entries)))

    async def keep(self) -> None:
        """Write what waits, for ever."""
        while True:
            await self._more.wait()
            self._more.clear()
            while self._waiting:
                if not await self._write():
                    await asyncio.sleep(AGAIN)

    async def close(self) -> None:
        """Write the rest, when nobody calls `keep` any more."""
        if self._writing is not None:
            await self._writing
        while self._waiting and await self._write():
            pass

    async def _write(self) -> bool:
        """Write some; once begun that is ended, whoever waits for it or not."""
        self._writing = asyncio.get_running_loop().create_task(self._put(self.take(AT_ONCE)))
        return await asyncio.shield(self._writing)

    async def _put(self, taken: list[Entry]) -> bool:
        try:
            await asyncio.to_thread(self._store.note, taken)
        except StoreError as error:
            self.give_back(taken)
            self.errors += 1
            self.problem = str(error)
            log.error("the audit is not written", why=str(error), waiting=len(self._waiting))
            return False
        self.problem = ""
        return True

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
