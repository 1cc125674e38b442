"""What was done, by whom and why, as a chain: each row's hash covers the row and the hash of the one before.

Who changes, adds or takes out a row in the middle breaks the chain from there on; who knows a later hash
(`head`) can tell whether the rows up to it are those that were.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from geodns.core.health import Verdict
from geodns.core.overrides import PAUSE, Override, value_text
from geodns.core.world import Batch, Lifted, Observed, Overridden, World

NO_HASH = bytes(32)  # before the first row
SET, LIFT, EXPIRE = "set", "lift", "expire"
REFUSE, OVERRULE = "refuse", "overrule"  # what the guard said, and that somebody knew better
VERDICT, LOAD, REJECT = "verdict", "load", "reject"
RAISE, CLEAR = "raise", "clear"  # alarms
ACTIONS = (SET, LIFT, EXPIRE, REFUSE, OVERRULE, VERDICT, LOAD, REJECT, RAISE, CLEAR)
MONITOR, FILES, CLOCK, WATCH = "monitor", "files", "clock", "watch"  # actors that are no people

Told = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that was done. `before` and `after` are JSON objects as text; empty for nothing."""

    at: float
    action: str
    subject: str
    actor: str
    reason: str
    before: str = ""
    after: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """An entry in its place: `seq` counts from 1, without gaps."""

    seq: int
    entry: Entry
    hash: bytes


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rows: of one action or actor; on a subject or inside it; of a time (Unix seconds); older than row
    `before`. None asks nothing.
    """

    action: str | None = None
    actor: str | None = None
    subject: str | None = None
    since: float | None = None
    until: float | None = None
    before: int | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Rows, newest first; how many have fallen out since the first; number and hash of the last of all."""

    rows: tuple[Row, ...]
    dropped: int
    head: tuple[int, bytes]


@dataclass(frozen=True, slots=True)
class Proof:
    """Whether the chain holds from row `first` to `last`; `wrong` is empty, or says where it does not."""

    first: int
    last: int
    hash: bytes
    wrong: str


def digest(previous: bytes, seq: int, entry: Entry) -> bytes:
    """SHA-256 over the hash before and the row's content as a JSON list."""
    e = entry
    content = [seq, e.at, e.action, e.subject, e.actor, e.reason, e.before, e.after]
    return hashlib.sha256(previous + json.dumps(content, separators=(",", ":")).encode()).digest()


def chained(previous: bytes, seq: int, entries: Iterable[Entry]) -> Iterator[Row]:
    """The rows of entries that follow a row with this hash and number."""
    for number, entry in enumerate(entries, seq + 1):
        previous = digest(previous, number, entry)
        yield Row(number, entry, previous)


def of_batch(before: World, batch: Batch, at: float, actor: str, reason: str) -> list[Entry]:
    """What overrides were set and lifted. `actor` CLOCK: those that are lifted have expired."""
    found = []
    for change in batch.changes:
        match change:
            case Overridden(override):
                was = before.overrides.get((override.kind, override.subject))
                now: Override | None = override
                action, subject = SET, override.subject
            case Lifted(kind, subject):
                was, now = before.overrides.get((kind, subject)), None
                action = EXPIRE if actor == CLOCK else LIFT
        found.append(Entry(at, action, subject, actor, reason, _override(was), _override(now)))
    return found


def of_verdicts(before: World, event: Observed, started: float) -> list[Entry]:
    """The verdicts that changed; not those that a run before `started` had found."""
    found = []
    for probe, health in event.health.items():
        known = before.health.get(probe)
        was = known.verdict if known else Verdict.UNKNOWN
        if health.verdict is not was and health.since >= started and probe in before.pools_of:
            told = [text({"verdict": verdict.value}) for verdict in (was, health.verdict)]
            found.append(Entry(health.since, VERDICT, probe.id, MONITOR, health.reason, *told))
    return found


def text(content: Told) -> str:
    return json.dumps(content)


def _override(override: Override | None) -> str:
    if override is None:
        return ""
    value = {} if override.kind == PAUSE else {"value": value_text(override)}
    who = {"reason": override.reason, "actor": override.actor}
    return text({"kind": override.kind, **value, **who, "since": override.since, "until": override.until})
