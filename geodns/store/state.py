"""What survives a restart: overrides, verdicts, zone serials, in one SQLite file that one server owns.

Each public method is one transaction, on the disk when it returns: kill -9 or a power cut leaves the old
state or the new one. Methods are short, synchronous and safe to call from any thread.
"""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import astuple, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from geodns.core.audit import Entry, Page, Wanted
from geodns.core.health import Health, Verdict
from geodns.core.overrides import Override
from geodns.core.plans import Plan
from geodns.core.slopes import Slope
from geodns.errors import DiskError, StoreError
from geodns.store import audit

MAX_OVERRIDES = 10_000  # of operators
MAX_RETURNS = 60_000  # with those that failures leave behind
MAX_PLANS = 1_000
MAX_ROWS = (
    200_000  # of verdicts, of serials; the ones unused for longest fall out, counted in `Store.dropped`
)
MAX_AUDIT = 200_000  # rows of the audit; the oldest fall out, counted in `Store.audit_dropped`
MAX_TEXT = 1_000  # characters of a reason, a subject, an actor

_APPLICATION = 0x67656F64  # "geod": tells our files from any other program's
_SCHEMA = 3
_SERIALS = 2**32
_PLANS = """
CREATE TABLE plans (
    id TEXT NOT NULL PRIMARY KEY, kind TEXT NOT NULL, subject TEXT NOT NULL, reason TEXT NOT NULL,
    actor TEXT NOT NULL, begins REAL NOT NULL, length REAL, value INTEGER NOT NULL, over REAL NOT NULL,
    every TEXT NOT NULL, overrule TEXT NOT NULL
) WITHOUT ROWID
"""
_TABLES = """
CREATE TABLE overrides (
    kind TEXT NOT NULL, subject TEXT NOT NULL, reason TEXT NOT NULL, actor TEXT NOT NULL,
    since REAL NOT NULL, until REAL, value INTEGER NOT NULL DEFAULT 0, slope TEXT, PRIMARY KEY (kind, subject)
) WITHOUT ROWID;
CREATE TABLE verdicts (
    probe TEXT NOT NULL PRIMARY KEY, verdict TEXT NOT NULL CHECK (verdict IN ('up', 'down')),
    since REAL NOT NULL, reason TEXT NOT NULL, seen REAL NOT NULL
);
CREATE INDEX verdicts_seen ON verdicts (seen);
CREATE TABLE serials (
    apex TEXT NOT NULL PRIMARY KEY, digest TEXT NOT NULL, serial INTEGER NOT NULL, seen REAL NOT NULL
);
CREATE INDEX serials_seen ON serials (seen);
"""
_UPGRADES = {
    1: "ALTER TABLE overrides ADD COLUMN value INTEGER NOT NULL DEFAULT 0;" + audit.TABLES,
    2: "ALTER TABLE overrides ADD COLUMN slope TEXT;" + _PLANS,
}


