"""The report on the parts beside `peers`, and how everything was measured."""

from __future__ import annotations

import statistics
from typing import Any

from bench import changes, data, machine, reload, scale, threads, workloads
from bench.data import in_words
from bench.goals import flatness, incomplete
from bench.machine import Load
from bench.markdown import table
from bench.results import Results
from bench.server import SAMPLE


def render(results: Results) -> list[str]:
    """The sections of the parts that were measured."""
    parts: list[str] = []
    if results.scale:
        parts += _scale(results)
    if results.changes:
        parts += _changes(results)
    if results.reload:
        parts += _reload(results)
    if results.threads:
        parts += _threads(results)
    return parts


def _scale(results: Results) -> list[str]:
    many = in_words(next(iter(results.scale.values()))["names"])
    kinds = list(scale.KINDS)
    rows = [
        [
            results.title(server),
            *(f"{_median(found, kind)} (× {flatness(found, kind):.2f})" for kind in kinds),
            f"{found['many']['ready_s']:.2f} s",
            f"{found['many']['memory_mb']:,.0f} MiB",
            f"{found['many']['peak_mb']:,.0f} MiB",
            f"{found['few']['memory_mb']:,.0f} MiB",
        ]
        for server, found in results.scale.items()
    ]
    heads = [f"{kind}, CPU µs (÷ at {in_words(scale.FEW)})" for kind in kinds]
    yaml = [f"- {results.title(s)}: {_yaml(found)}" for s, found in results.scale.items() if "yaml" in found]
    return [
        f"## {many}",
        f"Median of the rounds (up to {scale.ROUNDS}), few names and many in turns.",
        table(["", *heads, "ready after", "in RAM", "at the most", f"with {in_words(scale.FEW)}"], rows),
        *(["\n".join(yaml)] if yaml else []),
    ]


def _yaml(found: dict[str, Any]) -> str:
    seconds, ready = found["yaml"]["seconds"], found["many"]["ready_s"]
    return (
        f"{seconds:.2f} s of the {ready:.2f} s are YAML ({seconds / ready:.0%}): reading the same file with "
        f"geodns's reader and nothing else; what it makes takes {found['yaml']['memory_mb']:,.0f} MiB, as "
        "long as the files are read"
    )


def _median(found: dict[str, Any], kind: str) -> str:
    return f"{statistics.median(found['many']['cpu_us'][kind]):.2f}"


def _changes(results: Results) -> list[str]:
    lanes = list(results.changes)
    by_lane = [_change_figures(results.changes[lane]) for lane in lanes]
    rows = [[what, *(figures[what] for figures in by_lane)] for what in by_lane[0]]
    return [
        "## Changes under load",
        table(["", *map(results.title, lanes)], rows),
        f"The failing endpoint is a real HTTP server; the probe result that decides is its second failure. "
        f"Answers are recorded one by one at {changes.CHANGE_RATE:,} queries a second; the reading is one "
        f"changed file and SIGHUP at {changes.RELOAD_RATE:,}.",
    ]


def _change_figures(found: dict[str, Any]) -> dict[str, str]:
    verdict, paused, again = found["verdict"], found["pause"], found["reload"]
    few, many = in_words(changes.FEW), in_words(again["names"])
    return {
        **{
            f"start to the first right answer, {in_words(r['names'])}": (
                f"{r['seconds']:.2f} s ({r['memory_mb']:.0f} MiB)"
            )
            for r in found["ready"]
        },
        f"deciding probe result to the last old answer, {few} on one pool": f"{verdict['late_ms']:.2f} ms",
        "names asked after it, and looked at": f"{verdict['names_seen']:,}",
        f"return of the pause call to the last old answer, {few}": f"{paused['late_ms']:.2f} ms",
        "names told an old address after the pause call returned": f"{paused['names_old']:,}",
        "names asked after the pause, and looked at": f"{paused['names_seen']:,}",
        "duration of the pause call": f"{paused['call_ms']:.2f} ms",
        f"reading again to the first answer with it, {many}": f"{again['seconds']:.2f} s",
        "lost meanwhile": f"{again['lost']:,} of {again['sent']:,}",
        "p99 of the answers meanwhile, and the slowest": (
            f"{again['p99_us'] / 1e3:.2f} ms, {again['max_us'] / 1e3:.2f} ms"
        ),
    }


