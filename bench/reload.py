"""The files are read again and again under full load: is a query lost, is an answer half old and half new?

Two generations of the pool's addresses take turns: all of the one begin with another octet than all of the
other, every answer holds both addresses of its region, and the load generator looks at each of them.
"""

from __future__ import annotations

import ipaddress
import statistics
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench import data, machine, packets
from bench.geodns import HOLDER, LANES, Geodns, GeodnsNative
from bench.machine import BenchError, Load
from bench.plan import Plan, started

LEG = 30.0  # seconds of one run of the load generator, which counts to 20,000,000
WITHIN = 60.0  # for one reading
SHARE_OF_PYTHON = 10  # the Python lane's files are read so many times less often
LOOK = 0.02


def generation(number: int) -> tuple[data.Region, ...]:
    """The regions with addresses in 192.0.2.0/24, or where `number` is odd in 198.51.100.0/24."""
    first = int(ipaddress.IPv4Address(("192.0.2.0", "198.51.100.0")[number % 2]))
    return tuple(
        replace(
            region,
            addresses=(
                str(ipaddress.IPv4Address(first + 10 * i + 1)),
                str(ipaddress.IPv4Address(first + 10 * i + 2)),
            ),
        )
        for i, region in enumerate(data.REGIONS)
    )


def measure(plan: Plan) -> None:
    for cls in plan.present(LANES):
        times = plan.reloads if cls is GeodnsNative else max(1, plan.reloads // SHARE_OF_PYTHON)
        print(f"the files are read {times:,} times under full load: {cls.title}")
        try:
            plan.results.reload[cls.id] = _one_lane(
                cls(plan.work / "reload", plan.database()), times, plan.work
            )
        except (BenchError, OSError) as error:
            plan.leave_out(f"{cls.title}, reload: {error}")


def _one_lane(server: Geodns, times: int, work: Path) -> dict[str, Any]:
    """`reloads` done, the median and the longest of their seconds, the load generator's counts in all."""
    queries = work / "reload.queries"
    packets.write(queries, packets.random_subnets(data.NAMES))
    server.regions, server.all_answers = generation(0), True
    server.cores = machine.all_cores()
    counted: Counter[str] = Counter()
    took: list[float] = []
    worst = 0.0
    with started(server):
        while len(took) < times:
            leg, p99 = _leg(server, queries, took, times)
            counted.update(leg)
            worst = max(worst, p99)
    return {
        "reloads": len(took),
        "seconds_median": statistics.median(took),
        "seconds_max": max(took),
        "worst_p99_us": worst,
        **counted,
    }


def _leg(server: Geodns, queries: Path, took: list[float], times: int) -> tuple[dict[str, Any], float]:
    """Reload until `times` are done or the leg is over; the load's counts meanwhile, and its p99 in µs."""
    until = time.monotonic() + LEG
    running = machine.start_load(server.port, queries, Load(count=20_000_000, seconds=LEG + WITHIN + 10))
    try:
        time.sleep(0.2)
        while len(took) < times and time.monotonic() < until:
            took.append(_one_reload(server, len(took) + 1))
        if running.poll() is not None:
            raise BenchError("the load ended before the reloading did")
        time.sleep(0.2)
    finally:
        running.terminate()
        counted = machine.finish_load(running)
    kept = {
        key: counted[key]
        for key in ("sent", "answered", "lost", "stray", "wrong", "mixed", "turns", "records", "seconds")
    }
    return {**kept, "errors": counted["answered"] - counted["rcodes"][0]}, counted["p99_us"]


def _one_reload(server: Geodns, number: int) -> float:
    """Put generation `number` in place of the one before; the seconds until it was read and is answered."""
    wire, began = packets.query(f"n0.{data.ZONE}"), time.monotonic()
    before = server.status()["loaded_at"]
    server.regions = generation(number)
    fresh = server.folder / "fresh"
    fresh.write_text(server.shared())
    fresh.replace(server.zones / HOLDER)
    new = {address for region in server.regions for address in region.addresses}
    while time.monotonic() < began + WITHIN:
        if server.status()["loaded_at"] > before and packets.first_address(server.ask(wire)) in new:
            return time.monotonic() - began
        time.sleep(LOOK)
    raise BenchError(f"{server.title}: reload {number} was not done in {WITHIN:.0f} s: {server.last_words()}")
