"""Text written by a thread of its own, so that whoever logs never waits for whoever reads.

A pipe that nobody reads, or a terminal that was told to stop, takes some 64 KiB and then holds up its writer
for as long as it likes.
"""

from __future__ import annotations

import os
from contextlib import suppress
from queue import Full, Queue
from threading import Thread

WAITING = 1000  # texts that may wait to be written
PATIENCE = 1.0  # seconds for the last of them


class Aside:
    """A text stream over a file descriptor, each of whose writes is a line or several.

    What finds no place among those that wait is lost, and counted; so is what cannot be written.
    """

    def __init__(self, descriptor: int, most: int = WAITING) -> None:
        self.lost = 0
        self._descriptor = descriptor
        self._texts: Queue[str | None] = Queue(most)
        self._thread = Thread(target=self._write_on, name="geodns-log", daemon=True)
        self._thread.start()

    def write(self, text: str) -> None:
        try:
            self._texts.put_nowait(text)
        except Full:
            self.lost += 1

    def flush(self) -> None:
        """Nothing: what waits is written as soon as it can be."""

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def close(self) -> None:
        """Write what waits, for no longer than PATIENCE; nothing is to be written after this."""
        with suppress(Full):
            self._texts.put(None, timeout=PATIENCE)
        self._thread.join(PATIENCE)

    def _write_on(self) -> None:
        # Not through sys.stderr: its lock would be held while a write waits, and at the end the interpreter
        # wants it.
        while (text := self._texts.get()) is not None:
            left = text.encode(errors="backslashreplace")
            try:
                while left:
                    left = left[os.write(self._descriptor, left) :]
            except OSError:
                self.lost += 1