class Store:
    """The state file at `path`, made with its folder if missing (0600 in 0700), locked until `close`.

    Raises StoreError in one line: the file belongs to a running server, to another program or a newer
    geodns, is damaged, or cannot be written. Every method raises DiskError where the disk refuses, with
    `full` set where it has no room, and StoreError for anything else.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.dropped = 0
        self.audit_dropped = 0
        self._mutex = threading.Lock()
        self._lock = _own(path)
        try:
            self._db = self._opened()
        except BaseException:
            os.close(self._lock)
            raise

    def close(self) -> None:
        """Give the file free for another server. A second call does nothing."""
        with self._mutex:
            self._db.close()
            if self._lock >= 0:  # a number that is closed twice may be somebody else's by then
                os.close(self._lock)
            self._lock = -1

    def change_overrides(
        self,
        put: Iterable[Override],
        drop: Iterable[tuple[str, str]],
        entries: Iterable[Entry] = (),
        plans: Mapping[str, Plan | None] = MappingProxyType({}),
    ) -> None:
        """Forget the overrides of these (kind, subject) and keep those; one replaces another of its kind and
        subject. `plans`, by id, are kept, or forgotten where they are None. What the audit has of it is
        written with it. All or nothing.
        """
        rows = [_row(override) for override in put]
        planned = [
            (id, *astuple(replace(plan, overrule=()))[:-1], json.dumps(plan.overrule))
            for id, plan in plans.items()
            if plan is not None
        ]
        for row in (*rows, *(row[1:5] for row in planned)):
            for name, text in zip(("kind", "subject", "reason", "actor"), row, strict=False):
                if len(str(text)) > MAX_TEXT:
                    raise StoreError(f"the {name} is longer than {MAX_TEXT} characters")
        with self._change() as db:
            db.executemany("DELETE FROM overrides WHERE kind = ? AND subject = ?", drop)
            db.executemany("INSERT OR REPLACE INTO overrides VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
            for most, which in ((MAX_OVERRIDES, "WHERE actor <> 'failback'"), (MAX_RETURNS, "")):
                if _count(db, f"overrides {which}") > most:
                    raise StoreError(f"there are {most} overrides already: lift some first", full=True)
            db.executemany("DELETE FROM plans WHERE id = ?", [(id,) for id in plans])
            db.executemany("INSERT INTO plans VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", planned)
            if _count(db, "plans") > MAX_PLANS:
                raise StoreError(f"{MAX_PLANS} overrides are planned already: drop some first", full=True)
            self.audit_dropped += audit.append(db, entries, MAX_AUDIT)

    def note(self, entries: Iterable[Entry]) -> None:
        """Append to the audit."""
        with self._change() as db:
            self.audit_dropped += audit.append(db, entries, MAX_AUDIT)

    def audit(self, wanted: Wanted, limit: int) -> Page:
        """The newest `limit` of the audit's rows that are wanted."""
        with self._reading() as db:
            return Page(tuple(audit.read(db, wanted, limit)), audit.anchor(db)[0], audit.head(db))

    def audit_row(self, seq: int) -> bytes | None:
        """The hash of a row of the audit; None where it is not kept."""
        with self._reading() as db:
            return audit.hash_of(db, seq)

    def check_audit(self, after: tuple[int, bytes]) -> tuple[tuple[int, bytes], str]:
        """Verify some of the rows behind one that is good; the last good one, and what is wrong behind it."""
        with self._reading() as db:
            return audit.check(db, after)

    def overrides(self) -> list[Override]:
        """All that are kept, past ones too: their end is the caller's to act on."""
        with self._reading() as db:
            rows = db.execute("SELECT * FROM overrides ORDER BY kind, subject").fetchall()
        return [_override(*row) for row in rows]

    def plans(self) -> list[Plan]:
        """All that are kept, past ones too: their moment is the caller's to act on."""
        with self._reading() as db:
            rows = db.execute("SELECT * FROM plans ORDER BY begins, id").fetchall()
        return [replace(Plan(*columns), overrule=tuple(json.loads(rules))) for _, *columns, rules in rows]

    def save_verdicts(self, verdicts: Mapping[str, Health], now: float) -> None:
        """Remember the health of probes by `Probe.id`, as observed until `now` (Unix seconds)."""
        rows = [
            (probe, h.verdict.value, h.since, h.reason[:MAX_TEXT], now)
            for probe, h in verdicts.items()
            if h.verdict is not Verdict.UNKNOWN
        ]
        with self._change() as db:
            db.executemany("INSERT OR REPLACE INTO verdicts VALUES (?, ?, ?, ?, ?)", rows)
            self._trim(db, "verdicts")

    def verdicts(self, max_age: float, now: float) -> dict[str, Health]:
        """What was saved in the last `max_age` seconds, by `Probe.id`."""
        query = "SELECT probe, verdict, since, reason FROM verdicts WHERE seen >= ?"
        with self._reading() as db:
            rows = db.execute(query, (now - max_age,)).fetchall()
        return {probe: Health(Verdict(v), since, 0.0, reason) for probe, v, since, reason in rows}

    def serial(self, apex: str, digest: str, now: float) -> int:
        """The SOA serial of one zone; see `serials`."""
        return self.serials({apex: digest}, now)[apex]

    def serials(self, digests: Mapping[str, str], now: float, *, keep: bool = True) -> dict[str, int]:
        """The SOA serial of each zone, by apex: kept while the digest is the same, else risen (RFC 1982).

        A risen one is `now` in Unix seconds, or one more than the old where that is not ahead of it. Without
        `keep` nothing is written: the same content may have another serial the next time.
        """
        found = {}
        with self._change() if keep else self._reading() as db:
            for apex, digest in digests.items():
                row = db.execute("SELECT digest, serial FROM serials WHERE apex = ?", (apex,)).fetchone()
                found[apex] = row[1] if row and row[0] == digest else _risen(row and row[1], now)
                if keep:
                    values = (apex, digest, found[apex], now)
                    db.execute("INSERT OR REPLACE INTO serials VALUES (?, ?, ?, ?)", values)
            if keep:
                self._trim(db, "serials")
        return found

    def _trim(self, db: sqlite3.Connection, table: str) -> None:
        excess = _count(db, table) - MAX_ROWS
        if excess > 0:
            oldest = f"SELECT rowid FROM {table} ORDER BY seen LIMIT {excess}"  # noqa: S608
            db.execute(f"DELETE FROM {table} WHERE rowid IN ({oldest})")  # noqa: S608
            self.dropped += excess

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        with self._reading() as db:
            try:
                db.execute("BEGIN IMMEDIATE")
                yield db
                db.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    db.execute("ROLLBACK")
                raise

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._mutex:
            try:
                yield self._db
            except sqlite3.Error as error:
                raise _told(self.path, error) from error

    def _opened(self) -> sqlite3.Connection:
        _make_private(self.path)
        try:
            return self._open("NORMAL")
        except DiskError:  # a full one has no room for the WAL's index, which others could share: do without
            return self._open("EXCLUSIVE")

    def _open(self, locking: str) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=2.0)
        try:
            _prepare(db, self.path, locking)
        except sqlite3.Error as error:
            db.close()
            raise _told(self.path, error) from error
        except BaseException:
            db.close()
            raise
        return db


