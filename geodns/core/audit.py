"""What was done, by whom and why, as a chain: each row's hash covers the row and the hash of the one before.

Who changes, adds or takes out a row in the middle breaks the chain from there on; who knows a later hash
(`head`) can tell whether the rows up to it are those that were.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from geodns.core.health import Probe, Verdict
from geodns.core.overrides import Override, value_text
from geodns.core.plans import Plan
from geodns.core.world import Batch, Done, Dropped, Lifted, Observed, Overridden, Planned, User, World

MAX_TOLD = 20  # endpoints of one probe
NO_HASH = bytes(32)  # before the first row
SET, LIFT = "set", "lift"
PLAN, UNPLAN = "plan", "unplan"
STEP, EXPIRE = "step", "expire"  # what the clock does to what is set
REFUSE, OVERRULE = "refuse", "overrule"  # what the guard said, and that somebody knew better
VERDICT, LOAD, REJECT = "verdict", "load", "reject"
RAISE, CLEAR = "raise", "clear"  # alarms
ACTIONS = (
    SET, LIFT, PLAN, UNPLAN, STEP, EXPIRE, REFUSE, OVERRULE, VERDICT, LOAD, REJECT, RAISE, CLEAR,
)  # fmt: skip
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
    """What overrides were set, planned and ended, `reason` why the latter. By CLOCK they have expired."""
    return [_entry(before, done, at, actor, reason) for done in batch.changes]


def _entry(before: World, done: Done, at: float, actor: str, reason: str) -> Entry:
    match done:
        case Overridden(override):
            was = before.overrides.get((override.kind, override.subject))
            action = STEP if was and actor == CLOCK else SET
            told = _override(was), _override(override)
            return Entry(at, action, override.subject, actor, override.reason, *told)
        case Lifted(kind, subject):
            action = EXPIRE if actor == CLOCK else LIFT
            return Entry(at, action, subject, actor, reason, _override(before.overrides.get((kind, subject))))
        case Planned(plan):
            return Entry(
                at, PLAN, plan.subject, actor, plan.reason, _plan(before.plans.get(plan.id)), _plan(plan)
            )
        case Dropped(id):
            gone = before.plans.get(id)
            return Entry(at, UNPLAN, gone.subject if gone else id, actor, reason, _plan(gone))


def of_verdicts(
    before: World, event: Observed, started: float, deciding: Mapping[Probe, Sequence[User]]
) -> list[Entry]:
    """The verdicts that changed, for each endpoint; not those that a run before `started` had found."""
    found = []
    for probe, health in event.health.items():
        known = before.health.get(probe)
        was = known.verdict if known else Verdict.UNKNOWN
        if health.verdict is not was and health.since >= started:
            told = [text({"verdict": verdict.value, "check": probe.id}) for verdict in (was, health.verdict)]
            subjects = dict.fromkeys(user.subject for user in deciding.get(probe, ()))
            found += [
                Entry(health.since, VERDICT, subject, MONITOR, health.reason, *told)
                for subject in list(subjects)[:MAX_TOLD]
            ]
    return found


def in_memory(entry: Entry) -> Entry:
    """The entry of a change, as it is where the disk does not take the change at once."""
    if entry.action not in (SET, LIFT):
        return entry
    after = json.loads(entry.after) if entry.after else {}
    return replace(entry, after=text({**after, "volatile": True}))


def text(content: Told) -> str:
    return json.dumps(content)


def _override(override: Override | None) -> str:
    if override is None:
        return ""
    value = {"value": shown} if (shown := value_text(override)) else {}
    who = {"reason": override.reason, "actor": override.actor}
    return text({"kind": override.kind, **value, **who, "since": override.since, "until": override.until})


def _plan(plan: Plan | None) -> str:
    if plan is None:
        return ""
    when = {"from": plan.begins, "until": plan.ends, "every": plan.every or None}
    return text({"kind": plan.kind, "value": plan.value, "over": plan.over, "reason": plan.reason, **when})
