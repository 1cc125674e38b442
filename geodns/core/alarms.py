"""What an operator should know of at once: the alarms that hold, and what of them is new or over.

Pure, and in three steps so that the dear one is made for few: what a pool comes to (`state_of`, only for
pools that were touched), the alarms that hold by these states, the world and other facts (`found`), and what
changed since the last look (`turned`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple

from geodns.core.guard import starved
from geodns.core.health import Health, Probe, Verdict
from geodns.core.overrides import value_text
from geodns.core.steer.conditions import Site
from geodns.core.steer.odds import available, failing_open
from geodns.core.steer.strength import panics
from geodns.core.world import World
from geodns.model import AllDown, Pool

MAX_HELD = 1000  # alarms
MAX_NAMED = 3  # pools in a text
ENOUGH = 2  # checks of a kind, for their failing together to say something of the kind
DAY = 86400.0


class Kind(StrEnum):
    POOL_FAILING_OPEN = "pool-failing-open"
    POOL_OUT = "pool-out"
    REGION_OUT = "region-out"
    CHECKS_FAILING = "checks-failing"
    PROBER_SUSPECTED = "prober-suspected"
    CERTIFICATE_ENDS = "certificate-ends"
    DATABASE_OLD = "database-old"
    DATABASE_SYNTHETIC = "database-synthetic"
    RELOAD_REFUSED = "reload-refused"
    OVERRIDE_ENDS = "override-ends"
    STATE_NOT_WRITTEN = "state-not-written"


TEST = "test"  # the kind of an alarm that is none


class Severity(StrEnum):
    CRITICAL = "critical"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Alarm:
    """`key` is the same as long as it is the same alarm; `subject` is what the log has such things under;
    `since`: when it was raised (Unix seconds).
    """

    key: str
    kind: str
    subject: str
    severity: Severity
    text: str
    since: float = 0.0


RAISED, CLEARED = "raised", "cleared"


class Transition(NamedTuple):
    """An alarm RAISED (or graver than it was) or CLEARED, at Unix seconds."""

    event: str
    alarm: Alarm
    at: float


@dataclass(frozen=True, slots=True)
class Limits:
    """In seconds: before which end of a certificate or an override, and from which age of a database on."""

    certificate: float = 14 * DAY
    database_age: float = 30 * DAY
    override_ends: float = 300.0


class Database(NamedTuple):
    """A geo database that is in use; its age in seconds."""

    kind: str
    age: float
    synthetic: bool


@dataclass(frozen=True, slots=True)
class Facts:
    """What holds beside the world. `certificates`: when they end, where that is near; `failing`: how many
    checks there are of each kind of which none is well; `refused` and `unwritten`: why, by what.
    """

    suspected: bool = False
    certificates: Mapping[Probe, float] = field(default_factory=dict)
    failing: Mapping[str, int] = field(default_factory=dict)
    databases: tuple[Database, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)
    unwritten: Mapping[str, str] = field(default_factory=dict)


class PoolState(NamedTuple):
    """What is wrong with a pool: why it fails `open`, or is `shut` (clients are told of none of its
    endpoints); the regions that cannot serve (`out`), those of them that are `paused`; and, where others can,
    the rules that lead to none.
    """

    open: str = ""
    shut: str = ""
    out: frozenset[str] = frozenset()
    paused: frozenset[str] = frozenset()
    starved: Mapping[str, int] = {}


WELL = PoolState()


def state_of(world: World, pool: Pool, policies: Iterable[str]) -> PoolState:
    """What a pool comes to that is steered by these policies."""
    regions = [r for r in pool.regions if not available(pool, r, world)]
    if not regions and pool.panic is None:
        return WELL
    out = frozenset(r.region for r in regions)
    paused = frozenset(r.region for r in regions if Site.of(pool, r, world).paused)
    if failing_open(pool, world):
        why = "too little is healthy: health is ignored" if panics(pool, world) else "no region is available"
        return PoolState(why, "", out, paused)
    if len(out) == len(pool.regions):
        return PoolState("", _shut(pool, all_paused=paused == out), out, paused)
    return PoolState("", "", out, paused, _starved(world, pool, policies, out) if out else {})


def _shut(pool: Pool, *, all_paused: bool) -> str:
    if all_paused:
        return "all its regions are paused: clients are told nothing"
    told = "its backup" if pool.when_all_down is AllDown.BACKUP else "nothing"
    return f"no region is available: clients are told {told}"


def _starved(world: World, pool: Pool, policies: Iterable[str], out: frozenset[str]) -> Mapping[str, int]:
    found: dict[str, int] = {}
    for id_ in policies:
        policy = world.policies.get(id_)
        rule = starved(pool, policy, out, out) if policy else None
        if rule is not None:
            found[id_] = rule
    return found


def policies_of(world: World) -> Mapping[str, list[str]]:
    """By pool, the policies that names are steered to it by."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for pool, policy in world.steered:
        found[pool].append(policy)
    return found


