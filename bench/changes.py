"""Changes under load, in each lane: verdict and pause to answers, many names read again; time to be ready."""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from bench import data, machine, packets
from bench.geodns import FALL, LANES, Geodns, zone, zone_file
from bench.machine import BenchError, Load
from bench.plan import Plan, started

TRACE = struct.Struct("=QQII")  # loadgen.c: sent_ns, answered_ns, query, address
BROKEN = next(r for r in data.REGIONS if r.id == data.DEFAULT_REGION)  # where loopback belongs
OLD = frozenset(int(IPv4Address(a)) for a in BROKEN.addresses)
CHANGE_RATE = 10_000
RELOAD_RATE = 5_000
RELOAD_WITHIN = 90.0
FEW, MANY, QUICK_MANY = 10_000, 100_000, 20_000


def measure(plan: Plan) -> None:
    """Each lane in turn."""
    many = QUICK_MANY if plan.quick else MANY
    for cls in plan.present(LANES):
        try:
            plan.results.changes[cls.id] = _one_lane(cls, many, plan.work, plan.database())
        except (BenchError, OSError) as error:
            plan.leave_out(f"{cls.title}, changes: {error}")


def _one_lane(cls: type[Geodns], many: int, work: Path, mmdb: Path) -> dict[str, Any]:
    """`ready`: a row for FEW names, one for `many`; `reload`, `verdict`, `pause` as their functions say."""
    ready: list[dict[str, float]] = []
    found: dict[str, Any] = {"ready": ready}
    for names in (FEW, many):
        print(f"{names:,} names: {cls.title} starts")
        with started(cls(work / "changes", mmdb, names)) as (server, seconds):
            ready.append(
                {"names": names, "seconds": seconds, "memory_mb": machine.resident_mb(server.pids())}
            )
            if names == many:
                print(f"{names:,} names: read again at {RELOAD_RATE:,} queries a second")
                found["reload"] = {"names": names, **reload(server, work)}
    print(f"{FEW:,} names: a region fails, returns, is paused")
    with endpoints() as regions:
        server = cls(work / "changes", mmdb, FEW)
        server.probes = {name: endpoint.port for name, endpoint in regions.items()}
        with started(server):
            found["verdict"] = failure(server, regions[BROKEN.id], work)
            found["pause"] = pause(server, work)
    return found


@dataclass
class Endpoint:
    """A region's HTTP endpoint: says 200, or 500 while it is broken; remembers when it said 500 (Unix ns)."""

    port: int = 0
    broken: bool = False
    failures: list[int] = field(default_factory=list)


@contextmanager
def endpoints() -> Iterator[dict[str, Endpoint]]:
    """One HTTP endpoint for each region, on loopback."""
    found: dict[str, Endpoint] = {}
    servers = []
    for region in data.REGIONS:
        endpoint = found[region.id] = Endpoint()
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(endpoint))
        endpoint.port = server.server_port
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
    try:
        yield found
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()


