"""One thread that answers, and two: throughput, and what a query costs when threads share the work."""

from __future__ import annotations

import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench import data, machine, packets
from bench.geodns import GeodnsNative
from bench.machine import BenchError
from bench.peers import Gdnsd
from bench.plan import Plan, started
from bench.server import Server
from bench.workloads import FULL, ONE_PASS, shorter

SERVERS: tuple[type[Server], ...] = (Gdnsd, GeodnsNative)
ROUNDS = 5
SOCKETS = 16
KEPT = ("qps", "cpu_us", "second", "idle", "lost")


def cores() -> tuple[int, ...]:
    """The server's: all but the load generator's where two remain, else all."""
    every = machine.all_cores()
    return every[:-1] if room() else every


def room() -> bool:
    """Whether two threads and the load generator can each have a core."""
    return len(machine.all_cores()) > 2


def measure(plan: Plan) -> None:
    """By server: for one thread and for two, as text, the medians of what KEPT names."""
    queries = plan.work / "threads.queries"
    packets.write(queries, packets.random_subnets(data.NAMES))
    for cls in plan.present(SERVERS):
        print(f"one thread and two: {cls.title}")
        try:
            plan.results.threads[cls.id] = _one_server(cls, queries, plan)
        except (BenchError, OSError) as error:
            plan.leave_out(f"{cls.title}, two threads: {error}")


def _one_server(cls: type[Server], queries: Path, plan: Plan) -> dict[str, dict[str, float]]:
    """Both run at the same time and are asked in turns."""
    one, two = (
        cls(plan.work / f"{cls.id}-threads-{n}", plan.database(), data.NAMES, threads=n) for n in (1, 2)
    )
    one.cores = two.cores = cores()
    before, full = (replace(load, sockets=SOCKETS) for load in (ONE_PASS, FULL))
    if plan.quick:
        full = shorter(full)
    rows: dict[str, list[dict[str, Any]]] = {"1": [], "2": []}
    with started(one), started(two):
        for server in (one, two):
            machine.generate(server.port, queries, before)
        for _ in range(1 if plan.quick else ROUNDS):
            for server in (one, two):
                rows[str(server.threads)].append(server.under(full, queries))
    return {n: {key: statistics.median(r[key] for r in found) for key in KEPT} for n, found in rows.items()}
