"""The audit's rows in SQLite: appended, read, verified. The oldest fall out, the hash of the last one stays.

Everything here takes the connection of a transaction that is the caller's.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import fields

from geodns.core.audit import NO_HASH, Entry, Row, Wanted, chained, digest
from geodns.errors import printable

TABLES = """
CREATE TABLE audit (
    seq INTEGER PRIMARY KEY, at REAL NOT NULL, action TEXT NOT NULL, subject TEXT NOT NULL,
    actor TEXT NOT NULL, reason TEXT NOT NULL, before TEXT NOT NULL, after TEXT NOT NULL, hash BLOB NOT NULL
);
CREATE TABLE anchor (seq INTEGER NOT NULL, hash BLOB NOT NULL)
"""
MAX_TEXT = 4_000  # characters of any part of an entry
CHUNK = 2_000  # rows that are verified at a time

_COLUMNS = ", ".join(field.name for field in fields(Entry))
_CONDITIONS = {
    "action": "action = :action",
    "actor": "actor = :actor",
    "subject": "(subject = :subject OR substr(subject, 1, length(:subject) + 1) = :subject || ':')",
    "since": "at >= :since",
    "until": "at < :until",
    "before": "seq < :before",
}


def anchor(db: sqlite3.Connection) -> tuple[int, bytes]:
    """Number and hash of the row before the first that is kept."""
    found = db.execute("SELECT seq, hash FROM anchor").fetchone()
    return found or (0, NO_HASH)


def head(db: sqlite3.Connection) -> tuple[int, bytes]:
    """Number and hash of the last row."""
    found = db.execute("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1").fetchone()
    return found or anchor(db)


def append(db: sqlite3.Connection, entries: Iterable[Entry], most: int) -> int:
    """Append entries; how many old ones fell out so that `most` are left."""
    seq, previous = head(db)
    for row in chained(previous, seq, map(_bounded, entries)):
        e = row.entry
        values = (row.seq, e.at, e.action, e.subject, e.actor, e.reason, e.before, e.after, row.hash)
        db.execute("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
        seq = row.seq
    return _trim(db, seq, most)


def _trim(db: sqlite3.Connection, last: int, most: int) -> int:
    kept_from = anchor(db)[0]
    excess = last - kept_from - most
    if excess <= 0:
        return 0
    end = db.execute("SELECT seq, hash FROM audit WHERE seq = ?", (kept_from + excess,)).fetchone()
    db.execute("DELETE FROM audit WHERE seq <= ?", (end[0],))
    db.execute("DELETE FROM anchor")
    db.execute("INSERT INTO anchor VALUES (?, ?)", end)
    return excess


def read(db: sqlite3.Connection, wanted: Wanted, limit: int) -> list[Row]:
    """The newest `limit` of the rows wanted, newest first."""
    asked = {f.name: value for f in fields(wanted) if (value := getattr(wanted, f.name)) is not None}
    where = " AND ".join(_CONDITIONS[name] for name in asked) or "1"
    query = f"SELECT seq, hash, {_COLUMNS} FROM audit WHERE {where} ORDER BY seq DESC LIMIT :limit"  # noqa: S608
    return [_row(*row) for row in db.execute(query, {**asked, "limit": limit})]


def check(db: sqlite3.Connection, after: tuple[int, bytes]) -> tuple[tuple[int, bytes], str]:
    """Go on along the chain from a row that is known to be good; the last good one, and what is wrong behind.

    At most CHUNK rows at a time. Where rows have fallen out meanwhile it begins anew.
    """
    last, previous = max(after, anchor(db), key=lambda known: known[0])
    query = f"SELECT seq, hash, {_COLUMNS} FROM audit WHERE seq > ? ORDER BY seq LIMIT ?"  # noqa: S608
    for row in (_row(*found) for found in db.execute(query, (last, CHUNK)).fetchall()):
        if row.seq != last + 1:
            return (last, previous), f"row {last + 1} is missing"
        if row.hash != digest(previous, row.seq, row.entry):
            return (last, previous), f"row {row.seq} is not the one that was written, or what is before it"
        last, previous = row.seq, row.hash
    return (last, previous), ""


def hash_of(db: sqlite3.Connection, seq: int) -> bytes | None:
    """The hash of a row; None where it is not kept (any more, or yet)."""
    known = anchor(db)
    if seq == known[0]:
        return known[1]
    found = db.execute("SELECT hash FROM audit WHERE seq = ?", (seq,)).fetchone()
    return found and bytes(found[0])


def _row(seq: int, hash_: bytes, *entry: object) -> Row:
    return Row(seq, Entry(*entry), hash_)  # type: ignore[arg-type]


def _bounded(entry: Entry) -> Entry:
    e = entry
    texts = (e.action, e.subject, e.actor, e.reason, e.before, e.after)
    return Entry(e.at, *(printable(text)[:MAX_TEXT] for text in texts))