def _handler(endpoint: Endpoint) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            broken = endpoint.broken
            self.send_response(500 if broken else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()
            if broken:
                endpoint.failures.append(time.time_ns())

        def log_message(self, format: str, *args: Any) -> None:
            """Says nothing."""

    return Handler


@dataclass(frozen=True)
class Answer:
    sent: int
    answered: int
    query: int
    address: int


@contextmanager
def traced(server: Geodns, work: Path) -> Iterator[list[Answer]]:
    """Load on all names while the body runs; the list is filled with every answer when it ends."""
    queries, trace = work / "changes.queries", work / "changes.trace"
    packets.write(queries, packets.all_names(server.names))
    answers: list[Answer] = []
    load = Load(CHANGE_RATE * 60, 60.0, rate=CHANGE_RATE)
    running = machine.start_load(server.port, queries, load, trace)
    try:
        time.sleep(1.0)
        yield answers
    finally:
        running.terminate()
        machine.finish_load(running)
    answers.extend(Answer(*row) for row in TRACE.iter_unpack(trace.read_bytes()))


def failure(server: Geodns, endpoint: Endpoint, work: Path) -> dict[str, Any]:
    """The region's endpoint fails: from the probe result that decides to the last answer with it."""
    _wait_for(server, inside=True)
    with traced(server, work) as answers:
        endpoint.broken = True
        _wait_for(server, inside=False)
        time.sleep(2 * server.names / CHANGE_RATE)
    endpoint.broken = False
    _wait_for(server, inside=True)
    return after(answers, endpoint.failures[FALL - 1], server.names)


def pause(server: Geodns, work: Path) -> dict[str, Any]:
    """The region is paused by the API: from the call's return to the last answer with it."""
    path = f"/api/v1/regions/{BROKEN.id}/pause"
    with traced(server, work) as answers:
        called = time.time_ns()
        server.api("PUT", path, {"reason": "measurement"})
        returned = time.time_ns()
        time.sleep(2 * server.names / CHANGE_RATE)
    server.api("DELETE", path)
    return {"call_ms": (returned - called) / 1e6, **after(answers, returned, server.names)}


def after(answers: list[Answer], moment: int, names: int) -> dict[str, Any]:
    """What answers say of a change at `moment` (Unix ns) that takes the old addresses away.

    `late_ms`: from then to the last answer with an old address, negative where that came earlier;
    `names_old`: names told an old address in reply to a query sent later; `names_seen`: names asked later.
    """
    old = [a for a in answers if a.address in OLD]
    later = [a for a in answers if a.sent > moment]
    return {
        "late_ms": (max((a.answered for a in old), default=moment) - moment) / 1e6,
        "names_old": len({a.query for a in later if a.address in OLD}),
        "names_seen": len({a.query for a in later}),
        "names": names,
    }


def _wait_for(server: Geodns, inside: bool, within: float = 30.0) -> None:
    """Wait until a plain query is answered from inside (or outside) the region."""
    wire = packets.query(f"n0.{data.ZONE}")
    until = time.monotonic() + within
    while time.monotonic() < until:
        if (packets.first_address(server.ask(wire)) in BROKEN.addresses) == inside:
            return
        time.sleep(0.05)
    raise BenchError(
        f"{server.title}: {BROKEN.id} was not {'taken in' if inside else 'left'} within {within:.0f} s"
    )


def reload(server: Geodns, work: Path) -> dict[str, Any]:
    """One name is added and the files are read anew while queries come: seconds, losses, latency."""
    queries = work / "changes.queries"
    packets.write(queries, packets.all_names(server.names))
    load = Load(int(RELOAD_RATE * RELOAD_WITHIN), RELOAD_WITHIN, rate=RELOAD_RATE)
    machine.generate(server.port, queries, Load(RELOAD_RATE, 2.0, rate=RELOAD_RATE))
    running = machine.start_load(server.port, queries, load)
    try:
        time.sleep(1.0)
        began = time.monotonic()
        zone_file(server.zones).write_text(zone(server.names + 1))
        server.reload()
        seconds = _until_there(server, f"n{server.names}.{data.ZONE}", began)
        time.sleep(1.0)
    finally:
        running.terminate()
        counted = machine.finish_load(running)
    kept = ("sent", "answered", "lost", "wrong", "p50_us", "p99_us", "p999_us", "max_us")
    return {"seconds": seconds, **{key: counted[key] for key in kept}}


def _until_there(server: Geodns, name: str, began: float) -> float:
    wire = packets.query(name)
    while time.monotonic() < began + RELOAD_WITHIN:
        try:
            if packets.rcode(server.ask(wire)) == packets.NOERROR:
                return time.monotonic() - began
        except TimeoutError:
            pass  # the load generator counts what is lost
        time.sleep(0.05)
    raise BenchError(
        f"{server.title}: the reload was not answered within {RELOAD_WITHIN:.0f} s: {server.last_words()}"
    )
