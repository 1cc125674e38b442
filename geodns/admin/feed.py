"""What happens, for whoever follows it: the last entries of the audit, numbered, in a ring.

The ring is all the memory there is. Readers keep a number each; who is so slow that the ring has gone past it
is told of a gap, and nobody waits for anybody.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from geodns.core.audit import Entry

KEPT = 2_000  # entries
MAX_READERS = 16


class Feed:
    """`epoch` is another in each run, so that a number of an earlier one is known for what it is.

    `last` is the number of the newest entry; they count from 1. `slow` counts readers that were cut off
    because they did not read.
    """

    def __init__(self, epoch: str, kept: int = KEPT) -> None:
        self.epoch = epoch
        self.last = 0
        self.readers = 0
        self.slow = 0
        self.closed = False
        self._ring: deque[Entry] = deque(maxlen=kept)
        self._more = asyncio.Event()

    def tell(self, entries: Iterable[Entry]) -> None:
        """Add entries, and wake those who wait."""
        before = self.last
        for entry in entries:
            self._ring.append(entry)
            self.last += 1
        if self.last > before:
            self._wake()

    def after(self, number: int) -> tuple[list[tuple[int, Entry]], bool]:
        """The entries behind one, with their numbers, and whether some of them are lost."""
        first = self.last - len(self._ring) + 1
        found = list(enumerate(self._ring, first))[max(0, number + 1 - first) :]
        return found, number + 1 < first

    async def more(self, number: int) -> None:
        """Return when there is something behind an entry, or never will be."""
        while self.last <= number and not self.closed:
            await self._more.wait()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Count a reader while it reads."""
        self.readers += 1
        try:
            yield
        finally:
            self.readers -= 1

    def close(self) -> None:
        """Let everybody go who reads."""
        self.closed = True
        self._wake()

    def _wake(self) -> None:
        self._more.set()
        self._more = asyncio.Event()
