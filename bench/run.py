"""CPU per answered query and latency: every server, every kind of query, in interleaved rounds.

In each round and for each size of the zone every server is started afresh in turn, so that a slow minute of
the machine falls on all of them and "cold" means cold. The order of the servers rotates from round to round.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from bench import machine, packets
from bench.data import in_words
from bench.geodns import LANES
from bench.machine import BenchError
from bench.peers import Echo, Gdnsd, Knot, Nsd, PowerDns, PowerDnsCached
from bench.plan import Plan, started
from bench.results import Runs
from bench.server import Server
from bench.workloads import KINDS, LATENCY, SIZES, Kind, query_files, shorter

SERVERS: tuple[type[Server], ...] = (Echo, Nsd, Gdnsd, Knot, PowerDns, PowerDnsCached, *LANES)
Files = dict[tuple[str, int], Path]


def measure(plan: Plan) -> None:
    """Run everything. What is not installed or does not work is left out, with the reason in the results."""
    print("preparing the database and the queries")
    mmdb, files = plan.database(), query_files(plan.work)
    runs = plan.results.peers = Runs(plan.rounds)
    classes = plan.present(SERVERS)
    for number in range(plan.rounds):
        for names in SIZES:
            turn = number % max(1, len(classes))
            for cls in classes[turn:] + classes[:turn]:
                print(f"round {number + 1} of {plan.rounds}, {in_words(names)}: {cls.title}")
                server = cls(plan.work / cls.id, mmdb, names)
                try:
                    _one_server(
                        server, {"round": number, "server": cls.id, "names": names}, files, plan, runs
                    )
                except (BenchError, OSError) as error:
                    plan.leave_out(f"{cls.title}, {in_words(names)}: {error}")
                    runs.leave_out(cls.id)
                    classes = [c for c in classes if c is not cls]


def _one_server(server: Server, about: dict[str, Any], files: Files, plan: Plan, runs: Runs) -> None:
    with started(server) as (_, ready):
        for kind in KINDS:
            if server.names in kind.sizes:
                for row in _one_kind(server, kind, files[kind.id, server.names], plan.quick):
                    runs.rows.append({**about, **row})
        server.verify()
        memory = machine.resident_mb(server.pids())
    runs.starts.append({**about, "ready_s": ready, "memory_mb": memory})


def _one_kind(server: Server, kind: Kind, queries: Path, quick: bool) -> list[dict[str, Any]]:
    """Each load goes on in the file where the one before ended, so that what is new stays new."""
    asked, rows = 0, []
    if kind.before is not None:
        asked += machine.generate(server.port, queries, kind.before)["sent"]
    for load in (kind.load, LATENCY) if kind.latency else (kind.load,):
        row = server.under(replace(shorter(load) if quick else load, first=asked), queries)
        asked += row["sent"]
        rows.append({"kind": kind.id, "rate": int(load.rate), "problem": _problem(server, kind, row), **row})
    return rows


def _problem(server: Server, kind: Kind, counted: dict[str, Any]) -> str:
    """What is wrong with the answers, or nothing: then the measurement means something."""
    if not server.is_dns:
        return ""
    if counted["wrong"]:
        return f"{counted['wrong']} answers to another question"
    if counted["rcodes"][kind.rcode] != counted["answered"]:
        return f"rcodes {counted['rcodes']}"
    if kind.rcode == packets.NOERROR and counted["empty"]:
        return f"{counted['empty']} answers without a record"
    return ""
