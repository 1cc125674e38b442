"""The open databases, and how they follow their files.

Every file is followed by itself: a new City database is taken although the new ASN one is broken, and what
cannot be opened leaves the old one in use. Whoever calls decides when (a file event, a timer).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from geodns.errors import GeodnsError
from geodns.geo.mmdb import Database, Identity, Kind, identity, open_database


class Databases:
    """The databases of a set of files; `current` is replaced as a whole, never changed.

    Made-up ones are taken only where `synthetic` says so: real clients would be sent anywhere. Raises
    GeodnsError at first, one line for each file that cannot be opened.
    """

    def __init__(self, paths: Mapping[Kind, Path], *, synthetic: bool) -> None:
        self._synthetic = synthetic
        self._paths = dict(paths)
        self._tried: dict[Kind, Identity | None] = {}
        self.current: Mapping[Kind, Database] = {}
        problems = self.reload()
        if problems:
            raise GeodnsError("\n".join(str(problem) for problem in problems))

    @property
    def paths(self) -> tuple[Path, ...]:
        return tuple(self._paths.values())

    def changed(self) -> bool:
        """Whether a file is another than the one last tried, be it good or broken."""
        return bool(self._stale())

    def reload(self) -> tuple[GeodnsError, ...]:
        """Open what changed, aside, and put it in place; what cannot be opened is returned and the old kept.

        Blocks for the time it takes to copy the files: not for the thread that answers.
        """
        opened = dict(self.current)
        problems = []
        for kind, found in self._stale().items():
            self._tried[kind] = found
            try:
                opened[kind] = self._open(kind)
            except GeodnsError as problem:
                problems.append(problem)
        self.current = opened
        return tuple(problems)

    def _open(self, kind: Kind) -> Database:
        database = open_database(self._paths[kind], kind)
        if database.synthetic and not self._synthetic:
            raise GeodnsError(
                f"{database.path} is synthetic, good for trying geodns out and wrong for real clients: "
                "name a real database, or allow it with databases.synthetic: true"
            )
        return database

    def _stale(self) -> dict[Kind, Identity | None]:
        now = {kind: identity(path) for kind, path in self._paths.items()}
        return {k: found for k, found in now.items() if k not in self._tried or found != self._tried[k]}
