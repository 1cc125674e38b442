"""The measurements as Markdown, for people."""

from __future__ import annotations

import statistics
from collections.abc import Iterable

from bench import goals, sections
from bench.data import in_words
from bench.geodns import LANES
from bench.goals import Goal
from bench.markdown import table
from bench.results import MODES, POWERDNS, Results, Runs
from bench.workloads import BESIDE, MAIN, MIDDLE, RATE, SIZES

PLOT = "report.svg"
NOTABLE_STEAL = 0.03


def render(results: Results) -> str:
    """The whole report; a part that was not measured has no place in it."""
    parts = ["# Measured beside the peers", _machine(results), *_goals(results)]
    if results.peers:
        parts += _peers(results, results.peers)
    parts += sections.render(results)
    parts += [*_remarks(results), "## How it was measured", sections.method()]
    return "\n\n".join(parts) + "\n"


def _machine(results: Results) -> str:
    lines = [f"- {key}: {value}" for key, value in results.machine.items()]
    lines += [f"- {s['title']}: {s['version']}" for s in results.servers.values() if s["version"]]
    return "\n".join(lines)


def _goals(results: Results) -> list[str]:
    """Of each lane, what it is to reach; then all that was missed, for whoever reads only that."""
    parts, missed = [], []
    for lane in LANES:
        found = goals.of_lane(results, lane.id)
        if found:
            rows = [[g.what, g.bound(), _measured(g), _floor(g), g.verdict()] for g in found]
            parts += [
                f"## What is to be reached: {lane.title}",
                table(["", "", "measured", "echo", ""], rows),
            ]
            missed += [line for g in found for line in _missed(lane.title, g)]
    if parts:
        parts.append(
            "Under echo: what receiving and sending alone has in the lane's place, the floor of all that "
            "receives and sends in the same way."
        )
        parts += ["## What was missed", "\n".join(missed) or "Nothing of what was measured."]
    return parts


def _measured(goal: Goal) -> str:
    values = {at: v for at, v in goal.values.items() if v is not None}
    shown = [f"**{goal.show(v)}**" if at in goal.missed() else goal.show(v) for at, v in values.items()]
    return " / ".join(shown) + (f" ({' / '.join(values)})" if any(values) else "")


def _floor(goal: Goal) -> str:
    return " / ".join(_two_digits(value) for value in goal.floor.values())


def _missed(lane: str, goal: Goal) -> list[str]:
    return [
        f"- {lane}: {goal.what}{f', {at}' if at else ''}: {goal.show(value)}, to be {goal.bound()}"
        + (" (below the echo)" if (goal.floor.get(at) or 0.0) > goal.limit else "")
        for at, value in goal.missed().items()
    ]


def _peers(results: Results, runs: Runs) -> list[str]:
    parts = [
        "## CPU microseconds per answered query",
        f"Median of {runs.rounds} rounds (lowest to highest).",
        f"![CPU per answered query]({PLOT})",
    ]
    sizes = [in_words(n) for n in SIZES]
    for kind in MAIN:
        rows = [
            [s["title"], *(_spread(runs.values(i, kind.id, n)) for n in SIZES)]
            for i, s in _servers(results, runs)
        ]
        parts += [f"### {kind.title}", table([kind.id, *sizes], rows)]
    rows = [
        [s["title"], *(_spread(runs.values(i, k.id, MIDDLE)) for k in BESIDE)]
        for i, s in _servers(results, runs)
    ]
    return [
        *parts,
        f"### beside these, {in_words(MIDDLE)}",
        table(["", *(f"{k.title} ({k.id})" for k in BESIDE)], rows),
        "## Ratios of the medians",
        f"At {in_words(MIDDLE)}. PowerDNS: whichever of its two modes is cheaper.",
        _ratio_table(results, runs),
        f"## Latency at {RATE:,} queries a second",
        "p50 / p99 in microseconds, median of the rounds.",
        _latency_table(results, runs),
        "## Start and memory",
        _start_table(results, runs),
    ]


def _servers(results: Results, runs: Runs) -> list[tuple[str, dict[str, str]]]:
    """Those that were measured, with what is known of them."""
    measured = {row["server"] for row in runs.rows}
    return [(server, about) for server, about in results.servers.items() if server in measured]


def _spread(values: list[float]) -> str:
    if not values:
        return "–"
    return f"**{statistics.median(values):.2f}** ({min(values):.2f}–{max(values):.2f})"


def _ratio_table(results: Results, runs: Runs) -> str:
    kinds = [*MAIN, *BESIDE]
    rows = []
    for server, about in _servers(results, runs):
        for base, name in (("gdnsd", "gdnsd"), (POWERDNS, "PowerDNS"), ("echo", "echo")):
            found = [runs.ratio(server, base, kind.id, MIDDLE) for kind in kinds]
            itself = server == base or (server in MODES and base == POWERDNS)
            if server != "echo" and not itself and any(found):
                rows.append([f"{about['title']} ÷ {name}", *map(_two_digits, found)])
    return table(["", *(kind.id for kind in kinds)], rows)


def _two_digits(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _latency_table(results: Results, runs: Runs) -> str:
    rows = []
    for server, about in _servers(results, runs):
        cells = [_latency(runs, server, kind.id, names) for kind in MAIN for names in SIZES]
        rows.append([about["title"], *cells])
    return table(["", *(f"{kind.id}, {names:,}" for kind in MAIN for names in SIZES)], rows)


def _latency(runs: Runs, server: str, kind: str, names: int) -> str:
    p50, p99 = (runs.median(server, kind, names, key, RATE) for key in ("p50_us", "p99_us"))
    return "–" if p50 is None or p99 is None else f"{p50:.0f} / {p99:.0f}"


def _start_table(results: Results, runs: Runs) -> str:
    rows = []
    for server, about in _servers(results, runs):
        cells = []
        for names in SIZES:
            own = [s for s in runs.starts if (s["server"], s["names"]) == (server, names)]
            pair = [statistics.median(s[key] for s in own) for key in ("ready_s", "memory_mb") if own]
            cells.append(f"{pair[0]:.2f} s, {pair[1]:.0f} MiB" if pair else "–")
        rows.append([about["title"], *cells])
    return table(["to the first right answer, and in RAM after the load", *map(in_words, SIZES)], rows)


def _remarks(results: Results) -> list[str]:
    """What a reader must know before believing the tables; nothing where all went well."""
    lines = [f"- left out: {reason}" for reason in results.skipped]
    rows = results.peers.rows if results.peers else []
    for row in rows:
        what = f"- {row['server']}, {row['kind']}, {in_words(row['names'])}, round {row['round'] + 1}: "
        if row["problem"]:
            lines.append(what + row["problem"])
        if row["lost"]:
            lines.append(what + f"{row['lost']} of {row['sent']} queries lost")
    stolen = [row["stolen"] for row in rows if row["stolen"] > NOTABLE_STEAL]
    if stolen:
        lines.append(
            f"- the hypervisor took more than {NOTABLE_STEAL:.0%} of the server's core, at most "
            f"{max(stolen):.0%}, in {len(stolen)} of {len(rows)} measurements: trust the ratios more"
        )
    return ["## Remarks", "\n".join(lines)] if lines else []


def problems(results: Results) -> Iterable[str]:
    """Where answers were wrong, so that a figure means nothing."""
    rows = results.peers.rows if results.peers else []
    return [row["problem"] for row in rows if row["problem"]]