def homes_of(world: World) -> Counter[str]:
    """By region, in how many pools it is."""
    return Counter(region.region for pool in world.pools.values() for region in pool.regions)


def failing_kinds(health: Mapping[Probe, Health], kinds: Mapping[str, int]) -> dict[str, int]:
    """Of `kinds`, with how many checks there are of each, those of which every check has failed."""
    left = {kind: count for kind, count in kinds.items() if count >= ENOUGH}
    failed: Counter[str] = Counter()
    for probe, one in health.items():
        kind = probe.check.kind
        if kind not in left:
            continue
        if one.verdict is Verdict.DOWN:
            failed[kind] += 1
        else:
            del left[kind]
            if not left:
                break
    return {kind: count for kind, count in left.items() if failed[kind] >= count}


def found(
    world: World,
    states: Mapping[str, PoolState],
    homes: Mapping[str, int],
    facts: Facts,
    limits: Limits,
    now: float,
) -> list[Alarm]:
    """The alarms that hold. `states` are those of the pools that are not WELL, `homes` is `homes_of` it."""
    return [
        *_of_prober(facts),
        *_of_pools(states),
        *_of_regions(states, homes),
        *_of_state(facts),
        *_of_files(facts, limits),
        *_of_overrides(world, limits, now),
        *_of_certificates(facts, now),
    ]


def _of_prober(facts: Facts) -> Iterator[Alarm]:
    if facts.suspected:
        text = "most checks fail at once: the prober itself is suspected, and verdicts are frozen"
        yield _alarm(Kind.PROBER_SUSPECTED, "prober", text)
    for kind, count in facts.failing.items():
        yield _alarm(Kind.CHECKS_FAILING, kind, f"all {count} checks of the kind {kind} fail")


def _of_pools(states: Mapping[str, PoolState]) -> Iterator[Alarm]:
    for id_, state in states.items():
        if state.open:
            text = f"pool {id_} fails open: {state.open}"
            yield _alarm(Kind.POOL_FAILING_OPEN, id_, text)
        if state.shut:
            yield _alarm(Kind.POOL_OUT, id_, f"pool {id_} is out: {state.shut}")
        for policy, rule in state.starved.items():
            text = f"rule {rule + 1} of policy {policy} leads to no region of pool {id_} that is available"
            yield _alarm(Kind.POOL_FAILING_OPEN, id_, text, key=f"{id_}:{policy}")


def _of_regions(states: Mapping[str, PoolState], homes: Mapping[str, int]) -> Iterator[Alarm]:
    """A region that is paused in a pool is not missed there."""
    failed: defaultdict[str, list[str]] = defaultdict(list)
    paused: Counter[str] = Counter()
    for id_, state in states.items():
        paused.update(state.paused)
        for region in state.out - state.paused:
            failed[region].append(id_)
    for region, pools in failed.items():
        whole = len(pools) + paused[region] >= homes.get(region, 0)
        where = "" if whole else f" in {len(pools)} of its {homes[region]} pools"
        text = f"region {region} cannot serve{where}: too little is healthy in {_listed(pools)}"
        severity = Severity.CRITICAL if whole else Severity.WARNING
        yield _alarm(Kind.REGION_OUT, region, text, severity)


def _of_state(facts: Facts) -> Iterator[Alarm]:
    for what, why in facts.unwritten.items():
        yield _alarm(Kind.STATE_NOT_WRITTEN, what, f"the state file does not take the {what}: {why}")