def _row(override: Override) -> tuple[object, ...]:
    o, slope = override, override.slope
    text = None if slope is None else json.dumps([slope.over, slope.levels, slope.end])
    return o.kind, o.subject, o.reason, o.actor, o.since, o.until, o.value, text


def _override(*row: Any) -> Override:
    *columns, text = row
    if text is None:
        return Override(*columns)
    over, levels, end = json.loads(text)
    return replace(Override(*columns), slope=Slope(over, tuple(levels), end))


def _own(path: Path) -> int:
    """The descriptor of a lock that lives as long as this process, however it ends."""
    lock = path.with_name(f"{path.name}.lock")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        held = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StoreError(f"cannot keep state in {path.parent}: {error.strerror or error}") from error
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.read(held, 20).decode("ascii", "replace").strip()
        os.close(held)
        raise StoreError(
            f"the state file {path} is in use by another geodns (process {holder or 'unknown'}): "
            "stop that one, or give this one a state file of its own"
        ) from error
    with suppress(OSError):  # the number is only for the message above; a full disk must not prevent a start
        os.ftruncate(held, 0)
        os.pwrite(held, f"{os.getpid()}\n".encode(), 0)
    return held


def _make_private(path: Path) -> None:
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)
    except OSError as error:
        raise StoreError(f"cannot write the state file {path}: {error.strerror or error}") from error


def _prepare(db: sqlite3.Connection, path: Path, locking: str) -> None:
    db.execute(f"PRAGMA locking_mode = {locking}")
    tables = _count(db, "sqlite_master")
    application, version = _pragma(db, "application_id"), _pragma(db, "user_version")
    if application != _APPLICATION and (tables or application):
        raise StoreError(f"{path} is a database of another program: choose another state file")
    if version > _SCHEMA:
        raise StoreError(
            f"the state file {path} was written by a newer geodns (schema {version}, this one knows "
            f"{_SCHEMA}): upgrade, or choose another state file"
        )
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute(f"PRAGMA journal_size_limit = {1 << 20}")
    if _pragma(db, "quick_check") != "ok":
        raise sqlite3.DatabaseError("its check failed")
    if version < _SCHEMA:
        upgrades = [_UPGRADES[known] for known in range(version, _SCHEMA)] if tables else []
        _create(db, ";".join(upgrades) or ";".join((_TABLES + _PLANS, audit.TABLES)))


def _create(db: sqlite3.Connection, script: str) -> None:
    db.execute("BEGIN IMMEDIATE")
    for statement in script.split(";"):
        db.execute(statement)
    db.execute(f"PRAGMA application_id = {_APPLICATION}")
    db.execute(f"PRAGMA user_version = {_SCHEMA}")
    db.execute("COMMIT")


def _pragma(db: sqlite3.Connection, name: str) -> Any:
    return db.execute(f"PRAGMA {name}").fetchone()[0]


def _count(db: sqlite3.Connection, table: str) -> int:
    return int(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608


def _risen(old: int | None, now: float) -> int:
    wanted = int(now) % _SERIALS
    if old is None:
        return wanted
    ahead = (wanted - old) % _SERIALS
    return wanted if 0 < ahead < _SERIALS // 2 else (old + 1) % _SERIALS


def _told(path: Path, error: sqlite3.Error) -> StoreError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return DiskError(f"the disk is full: nothing was written to {path}; free some space", full=True)
    if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT) or type(error) is sqlite3.DatabaseError:
        return StoreError(
            f"{path} is damaged or no state file ({error}): move it away and start again "
            "(pauses and remembered verdicts in it are lost)"
        )
    return DiskError(f"the state file {path} cannot be used: {error}")
