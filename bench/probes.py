"""`python -m bench.probes [PART ...]`: probes by the thousand from one process, what is late, what it costs.

`tcp`: 20,000 endpoints every 5 s; 2 in 100 refuse, 1 in 100 never answers. `https`: 2,000 every 5 s, with
certificates verified. Each has the server's own monitor and prober in a process for itself, and the endpoints
(bench/probed.py) on the other core. `dns`: how quickly a server in the Python lane answers that has the same
20,000 to probe, and one that has none, in turns.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import ssl
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from bench import data, machine, packets
from bench.geodns import GeodnsPython
from bench.machine import BenchError, Load
from bench.plan import Plan, started
from bench.results import Results
from geodns.core.health import Outcome, Probe
from geodns.model import Check
from geodns.monitor.probes import Prober
from geodns.monitor.schedule import Monitor

INTERVAL, TIMEOUT = 5.0, 2.0
COUNTS = {"tcp": 20_000, "https": 2_000}
PERCENT = {"closed": 2, "full": 1}  # of the TCP endpoints; the others accept
NAME = "probed.example.com"
LOOPBACK = "127.0.0.0/8"
SETTLING = 2 * INTERVAL  # after the first round, before costs are taken
BEAT = 0.005  # seconds between two looks at whether the loop was held
SHARES = (500, 990, 999, 1000)  # thousandths: p50, p99, p99.9, the most
RATE, TURNS, TURN = 5_000, 3, 15.0  # queries a second; turns of each server, of so many seconds
KEPT = ("p50_us", "p99_us", "p999_us", "busy")

Ports = Mapping[str, int]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.probes", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help="tcp, https, dns (default: all)")
    parser.add_argument("--seconds", type=float, default=60.0, help="of tcp and https each (default 60)")
    parser.add_argument("--share", type=float, default=1.0, help="of the endpoints (default 1)")
    parser.add_argument("--prober", nargs=2, metavar=("PORTS", "CERTIFICATE"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.prober:
        watched = probes(args.parts[0], args.share, json.loads(args.prober[0]))
        print(json.dumps(asyncio.run(probe(watched, Path(args.prober[1]), args.seconds))))
        return 0
    for part in args.parts or (*COUNTS, "dns"):
        with endpoints() as (ports, certificate, pid):
            if part == "dns":
                answer(args.share, ports)
            else:
                cost = machine.cpu_seconds([pid])
                found = apart(part, args, ports, certificate)
                tell(part, found, (machine.cpu_seconds([pid]) - cost) / args.seconds)
    return 0


@contextmanager
def endpoints() -> Iterator[tuple[Ports, Path, int]]:
    """Their ports by what they do, their certificate, the process; ended at the end."""
    certificate = made(machine.OUT / "work")
    command = [sys.executable, "-m", "bench.probed", str(certificate)]
    with machine.pinned(machine.cores()[1]):
        running = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with running:
        assert running.stdin is not None
        assert running.stdout is not None
        yield json.loads(running.stdout.readline()), certificate, running.pid
        running.stdin.close()


def made(folder: Path) -> Path:
    """Key and self-signed certificate of NAME in one file."""
    folder.mkdir(parents=True, exist_ok=True)
    key, certificate, both = (folder / f"{name}.pem" for name in ("key", "certificate", "probed"))
    how = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    named = ["-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}"]
    command = ["openssl", "req", "-x509", *how, *named, "-keyout", key, "-out", certificate]
    subprocess.run(command, check=True, capture_output=True)
    both.write_text(key.read_text() + certificate.read_text())
    return both


def addresses(kind: str, share: float, ports: Ports) -> Iterator[tuple[str, int]]:
    """Address and port of each endpoint; of every hundred some fail, as PERCENT says."""
    kinds = [name for name, percent in PERCENT.items() for _ in range(percent)] if kind == "tcp" else []
    kinds += ["https" if kind == "https" else "open"] * (100 - len(kinds))
    for number in range(int(COUNTS[kind] * share)):
        yield f"127.1.{number >> 8}.{number & 255}", ports[kinds[number % 100]]


def probes(kind: str, share: float, ports: Ports) -> frozenset[Probe]:
    check = Check(kind, interval=INTERVAL, timeout=TIMEOUT, host=NAME if kind == "https" else None)
    return frozenset(Probe(check, *at) for at in addresses(kind, share, ports))


# one process, nothing but probes


def apart(part: str, args: argparse.Namespace, ports: Ports, certificate: Path) -> dict[str, Any]:
    """What `probe` finds, in a process of its own."""
    options = ["--seconds", str(args.seconds), "--share", str(args.share), "--prober", json.dumps(ports)]
    command = [sys.executable, "-m", "bench.probes", part, *options, str(certificate)]
    with machine.pinned(machine.cores()[0]):
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


class Timed(Prober):
    """Notes by how many seconds each round began after its time."""

    def __init__(self, certificate: Path) -> None:
        super().__init__((LOOPBACK,), partial(ssl.create_default_context, cafile=str(certificate)))
        self.late: list[float] = []
        self.monitor = Monitor(lambda changes: None, time.time, self, begin=self.begin)

    def begin(self, p: Probe, done: Callable[[Outcome], None]) -> Callable[[], None] | None:
        cancel = super().begin(p, done)
        if cancel is not None:
            self._note(p)
        return cancel

    async def __call__(self, p: Probe) -> Outcome:
        self._note(p)
        return await super().__call__(p)

    def _note(self, p: Probe) -> None:
        self.late.append(asyncio.get_running_loop().time() - self.monitor._entries[p].due)


async def probe(watched: frozenset[Probe], certificate: Path, seconds: float) -> dict[str, Any]:
    """Probe for so long: counts and lateness of all of it; costs and `held` of what comes after SETTLING."""
    loop, prober = asyncio.get_running_loop(), Timed(certificate)
    monitor, held = prober.monitor, list[float]()
    gc.freeze()
    gc.set_threshold(5_000, 2, 100_000)  # as the server does
    began = loop.time()
    await monitor.set_probes(watched)
    await monitor.first_round()
    first = loop.time() - began
    beating = asyncio.ensure_future(_beat(held))
    await asyncio.sleep(SETTLING)
    held.clear()
    at, cpu, rounds = loop.time(), time.process_time(), monitor.stats.rounds
    await asyncio.sleep(max(INTERVAL, began + seconds - at))
    took, cpu, rounds = loop.time() - at, time.process_time() - cpu, monitor.stats.rounds - rounds
    beating.cancel()
    await monitor.stop()
    await prober.close()
    return {
        **asdict(monitor.stats),
        "first": first,
        "rate": rounds / took,
        "busy": cpu / took,
        "cpu_us": cpu / rounds * 1e6,
        "late_ms": spread(prober.late),
        "held_ms": spread(held),
        "peak_mb": machine.peak_mb([os.getpid()]),
    }


async def _beat(held: list[float]) -> None:
    """Note by how much the loop wakes late, as far as that was this process at work and not the machine."""
    while True:
        at, cpu = time.perf_counter(), time.process_time()
        await asyncio.sleep(BEAT)
        held.append(min(time.perf_counter() - at - BEAT, time.process_time() - cpu))


def spread(seconds: list[float]) -> list[float]:
    """In ms at SHARES."""
    ordered = sorted(seconds)
    return [1000 * ordered[min(len(ordered) - 1, len(ordered) * share // 1000)] for share in SHARES]


def tell(part: str, found: dict[str, Any], endpoints_busy: float) -> None:
    late, held = (" / ".join(f"{ms:.1f}" for ms in found[key]) for key in ("late_ms", "held_ms"))
    print(
        f"{part}: {found['rounds']:,} rounds, {found['late']:,} late, {found['failed']:,} failed, "
        f"{found['errors']} errors; the first took {found['first']:.1f} s\n"
        f"  {found['rate']:,.0f} a second: {found['cpu_us']:.0f} µs each, {found['busy']:.0%} of a core "
        f"(the endpoints: {endpoints_busy:.0%}), {found['peak_mb']:.0f} MiB at most\n"
        f"  ms at p50, p99, p99.9, most: begun late by {late}; the loop held {held}",
        flush=True,
    )


# beside answers


class Probing(GeodnsPython):
    """With endpoints to probe in pools that nobody asks for."""

    probed: tuple[tuple[str, int], ...] = ()

    def shared(self) -> str:
        lines = [super().shared()]
        for number, (address, port) in enumerate(self.probed):
            if number % 100 == 0:
                lines += [f"  probed-{number}:", f"    check: {{type: tcp, interval: {INTERVAL:g}s}}"]
                lines += ["    regions:", f"      {data.DEFAULT_REGION}:"]
            own = address.replace("127", "10", 1)
            lines.append(f"        - {{address: {own}, probe: {address}, port: {port}}}")
        return "\n".join(lines) + "\n"


def answer(share: float, ports: Ports) -> None:
    """Print how quickly both answered, the median of turns, and what became of the probes."""
    plan = Plan(Results(machine.describe()))
    queries = plan.work / "probes.queries"
    packets.write(queries, packets.random_subnets(data.NAMES))
    many = tuple(addresses("tcp", share, ports))
    found: dict[int, list[dict[str, Any]]] = {0: [], len(many): []}
    for _ in range(TURNS):
        for count, rows in found.items():
            server = Probing(plan.work / "probes", plan.database())
            server.probed = many[:count]
            with started(server):
                time.sleep(INTERVAL)
                row = server.under(Load(int(RATE * TURN), TURN, rate=RATE), queries)
                rows.append({**row, **server.status()["probes"]})
    for count, rows in found.items():
        middle = {key: statistics.median(row[key] for row in rows) for key in KEPT}
        lost, rounds, late = (sum(row[key] for row in rows) for key in ("lost", "rounds", "late"))
        print(
            f"dns: {RATE:,} queries a second beside {count:,} probes: {middle['p50_us']:,.0f} µs at p50, "
            f"{middle['p99_us']:,.0f} at p99, {middle['p999_us']:,.0f} at p99.9, {lost} lost; "
            f"{middle['busy']:.0%} of a core; {rounds:,} rounds, {late:,} late",
            flush=True,
        )


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BenchError as error:
        sys.exit(f"bench: {error}")