def _of_files(facts: Facts, limits: Limits) -> Iterator[Alarm]:
    for what, why in facts.refused.items():
        text = f"the new {what} are not taken, the old ones serve on: {why}"
        yield _alarm(Kind.RELOAD_REFUSED, what, text, Severity.WARNING)
    for kind, age, _ in facts.databases:
        if age > limits.database_age:
            text = f"the {kind} database is {age / DAY:.0f} days old"
            yield _alarm(Kind.DATABASE_OLD, kind, text, Severity.WARNING)
    made_up = [database.kind for database in facts.databases if database.synthetic]
    if made_up:
        text = f"databases are synthetic: real clients are sent anywhere ({', '.join(made_up)})"
        yield _alarm(Kind.DATABASE_SYNTHETIC, "databases", text, Severity.WARNING)


def _of_overrides(world: World, limits: Limits, now: float) -> Iterator[Alarm]:
    """Nobody is reminded of what was set for so short a time from the first."""
    for o in world.overrides.values():
        if o.until is None or o.until - now > limits.override_ends:
            continue
        if o.until - o.since > limits.override_ends:
            what = f"{o.kind} {value_text(o)}".strip()
            text = f"{what} of {o.subject} ends at {_moment(o.until)} ({o.actor}: {o.reason})"
            yield _alarm(Kind.OVERRIDE_ENDS, o.subject, text, Severity.WARNING, key=f"{o.kind}:{o.subject}")


def _of_certificates(facts: Facts, now: float) -> Iterator[Alarm]:
    for probe, ends in facts.certificates.items():
        over = ends <= now
        named = probe.check.sni or probe.check.host
        of = f"{probe.address}:{probe.port}" + (f" for {named}" if named else "")
        text = f"the certificate of {of} {'has ended' if over else 'ends'} at {_moment(ends)}"
        severity = Severity.CRITICAL if over else Severity.WARNING
        yield _alarm(Kind.CERTIFICATE_ENDS, probe.id, text, severity)


def _alarm(
    kind: Kind, subject: str, text: str, severity: Severity = Severity.CRITICAL, *, key: str = ""
) -> Alarm:
    return Alarm(f"{kind}:{key or subject}", kind.value, subject, severity, text)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return ", ".join(sorted(names)[:MAX_NAMED]) + more


def _moment(at: float) -> str:
    try:
        return datetime.fromtimestamp(at, UTC).isoformat(" ", "seconds").replace("+00:00", " UTC")
    except (ValueError, OverflowError, OSError):  # a certificate may say anything
        return f"{at:.0f} s after 1970"


class Turn(NamedTuple):
    """The alarms that are held now, by key; what became of them; how many more there was no room for."""

    held: Mapping[str, Alarm]
    transitions: tuple[Transition, ...]
    left_out: int


def turned(held: Mapping[str, Alarm], found: Iterable[Alarm], now: float) -> Turn:
    """What changed from the alarms that were held to those that were found: at most MAX_HELD are held, the
    critical ones first. One that became critical is raised again, under its key.
    """
    known: dict[str, Alarm] = {}
    news: dict[str, Alarm] = {}
    graver: list[Alarm] = []
    for alarm in found:
        was = held.get(alarm.key)
        if was is None:
            news[alarm.key] = alarm
            continue
        same = was.text == alarm.text and was.severity is alarm.severity
        known[alarm.key] = was if same else replace(alarm, since=was.since)
        if was.severity is Severity.WARNING and alarm.severity is Severity.CRITICAL:
            graver.append(known[alarm.key])
    room = max(0, MAX_HELD - len(known))
    gravest = sorted(news.values(), key=lambda alarm: alarm.severity is not Severity.CRITICAL)
    taken = [replace(alarm, since=now) for alarm in gravest[:room]]
    over = [alarm for key, alarm in held.items() if key not in known]
    transitions = [Transition(RAISED, alarm, now) for alarm in (*graver, *taken)]
    transitions += [Transition(CLEARED, alarm, now) for alarm in over]
    return Turn(known | {a.key: a for a in taken}, tuple(transitions), len(news) - len(taken))
