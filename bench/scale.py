"""A thousand names and a million: what a query costs, the time to be ready, the memory, and YAML's share.

A server with few names and one with many run at the same time on the same core and are asked in turns.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench import machine, packets
from bench.geodns import LANES, Geodns, zone_file
from bench.machine import BenchError, Load
from bench.peers import Gdnsd, Knot, Nsd
from bench.plan import Plan, started
from bench.server import Server
from bench.workloads import FULL, shorter

SERVERS: tuple[type[Server], ...] = (Nsd, Gdnsd, Knot, *LANES)
FEW, MANY, QUICK_MANY = 1_000, 1_000_000, 100_000
DRAWN = 200_000
KINDS: dict[str, Callable[[int], Iterator[bytes]]] = {
    "plain": lambda names: packets.some_names(names, DRAWN),
    "ecs4": lambda names: packets.random_subnets(names, 4, DRAWN),
}
BEFORE = Load(count=DRAWN, seconds=15.0)
READY_WITHIN = 300.0
ROUNDS = 5

PARSE = """
import gc, json, os, sys, time
from pathlib import Path
from bench.machine import peak_mb
from geodns.config.findings import Findings
from geodns.config.yaml import read
gc.disable()  # as geodns does
before, began = peak_mb([os.getpid()]), time.perf_counter()
document = read(Path(sys.argv[1]), Findings())
seconds = time.perf_counter() - began
assert document is not None
print(json.dumps({"seconds": seconds, "memory_mb": peak_mb([os.getpid()]) - before}))
"""


def measure(plan: Plan) -> None:
    """Every server in turn: the ratio that matters is its own, of many names to few."""
    many = QUICK_MANY if plan.quick else MANY
    queries = _query_files(plan.work, many)
    for cls in plan.present(SERVERS):
        print(f"{FEW:,} and {many:,} names: {cls.title}")
        try:
            plan.results.scale[cls.id] = _one_server(cls, many, queries, plan)
        except (BenchError, OSError) as error:
            plan.leave_out(f"{cls.title}, {many:,} names: {error}")


def _query_files(work: Path, many: int) -> dict[tuple[str, int], Path]:
    found = {}
    for kind, make in KINDS.items():
        for names in (FEW, many):
            path = found[kind, names] = work / f"scale-{kind}-{names}.queries"
            packets.write(path, make(names))
    return found


def _one_server(
    cls: type[Server], many: int, queries: dict[tuple[str, int], Path], plan: Plan
) -> dict[str, Any]:
    """`few` and `many`: ready_s, memory_mb, peak_mb and by kind a `cpu_us` for each round. `yaml`: geodns."""
    small, large = (cls(plan.work / f"{cls.id}-{n}", plan.database(), n) for n in (FEW, many))
    large.ready_within = READY_WITHIN
    with started(small) as (_, ready_small), started(large) as (_, ready_large):
        costs = _costs((small, large), queries, plan.quick)
        found: dict[str, Any] = {
            "names": many,
            "few": {"ready_s": ready_small, **_memory(small), "cpu_us": costs[FEW]},
            "many": {"ready_s": ready_large, **_memory(large), "cpu_us": costs[many]},
        }
        if isinstance(large, Geodns):
            found["yaml"] = parse_seconds(zone_file(large.zones))
    return found


def _memory(server: Server) -> dict[str, float]:
    pids = server.pids()
    return {"memory_mb": machine.resident_mb(pids), "peak_mb": machine.peak_mb(pids)}


def _costs(
    servers: tuple[Server, ...], queries: dict[tuple[str, int], Path], quick: bool
) -> dict[int, dict[str, list[float]]]:
    costs: dict[int, dict[str, list[float]]] = {s.names: {kind: [] for kind in KINDS} for s in servers}
    for kind in KINDS:
        for server in servers:
            machine.generate(server.port, queries[kind, server.names], BEFORE)
        for number in range(1 if quick else ROUNDS):
            for server in servers:
                load = replace(shorter(FULL) if quick else FULL, first=number * FULL.count)
                row = server.under(load, queries[kind, server.names])
                costs[server.names][kind].append(row["cpu_us"])
    return costs


def parse_seconds(path: Path) -> dict[str, float]:
    """What reading this file as YAML takes and nothing else, in a process of its own on the server's core:
    `seconds`, and `memory_mb` at the most."""
    with machine.pinned(machine.cores()[0]):
        done = subprocess.run(
            [sys.executable, "-c", PARSE, str(path)],
            cwd=machine.HERE.parent,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise BenchError(f"{path} could not be parsed: {done.stderr.strip()[-200:]}")
    found: dict[str, float] = json.loads(done.stdout)
    return found
