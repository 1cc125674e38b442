"""CPU microseconds per answered query: every server, every workload, in interleaved rounds.

In each round each server is started afresh in turn, so that a slow minute of the machine falls on all of
them and "cold" means cold. The order of the servers rotates from round to round.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench import data, machine, packets
from bench.geodns import Geodns
from bench.machine import BenchError, Load
from bench.peers import Echo, Gdnsd, Knot, PowerDns, PowerDnsCached
from bench.server import Server

SERVERS: tuple[type[Server], ...] = (Echo, Gdnsd, Knot, PowerDns, PowerDnsCached, Geodns)
UNIQUE = 400_000
WARM_UP = Load(count=5_000, seconds=0.3)


@dataclass(frozen=True)
class Workload:
    """Queries of one kind. `cold`: the first time that this server sees them is what is measured."""

    id: str
    title: str
    queries: Callable[[], Iterator[bytes]]
    load: Load
    rcode: int = packets.NOERROR
    cold: bool = False


FULL = Load(count=200_000, seconds=2.0)
PASS = Load(count=data.NETWORKS, seconds=10.0)
WARM = Load(count=2 * data.NETWORKS, seconds=2.0)

WORKLOADS = (
    Workload("one", "1 name", packets.one_name, FULL),
    Workload("names", "1,000 names", packets.all_names, FULL),
    Workload("case", "1,000 names, random case", packets.random_case, FULL),
    Workload(
        "missing",
        "unique names that do not exist",
        lambda: packets.missing(UNIQUE),
        FULL,
        packets.NXDOMAIN,
    ),
    Workload("ecs-cold", "Client Subnet, 65,536 networks, cold", packets.every_subnet, PASS, cold=True),
    Workload(
        "ecs-warm",
        "Client Subnet, 65,536 networks, warm",
        lambda: packets.random_subnets(1),
        WARM,
    ),
    Workload(
        "ecs-names",
        "Client Subnet, 65,536 networks × 1,000 names",
        lambda: packets.random_subnets(data.NAMES),
        WARM,
    ),
    Workload("cookies", "1 name, new DNS cookies", packets.new_cookies, FULL),
    Workload("latency", "1,000 names at 5,000 a second", packets.all_names, Load(10_000, 5.0, rate=5_000)),
)


@dataclass
class Results:
    """What was measured, as it goes into results.json."""

    machine: dict[str, str]
    rounds: int
    servers: dict[str, dict[str, str]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    workloads: dict[str, str] = field(default_factory=dict)
    starts: list[dict[str, Any]] = field(default_factory=list)
    runs: list[dict[str, Any]] = field(default_factory=list)

    def values(self, server: str, workload: str, key: str) -> list[float]:
        """What every round measured, in the order of the rounds."""
        return [r[key] for r in self.runs if r["server"] == server and r["workload"] == workload]

    def median(self, server: str, workload: str, key: str = "cpu_us") -> float | None:
        values = self.values(server, workload, key)
        return statistics.median(values) if values else None

    def leave_out(self, server: str, reason: str) -> None:
        """Drop what was measured of a server that does not work: half of it would mislead."""
        self.skipped[server] = reason
        self.runs = [r for r in self.runs if r["server"] != server]
        self.starts = [r for r in self.starts if r["server"] != server]
        self.servers.pop(server, None)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def database(work: Path) -> Path:
    """The database for all servers; made once and kept while bench/data.py is unchanged."""
    path = work / "bench-City.mmdb"
    if not path.exists() or path.stat().st_mtime < Path(data.__file__).stat().st_mtime:
        data.make_mmdb(path)
    return path


def measure(
    rounds: int, only: set[str] | None = None, quick: bool = False, say: Callable[[str], None] = print
) -> Results:
    """Run everything. What is not installed or does not work is left out, with the reason in `skipped`.

    `only`: ids of servers, None for all. `quick`: a tenth of the queries.
    """
    work = machine.OUT / "work"
    work.mkdir(parents=True, exist_ok=True)
    say("preparing the database and the queries")
    mmdb = database(work)
    files = {w.id: _query_file(work, w) for w in WORKLOADS}
    results = Results(machine.describe(), rounds, workloads={w.id: w.title for w in WORKLOADS})
    classes = _installed([s for s in SERVERS if only is None or s.id in only], results, say)
    for number in range(rounds):
        turn = number % len(classes) if classes else 0
        for cls in classes[turn:] + classes[:turn]:
            if cls.id not in results.skipped:
                say(f"round {number + 1} of {rounds}: {cls.title}")
                _one_server(cls(work / cls.id, mmdb), number, files, quick, results, say)
    return results


def _installed(
    wanted: list[type[Server]], results: Results, say: Callable[[str], None]
) -> list[type[Server]]:
    found = []
    for cls in wanted:
        try:
            cls.executable()
        except BenchError as error:
            results.skipped[cls.id] = str(error)
            say(f"left out: {error}")
            continue
        results.servers[cls.id] = {"title": cls.title, "version": cls.version()}
        found.append(cls)
    return found


def _query_file(work: Path, workload: Workload) -> Path:
    path = work / f"{workload.id}.queries"
    packets.write(path, workload.queries())
    return path


def _one_server(
    server: Server,
    number: int,
    files: dict[str, Path],
    quick: bool,
    results: Results,
    say: Callable[[str], None],
) -> None:
    try:
        ready = server.start()
        for workload in WORKLOADS:
            row = _one_workload(server, workload, files[workload.id], quick)
            results.runs.append({"round": number, **row})
        server.verify()
        memory = machine.resident_mb(server.pids())
        results.starts.append({"round": number, "server": server.id, "ready_s": ready, "memory_mb": memory})
    except (BenchError, OSError) as error:
        results.leave_out(server.id, str(error))
        say(f"left out: {error}")
    finally:
        server.stop()


def _one_workload(server: Server, workload: Workload, queries: Path, quick: bool) -> dict[str, Any]:
    load = workload.load
    if quick:
        load = Load(load.count if workload.cold else load.count // 10, load.seconds, load.window, load.rate)
    if not workload.cold:
        machine.generate(server.port, queries, WARM_UP)
    pids = server.pids()
    cpu, stolen = machine.cpu_seconds(pids), machine.stolen_seconds()
    counted = machine.generate(server.port, queries, load)
    cpu, stolen = machine.cpu_seconds(pids) - cpu, machine.stolen_seconds() - stolen
    answered, seconds = int(counted["answered"]), float(counted["seconds"])  # type: ignore[arg-type]
    if not answered:
        raise BenchError(
            f"{server.title} answered nothing of workload '{workload.id}': {server.last_words()}"
        )
    problem = _problem(server, workload, counted)
    return {
        "server": server.id,
        "workload": workload.id,
        "cpu_us": cpu / answered * 1e6,
        "busy": cpu / seconds,
        "stolen": stolen / seconds,
        "qps": answered / seconds,
        **({"problem": problem} if problem else {}),
        **counted,
    }


def _problem(server: Server, workload: Workload, counted: dict[str, Any]) -> str:
    """What is wrong with the answers, or nothing: then the measurement means something."""
    if not server.is_dns:
        return ""
    if counted["wrong"]:
        return f"{counted['wrong']} answers to another question"
    if counted["rcodes"][workload.rcode] != counted["answered"]:
        return f"rcodes {counted['rcodes']}"
    if workload.rcode == packets.NOERROR and counted["empty"]:
        return f"{counted['empty']} answers without a record"
    return ""