def _reload(results: Results) -> list[str]:
    rows = [
        [
            results.title(server),
            f"{found['reloads']:,}",
            f"{found['answered']:,} ({found['answered'] / found['seconds']:,.0f} a second)",
            f"{found['lost']:,}",
            f"{found['mixed']:,}",
            f"{incomplete(found):,}",
            f"{found['turns']:,}",
            f"{found['seconds_median']:.2f} s ({found['seconds_max']:.2f} s)",
            f"{found['worst_p99_us'] / 1e3:.1f} ms",
        ]
        for server, found in results.reload.items()
    ]
    heads = ["", "reloads", "answered", "lost", "mixed", "errors, incomplete", "turns", "one took", "p99"]
    return [
        "## Read again and again under full load",
        table(heads, rows),
        f"""\
Two generations of all addresses take turns. An answer, which holds both addresses of its region, is mixed
where they are of different generations, incomplete where one is missing. As many turns as reloads: no old
answer came after a new one. {Load.window} queries are unanswered all the time, Client Subnet IPv4 on
{in_words(data.NAMES)}; after each reload every client is new to the server. Server, reading process and load
generator share all cores. What one took: the median and the longest, from the changed file to the answers.
p99: the worst of the load generator's legs of {reload.LEG:.0f} s.""",
    ]


def _threads(results: Results) -> list[str]:
    rows = [
        [
            f"{results.title(server)}, {n} thread{'s' if n != '1' else ''}",
            f"{row['qps']:,.0f}",
            f"{row['cpu_us']:.2f}",
            f"{row['second']:.0%}",
            f"{row['idle']:.0%}",
        ]
        for server, found in results.threads.items()
        for n, row in found.items()
    ]
    ratios = [
        f"- {results.title(server)}: two threads ÷ one: {found['2']['qps'] / found['1']['qps']:.2f} × the "
        f"answers, {found['2']['cpu_us'] / found['1']['cpu_us']:.2f} × the CPU time of each"
        for server, found in results.threads.items()
    ]
    return [
        "## Two threads that answer",
        table(
            ["", "answers a second", "CPU µs of each", "second thread's share", "load generator idle"], rows
        ),
        "\n".join(ratios),
        _what_it_means(),
    ]


def _what_it_means() -> str:
    cores = ", ".join(map(str, threads.cores()))
    told = (
        f"Median of the rounds (up to {threads.ROUNDS}), Client Subnet IPv4 on {in_words(data.NAMES)} from "
        f"{threads.SOCKETS} ports; the server may use the cores {cores}, the load generator core "
        f"{machine.cores()[1]}. "
    )
    if threads.room():
        return told + "Where the load generator was not idle, it was the limit, not the server."
    return told + (
        "**The throughput of two threads cannot be measured here**: the load generator needs as much of a "
        "core as a thread that answers, and this machine has too few for three. Two threads share with it "
        "what one thread and it had to themselves. What can be measured is what sharing the work costs: had "
        "each thread a core, two would answer at most 2 ÷ (the ratio of CPU time) as much as one."
    )


def method() -> str:
    few, most = workloads.SIZES[0], workloads.SIZES[-1]
    return f"""\
Every server answers one zone of {few:,} to {most:,} names with the same steering (by country, then
continent, to four regions of two addresses, weights 3 and 1) from the same synthetic City database
({data.NETWORKS:,} networks of IPv4 and as many of IPv6, {len(data.COUNTRIES)} countries), and is checked
after each round to steer {SAMPLE} sampled networks of each family rightly and to deny a name that does not
exist; one that does not is left out. Knot's module cannot draw by weight in this mode and has one address a
region; NSD cannot steer and has one address for all. Each runs with one thread that answers, started anew
for each size in each round on a loopback port; servers take turns within a round, and the order rotates.

CPU is user and system time of the server's processes (their CPU clocks, which is what /proc/PID/stat shows
in finer steps) over a load, divided by the answers. The load generator (bench/loadgen.c) runs on its own
core, keeps {Load.window} queries unanswered, spins instead of sleeping, and takes an answer only with the
right id and the question echoed octet for octet. All names are asked for in random order; names that do not
exist are never asked for twice. Plain queries carry no EDNS; Client Subnet queries carry a /24 or a /56 and
come from random networks, all known to the server but where it says cold: before each measurement it gets
the same queries once, for up to {workloads.ONE_PASS.seconds:.0f} seconds. Memory: what processes share is
counted once (Pss). In the row of PowerDNS with caches off its packet and query caches are off; the other
one has its defaults, and hands out one draw again and again."""
