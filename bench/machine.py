"""The bench's hold on the machine: cores, processes' CPU time, free ports, compiled helpers."""

from __future__ import annotations

import json
import os
import platform
import shutil
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
OUT = HERE / "out"
CPUCLOCK_SCHED = 2


class BenchError(Exception):
    """Something that the bench needs is missing or does not work; said in one line."""


@cache
def all_cores() -> tuple[int, ...]:
    """Every core that the bench may use. Asked once: whoever is pinned later would see fewer."""
    return tuple(sorted(os.sched_getaffinity(0)))


def cores() -> tuple[int, int]:
    """(server's core, load generator's core); the same one twice where there is only one."""
    return all_cores()[0], all_cores()[-1]


@contextmanager
def pinned(*wanted: int) -> Iterator[None]:
    """Run on these cores only; processes started inside inherit them."""
    all_cores()
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, wanted)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def family(pid: int) -> list[int]:
    """The process and its descendants."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [pid]
    for each in found:
        found.extend(parents.get(each, []))
    return found


def pin_threads(pids: list[int], wanted: Iterable[int]) -> None:
    """Hold every thread on the cores, also those that had chosen otherwise."""
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(ProcessLookupError):
                os.sched_setaffinity(int(task.name), wanted)


def cpu_seconds(pids: list[int]) -> float:
    """User and system time of the processes with all their threads, ended ones too.

    It is what /proc/PID/stat shows, read from the process's CPU clock (clock_getcpuclockid(3)), which counts
    nanoseconds instead of ticks of 10 ms.
    """
    return sum(time.clock_gettime((~pid << 3) | CPUCLOCK_SCHED) for pid in pids)


def thread_seconds(pids: list[int]) -> dict[int, float]:
    """The CPU time of each thread by its id."""
    found = {}
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):
                found[int(task.name)] = int((task / "schedstat").read_text().split()[0]) / 1e9
    return found


def stolen_seconds() -> float:
    """How long the server's core stood still for the hypervisor's other guests, since boot."""
    core, _ = cores()
    line = next(x for x in Path("/proc/stat").read_text().splitlines() if x.startswith(f"cpu{core} "))
    return int(line.split()[8]) / os.sysconf("SC_CLK_TCK")


def resident_mb(pids: list[int]) -> float:
    """Memory in RAM, in MiB; what processes share is counted once (Pss)."""
    return sum(_kib(Path(f"/proc/{pid}/smaps_rollup"), "Pss") for pid in pids) / 1024


def peak_mb(pids: list[int]) -> float:
    """The most that the largest of the processes ever had in RAM, in MiB."""
    return max(_kib(Path(f"/proc/{pid}/status"), "VmHWM") for pid in pids) / 1024


def _kib(path: Path, key: str) -> int:
    line = next(x for x in path.read_text().splitlines() if x.startswith(f"{key}:"))
    return int(line.split()[1])


def free_port() -> int:
    """A loopback port that was free for UDP and TCP just now, above the range that clients' sockets get."""
    for _ in range(50):
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp,
        ):
            udp.bind(("127.0.0.1", 0))
            port: int = udp.getsockname()[1]
            with suppress(OSError):
                tcp.bind(("127.0.0.1", port))
                return port
    raise BenchError("no port is free for UDP and TCP on 127.0.0.1")


def compiled(name: str) -> Path:
    """The program made from bench/NAME.c; built when it is missing or older than its source."""
    source, program = HERE / f"{name}.c", OUT / "bin" / name
    if program.exists() and program.stat().st_mtime > source.stat().st_mtime:
        return program
    compiler = shutil.which("cc")
    if compiler is None:
        raise BenchError(
            "a C compiler (cc) is needed for the load generator; Debian: apt-get install gcc libc6-dev"
        )
    program.parent.mkdir(parents=True, exist_ok=True)
    fresh = program.with_name(f"{name}.{os.getpid()}")
    done = subprocess.run(
        [compiler, "-O2", "-Wall", "-Wextra", "-o", fresh, source],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BenchError(f"cc failed on {source}:\n{done.stderr}")
    fresh.replace(program)
    return program


@dataclass(frozen=True)
class Load:
    """How to load: `count` queries at most, `seconds` at most.

    `rate` 0: as fast as answers come with at most `window` unanswered; else queries a second. They come
    from as many ports as `sockets` says. `first`: where in the file to begin.
    """

    count: int
    seconds: float = 20.0
    window: int = 128
    rate: float = 0.0
    sockets: int = 1
    first: int = 0


def generate(port: int, queries: Path, load: Load, trace: Path | None = None) -> dict[str, Any]:
    """Run the load generator on its core against 127.0.0.1:`port`; what it counted (see loadgen.c)."""
    with start_load(port, queries, load, trace) as running:
        return finish_load(running)


def start_load(port: int, queries: Path, load: Load, trace: Path | None = None) -> subprocess.Popen[str]:
    """The load generator, started; `finish_load` waits for its counts."""
    numbers = [str(n) for n in (load.count, load.seconds, load.window, load.rate, load.sockets, load.first)]
    command = [str(compiled("loadgen")), "127.0.0.1", str(port), str(queries), *numbers]
    with pinned(cores()[1]):
        return subprocess.Popen(
            [*command, *([str(trace)] if trace else [])],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


def finish_load(running: subprocess.Popen[str]) -> dict[str, Any]:
    out, err = running.communicate(timeout=700)
    if running.returncode:
        raise BenchError(err.strip() or f"the load generator ended with {running.returncode}")
    counted: dict[str, Any] = json.loads(out)
    return counted


def describe() -> dict[str, str]:
    """The machine, for the report."""
    model = "unknown"
    with suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    server, client = cores()
    return {
        "cpu": model,
        "cores": str(os.cpu_count()),
        "pinned": f"server on core {server}, load generator on core {client}"
        + (" – the same one: the figures are worth little" if server == client else ""),
        "load before": f"{os.getloadavg()[0]:.2f} (processes that wanted a core in the minute before)",
        "kernel": platform.release(),
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
    }
