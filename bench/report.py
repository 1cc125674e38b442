"""The measurements as Markdown, for people."""

from __future__ import annotations

import statistics
from collections.abc import Iterable

from bench import data
from bench.machine import Load
from bench.run import Results
from bench.server import SAMPLE

CPU_WORKLOADS = ("one", "names", "case", "missing", "ecs-cold", "ecs-warm", "ecs-names", "cookies")
POWERDNS = ("powerdns", "powerdns-cached")

# What the issue asks of the Python lane: the workload, beside what, at most.
GOALS = (
    ("one", "gdnsd", 2.2),
    ("names", "gdnsd", 2.2),
    ("case", "gdnsd", 2.2),
    ("ecs-warm", "gdnsd", 2.6),
    ("ecs-names", "gdnsd", 2.6),
    ("one", "powerdns", 0.6),
    ("names", "powerdns", 0.6),
    ("ecs-warm", "powerdns", 0.6),
)
MISSING_TO_POSITIVE = 1.5
NOTABLE_STEAL = 0.03


def render(results: Results) -> str:
    """The whole report."""
    parts = [
        "# CPU per answered query",
        _machine(results),
        "## CPU microseconds per answered query",
        f"Median of {results.rounds} rounds (lowest to highest).",
        _cpu_table(results),
        "## Ratios of the medians",
        "PowerDNS: whichever of its two modes is cheaper.",
        _ratio_table(results),
        *_goals(results),
        "## At 5,000 queries a second",
        _latency_table(results),
        "## Start and memory",
        _start_table(results),
        *_remarks(results),
        "## How it was measured",
        _method(),
    ]
    return "\n\n".join(parts) + "\n"


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table; the first column to the left, the others to the right."""
    heads = list(head)
    lines = [heads, ["---", *["--:"] * (len(heads) - 1)], *(list(row) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def ratio(results: Results, server: str, workload: str, base: str) -> float | None:
    """How many times `base` the server takes; None where either was not measured."""
    own = results.median(server, workload)
    others = [results.median(b, workload) for b in (POWERDNS if base == "powerdns" else (base,))]
    known = [o for o in others if o]
    return own / min(known) if own and known else None


def _machine(results: Results) -> str:
    lines = [f"- {key}: {value}" for key, value in results.machine.items()]
    lines += [f"- {s['title']}: {s['version']}" for s in results.servers.values() if s["version"]]
    return "\n".join(lines)


def _cpu_table(results: Results) -> str:
    workloads = [w for w in CPU_WORKLOADS if w in results.workloads]
    return table(
        ["server", *(results.workloads[w] for w in workloads)],
        (
            [s["title"], *(_spread(results.values(i, w, "cpu_us")) for w in workloads)]
            for i, s in results.servers.items()
        ),
    )


def _spread(values: list[float]) -> str:
    if not values:
        return "–"
    return f"**{statistics.median(values):.2f}** ({min(values):.2f}–{max(values):.2f})"


def _ratio_table(results: Results) -> str:
    rows = []
    for server, about in results.servers.items():
        for base, name in (("gdnsd", "gdnsd"), ("powerdns", "PowerDNS"), ("echo", "echo")):
            found = [ratio(results, server, w, base) for w in CPU_WORKLOADS]
            itself = server == base or (server in POWERDNS and base == "powerdns")
            if server != "echo" and not itself and any(found):
                rows.append(
                    [f"{about['title']} ÷ {name}", *("–" if r is None else f"{r:.2f}" for r in found)]
                )
    return table(["", *CPU_WORKLOADS], rows)


def _goals(results: Results) -> list[str]:
    """Only where geodns was measured."""
    if "geodns" not in results.servers or not results.values("geodns", "one", "cpu_us"):
        return []
    rows = []
    for workload, base, most in GOALS:
        found = ratio(results, "geodns", workload, base)
        if found is not None:
            rows.append([f"{workload} ÷ {base}", f"{most:.2f}", f"{found:.2f}", _verdict(found, most)])
    missing, positive = results.median("geodns", "missing"), results.median("geodns", "names")
    if missing and positive:
        found = missing / positive
        rows.append(
            [
                "missing ÷ names",
                f"{MISSING_TO_POSITIVE:.2f}",
                f"{found:.2f}",
                _verdict(found, MISSING_TO_POSITIVE),
            ]
        )
    return ["## What geodns is to reach", table(["ratio", "at most", "measured", ""], rows)]


def _verdict(found: float, most: float) -> str:
    return "reached" if found <= most else "**missed**"


def _latency_table(results: Results) -> str:
    rows = []
    for server, about in results.servers.items():
        p50, p99 = (results.median(server, "latency", key) for key in ("p50_us", "p99_us"))
        if p50 is not None and p99 is not None:
            lost = sum(results.values(server, "latency", "lost"))
            cpu = results.median(server, "latency")
            rows.append([about["title"], f"{p50:.0f}", f"{p99:.0f}", f"{lost:.0f}", f"{cpu:.1f}"])
    return table(["server", "p50 µs", "p99 µs", "lost", "CPU µs per query"], rows)


def _start_table(results: Results) -> str:
    rows = []
    for server, about in results.servers.items():
        own = [s for s in results.starts if s["server"] == server]
        if own:
            ready, memory = (statistics.median(s[key] for s in own) for key in ("ready_s", "memory_mb"))
            rows.append([about["title"], f"{ready:.2f}", f"{memory:.0f}"])
    return table(["server", "seconds to the first right answer", "MiB resident"], rows)


def _remarks(results: Results) -> list[str]:
    """What a reader must know before believing the tables; nothing where all went well."""
    lines = [f"- left out: {reason}" for reason in results.skipped.values()]
    for run in results.runs:
        what = f"- {run['server']}, {run['workload']}, round {run['round'] + 1}: "
        if run.get("problem"):
            lines.append(what + run["problem"])
        if run["lost"]:
            lines.append(what + f"{run['lost']} of {run['sent']} queries lost")
    stolen = [run["stolen"] for run in results.runs if run["stolen"] > NOTABLE_STEAL]
    if stolen:
        lines.append(
            f"- the hypervisor took more than {NOTABLE_STEAL:.0%} of the server's core, at most "
            f"{max(stolen):.0%}, in {len(stolen)} of {len(results.runs)} measurements: trust the ratios more"
        )
    return ["## Remarks", "\n".join(lines)] if lines else []


def _method() -> str:
    return f"""\
Every server answers one zone of {data.NAMES:,} names with the same steering (by country, then continent, to
four regions of two addresses, weights 3 and 1) from the same synthetic City database ({data.NETWORKS:,}
networks, {len(data.COUNTRIES)} countries), and is checked after each round to steer {SAMPLE} sampled networks
rightly and to deny a name that does not exist; one that does not is left out. Knot's module cannot draw by
weight in this mode and has one address a region. Each runs with one worker thread, started anew in each round
on a loopback port; servers take turns within a round, and the order rotates.

CPU is user and system time of the server's processes (their CPU clocks, which is what /proc/PID/stat shows in
finer steps) over a workload, divided by the answers. The load generator (bench/loadgen.c) runs on the other
core, keeps {Load.window} queries unanswered, spins instead of sleeping, and takes an answer only with the
right id and the question echoed octet for octet. Plain queries carry no EDNS; Client Subnet queries carry a
/24. Cold is the first pass over all networks after a start; warm is what follows. In the row of PowerDNS with
caches off its packet and query caches are off; the other one has its defaults."""
