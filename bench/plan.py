"""What is to be measured, and with what: the same for all parts of a run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from bench import data, machine
from bench.machine import BenchError
from bench.results import Results
from bench.server import Server

S = TypeVar("S", bound=Server)


@dataclass
class Plan:
    """`rounds`: how often each server takes its turn. `only`: ids of servers, None for all. `quick`: a tenth
    of everything, to see whether it works at all. `reloads`: how often the files are read under full load."""

    results: Results
    rounds: int = 3
    only: frozenset[str] | None = None
    quick: bool = False
    reloads: int = 1000

    @property
    def work(self) -> Path:
        """A folder for the servers' folders and the files of queries."""
        path = machine.OUT / "work"
        path.mkdir(parents=True, exist_ok=True)
        return path

    def database(self) -> Path:
        """The database for all servers; made once and kept while bench/data.py is unchanged."""
        path = self.work / "bench-City.mmdb"
        if not path.exists() or path.stat().st_mtime < Path(data.__file__).stat().st_mtime:
            data.make_mmdb(path)
        return path

    def present(self, wanted: Iterable[type[S]]) -> list[type[S]]:
        """Those that are wanted and installed; what is not is left out, with the reason in the results."""
        found = []
        for cls in wanted:
            if self.only is not None and cls.id not in self.only:
                continue
            try:
                cls.executable()
            except BenchError as error:
                self.leave_out(str(error))
                continue
            if cls.id not in self.results.servers:
                self.results.servers[cls.id] = {"title": cls.title, "version": cls.version()}
            found.append(cls)
        return found

    def leave_out(self, reason: str) -> None:
        if reason not in self.results.skipped:
            print(f"left out: {reason}")
            self.results.skipped.append(reason)


@contextmanager
def started(server: S) -> Iterator[tuple[S, float]]:
    """The server, and the seconds from its start to its first right answer; ended at the end."""
    ready = server.start()
    try:
        yield server, ready
    finally:
        server.stop()
