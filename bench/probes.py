"""`python -m bench.probes [KIND ...]`: probes by the thousand from one process. Is a round late, what do they cost?

`tcp`: 20,000 endpoints every 5 s, of which 2 in 100 refuse and 1 in 100 never answers. `https`: 2,000 every 5 s,
certificates verified. The monitor and the prober are the server's own, alone in a process; the endpoints
(bench/probed.py) are in another on the other core. A round is late as the server counts it.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import ssl
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench import machine
from geodns.core.health import Outcome, Probe
from geodns.model import Check
from geodns.monitor.probes import Prober
from geodns.monitor.schedule import Monitor

INTERVAL, TIMEOUT = 5.0, 2.0
COUNTS = {"tcp": 20_000, "https": 2_000}
PERCENT = {"closed": 2, "full": 1}  # of the tcp endpoints; the others accept
NAME = "probed.example.com"
BEAT = 0.005  # seconds between two looks at whether the loop is held
SETTLING = 2 * INTERVAL  # not part of the costs


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.probes", description=__doc__)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"{', '.join(COUNTS)} (default: both)")
    parser.add_argument("--seconds", type=float, default=60.0, help="of each kind (default 60)")
    parser.add_argument("--share", type=float, default=1.0, help="of the endpoints (default 1)")
    parser.add_argument("--prober", nargs=2, metavar=("PORTS", "CERTIFICATE"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.prober:
        ports, certificate = json.loads(args.prober[0]), Path(args.prober[1])
        (kind,) = args.kinds
        watched = probes(kind, int(COUNTS[kind] * args.share), ports)
        print(json.dumps(asyncio.run(probe(watched, certificate, args.seconds))))
        return 0
    for kind in args.kinds or COUNTS:
        with endpoints() as (ports, certificate, pid):
            before = machine.cpu_seconds([pid])
            found = apart(kind, args, ports, certificate)
            found["peer_cpu"] = (machine.cpu_seconds([pid]) - before) / found["seconds"]
        print(told(kind, found), flush=True)
    return 0


@contextmanager
def endpoints() -> Iterator[tuple[dict[str, int], Path, int]]:
    """Their ports by what they do, their certificate, the process."""
    certificate = made(machine.OUT / "work")
    with machine.pinned(machine.cores()[1]):
        command = [sys.executable, "-m", "bench.probed", str(certificate)]
        running = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with running:
        assert running.stdin is not None and running.stdout is not None
        yield json.loads(running.stdout.readline()), certificate, running.pid
        running.stdin.close()


def made(folder: Path) -> Path:
    """Key and self-signed certificate of NAME in one file."""
    folder.mkdir(parents=True, exist_ok=True)
    key, certificate, both = (folder / f"{name}.pem" for name in ("key", "cert", "probed"))
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2".split()
    named = ["-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}"]
    subprocess.run([*command, "-keyout", key, "-out", certificate, *named], check=True, capture_output=True)
    both.write_text(key.read_text() + certificate.read_text())
    return both


def apart(
    kind: str, args: argparse.Namespace, ports: dict[str, int], certificate: Path
) -> dict[str, Any]:
    """What `probe` found, in a process of its own."""
    options = ["--seconds", str(args.seconds), "--share", str(args.share)]
    command = [sys.executable, "-m", "bench.probes", kind, *options, "--prober", json.dumps(ports), certificate]
    with machine.pinned(machine.cores()[0]):
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def probes(kind: str, count: int, ports: dict[str, int]) -> frozenset[Probe]:
    """As many at addresses of their own; every hundred of them fail as PERCENT says."""
    check = Check(kind, interval=INTERVAL, timeout=TIMEOUT, host=NAME if kind == "https" else None)
    behaviours = [name for name, share in PERCENT.items() for _ in range(share)] if kind == "tcp" else []
    behaviours += ["https" if kind == "https" else "open"] * (100 - len(behaviours))
    return frozenset(
        Probe(check, f"127.1.{n >> 8}.{n & 255}", ports[behaviours[n % 100]]) for n in range(count)
    )


@dataclass
class Lateness:
    """Seconds from when rounds were due to when they began."""

    monitor: Monitor | None = None
    seen: list[float] = None  # type: ignore[assignment]


async def probe(watched: frozenset[Probe], certificate: Path, seconds: float) -> dict[str, Any]:
    """Probe for so long; counts of all of it, costs of what comes after SETTLING."""
    loop = asyncio.get_running_loop()
    prober = Timed(("127.0.0.0/8",), ssl.create_default_context(cafile=str(certificate)))
    monitor = prober.monitor = (
        Monitor(lambda changes: None, time.time, prober, begin=prober.begin)
        if hasattr(prober, "begin") else Monitor(lambda changes: None, time.time, prober))
    gc.freeze()
    gc.set_threshold(5_000, 2, 100_000)  # as the server does
    holds: list[float] = []
    begun = loop.time()
    global T0; T0=begun
    gc.callbacks.append(lambda ph, info: print(ph, info, loop.time()-T0, file=sys.stderr) if info["generation"]==2 else None)
    beating = asyncio.ensure_future(_beat(holds))
    await monitor.set_probes(watched)
    setting = loop.time() - begun
    await monitor.first_round()
    first = loop.time() - begun
    await asyncio.sleep(SETTLING)
    cpu, at, rounds = time.process_time(), loop.time(), monitor.stats.rounds
    first_hold = max(holds)
    holds.clear()
    await asyncio.sleep(seconds - SETTLING)
    cpu, took, counted = time.process_time() - cpu, loop.time() - at, monitor.stats.rounds - rounds
    beating.cancel()
    late = sorted(prober.late)
    found = {
        **asdict(monitor.stats),
        "seconds": seconds,
        "set_seconds": setting,
        "first_round": first,
        "rate": counted / took,
        "cpu": cpu / took,
        "cpu_1000": cpu / counted * 1000,
        "late_ms": [1000 * late[int(len(late) * share)] for share in (0.5, 0.99, 0.999)] + [1000 * late[-1]],
        "hold_ms": [1000 * statistics.quantiles(holds, n=1000)[n] for n in (499, 989, 998)] + [1000 * max(holds)],
        "first_hold_ms": 1000 * first_hold,
        "peak_mb": machine.peak_mb([__import__("os").getpid()]),
    }
    await monitor.stop()
    await prober.close()
    return found


class Timed(Prober):
    monitor: Monitor

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.late: list[float] = []

    def begin(self, p, done):
        found = super().begin(p, done)
        if found is not None:
            self.late.append(asyncio.get_running_loop().time() - self.monitor._entries[p].due)
        return found

    async def __call__(self, p: Probe) -> Outcome:
        self.late.append(asyncio.get_running_loop().time() - self.monitor._entries[p].due)
        return await super().__call__(p)


async def _beat(holds: list[float]) -> None:
    loop = asyncio.get_running_loop()
    while True:
        at = loop.time()
        await asyncio.sleep(BEAT)
        holds.append(loop.time() - at - BEAT)
        if holds[-1] > .03: print("hold", holds[-1], "before", loop.time()-T0, file=sys.stderr)


def told(kind: str, f: dict[str, Any]) -> str:
    p = lambda values: " / ".join(f"{v:.1f}" for v in values)
    return (
        f"{kind}: {f['rounds']:,} rounds, {f['late']:,} late, {f['failed']:,} failed, {f['errors']} errors; "
        f"{f['rate']:.0f}/s at {f['cpu']:.0%} of a core ({f['cpu_1000']:.3f} s / 1,000; endpoints {f['peer_cpu']:.0%}); "
        f"lateness ms p50/p99/p99.9/max {p(f['late_ms'])}; hold {p(f['hold_ms'])}; set {f['set_seconds']:.2f} s, first round {f['first_round']:.1f} s, first hold {f['first_hold_ms']:.0f} ms; {f['peak_mb']:.0f} MiB"
    )


if __name__ == "__main__":
    sys.exit(main())
