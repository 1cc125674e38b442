"""What each lane is to reach, and whether it did."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import Any

from bench import threads
from bench.data import in_words
from bench.geodns import GeodnsNative, GeodnsPython
from bench.peers import Echo, Gdnsd
from bench.results import POWERDNS, Results, Runs
from bench.workloads import KINDS, MIDDLE, RATE, SIZES

NATIVE, PYTHON = GeodnsNative.id, GeodnsPython.id
BASES = {"gdnsd": "gdnsd", "knot": "Knot", POWERDNS: "PowerDNS", "echo": "echo"}
TITLES = {kind.id: kind.title for kind in KINDS}

# Kinds, names in the zone, beside which server, at most.
STEERED = ("plain", "ecs4", "ecs6")
BESIDE_NATIVE = (
    (("plain",), SIZES, "gdnsd", 1.0),
    (("ecs4", "ecs6"), SIZES, "gdnsd", 0.95),
    (STEERED, SIZES, "echo", 1.2),
    (STEERED, SIZES, "knot", 0.8),
    (STEERED, SIZES, POWERDNS, 0.25),
)
BESIDE_PYTHON = (
    (("plain",), (1, MIDDLE), "gdnsd", 2.2),
    (("case",), (MIDDLE,), "gdnsd", 2.2),
    (("ecs4",), (1, MIDDLE), "gdnsd", 2.6),
    (("plain",), (1, MIDDLE), POWERDNS, 0.6),
    (("ecs4",), (1,), POWERDNS, 0.6),
)
MISSING_NATIVE, MISSING_PYTHON = 1.1, 1.5
READY_NATIVE, READY_PYTHON = {100_000: 8.0}, {10_000: 2.0, 100_000: 12.0}
FLAT = 1.4
SCALING = 1.6
CHANGE_MS = 100.0
RELOAD_P99_MS = 50.0


@dataclass(frozen=True)
class Goal:
    """`values`: what was measured, by what it was measured at ("" where there is nothing to tell apart).

    None: it was not measured there. `least`: the limit is to be reached from above. `floor`: what the echo
    has in its place; a limit below it cannot be reached by whoever receives and sends as the echo does.
    """

    what: str
    limit: float
    values: dict[str, float | None]
    unit: str = ""
    least: bool = False
    floor: dict[str, float | None] = field(default_factory=dict)

    def missed(self) -> dict[str, float]:
        """Where it was measured and not reached, at the two digits that are shown."""
        found = {at: round(value, 2) for at, value in self.values.items() if value is not None}
        return {at: v for at, v in found.items() if (v < self.limit if self.least else v > self.limit)}

    def measured(self) -> bool:
        return any(value is not None for value in self.values.values())

    def verdict(self) -> str:
        return "**missed**" if self.missed() else "reached"

    def bound(self) -> str:
        return f"{'≥' if self.least else '≤'} {self.show(self.limit)}"

    def show(self, value: float) -> str:
        return f"{f'{value:,}' if isinstance(value, int) else f'{value:.2f}'} {self.unit}".strip()


def of_lane(results: Results, lane: str) -> list[Goal]:
    """All goals of a lane that were measured."""
    native = lane == NATIVE
    found = _peers(results.peers, lane) if results.peers else []
    found += _scale(results.scale) if native else []
    found += _changes(results.changes.get(lane), READY_NATIVE if native else READY_PYTHON)
    found += _reload(results.reload.get(lane))
    found += _threads(results.threads.get(lane)) if native else []
    return [goal for goal in found if goal.measured()]


def _peers(runs: Runs, lane: str) -> list[Goal]:
    native, found = lane == NATIVE, []
    for kinds, sizes, base, most in BESIDE_NATIVE if native else BESIDE_PYTHON:
        for kind in kinds:
            own, floor = ({in_words(n): runs.ratio(s, base, kind, n) for n in sizes} for s in (lane, Echo.id))
            what = f"CPU, {TITLES[kind]} ÷ {BASES[base]}"
            found.append(Goal(what, most, own, floor={} if base == Echo.id else floor))
    sizes, most = (SIZES, MISSING_NATIVE) if native else ((MIDDLE,), MISSING_PYTHON)
    values = {in_words(n): _denied(runs, lane, n) for n in sizes}
    found.append(Goal(f"CPU, {TITLES['missing']} ÷ plain", most, values))
    for kind in (*STEERED, "missing") if native else ():
        values = {in_words(n): runs.ratio(lane, Gdnsd.id, kind, n, "p99_us", RATE) for n in SIZES}
        found.append(Goal(f"p99 at {RATE:,} a second, {TITLES[kind]} ÷ gdnsd", 1.0, values))
    return found


def _denied(runs: Runs, lane: str, names: int) -> float | None:
    """How many times as much a denial costs as an answer."""
    missing, plain = (runs.median(lane, kind, names) for kind in ("missing", "plain"))
    return missing / plain if missing is not None and plain else None


def _scale(scale: dict[str, Any]) -> list[Goal]:
    if NATIVE not in scale:
        return []
    found = scale[NATIVE]
    what = f"CPU at {in_words(found['names'])} ÷ at 1,000"
    return [Goal(f"{what}, {kind}", FLAT, {"": flatness(found, kind)}) for kind in found["many"]["cpu_us"]]


def flatness(found: dict[str, Any], kind: str) -> float:
    """How many times as much a query costs with many names as with few."""
    many, few = (float(statistics.median(found[size]["cpu_us"][kind])) for size in ("many", "few"))
    return many / few


def _changes(found: dict[str, Any] | None, ready: dict[int, float]) -> list[Goal]:
    if not found:
        return []
    goals = [
        Goal(f"start to the first right answer, {in_words(r['names'])}", limit, {"": r["seconds"]}, "s")
        for r in found["ready"]
        if (limit := ready.get(r["names"])) is not None
    ]
    verdict, paused, again = found["verdict"], found["pause"], found["reload"]
    return [
        *goals,
        Goal("deciding probe result to the last old answer", CHANGE_MS, {"": verdict["late_ms"]}, "ms"),
        Goal("return of the pause call to the last old answer", CHANGE_MS, {"": paused["late_ms"]}, "ms"),
        Goal("names told an old address after the pause call returned", 0, {"": paused["names_old"]}),
        Goal(f"lost while {in_words(again['names'])} are read again", 0, {"": again["lost"]}),
        Goal("p99 of the answers meanwhile", RELOAD_P99_MS, {"": again["p99_us"] / 1e3}, "ms"),
    ]


def _reload(found: dict[str, Any] | None) -> list[Goal]:
    """Besides what is lost or mixed: every answer holds both addresses."""
    if not found:
        return []
    times = f"{found['reloads']:,} reloads under full load"
    return [
        Goal(f"lost, {times}", 0, {"": found["lost"]}),
        Goal(f"mixed answers, {times}", 0, {"": found["mixed"]}),
        Goal(f"answers that were errors or incomplete, {times}", 0, {"": incomplete(found)}),
    ]


def incomplete(found: dict[str, Any]) -> int:
    """Answers to another question, errors, and addresses that are missing of two in each answer."""
    wrong: int = found["wrong"] + found["errors"] + abs(2 * found["answered"] - found["records"])
    return wrong


def _threads(found: dict[str, Any] | None) -> list[Goal]:
    """Only where the load generator has a core of its own beside the threads; the report says what else."""
    if not found or not threads.room():
        return []
    return [
        Goal(
            "throughput of two threads ÷ of one",
            SCALING,
            {"": found["2"]["qps"] / found["1"]["qps"]},
            least=True,
        )
    ]
