"""The stage: backends, a geodns that probes them, unbound in front of it, and dnsperf."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from e2e_support import Server, free_port, until
from resolver_support import Resolver

from tests.failover.backends import Backend

APEX = "shop.example"
MAX_NAMES = 200  # as the addresses of the zone and of the backends have it
WEST = "198.51.100.1"
CHECK = "{type: http, path: /, interval: 1s, timeout: 1s, fall: 3, rise: 2, damping: 0}"
LOST_AFTER = 2  # seconds


def east(number: int) -> str:
    """The address that a name's first region is told by."""
    return f"192.0.2.{number + 1}"


def name_of(number: int) -> str:
    return f"w{number}.{APEX}"


def zone(names: int, port: int, ttl: int) -> str:
    """Each name goes to its own backend in the east, and to the common one in the west while that is down.

    Damping is off: no backend of an operator's dies every half minute, and it would hold each back for that.
    """
    pools = "".join(
        f"  p{n}: {{check: quick, policy: in-order, regions: {{east: [{{name: east, address: {east(n)}, "
        f"probe: 127.0.9.{n + 1}, port: {port}}}], west: [{{name: west, address: {WEST}, "
        f"probe: 127.0.9.254, port: {port}}}]}}}}\n"
        for n in range(names)
    )
    records = "".join(f"  w{n}: {{steer: p{n}}}\n" for n in range(names))
    return (
        f"zone: {APEX}\nttl: {ttl}s\nttl_min: 1s\nnameservers: {{ns1: 192.0.2.253}}\n"
        "regions: {east: {title: East}, west: {title: West}}\n"
        f"checks:\n  quick: {CHECK}\npolicies:\n  in-order:\n    - {{to: [east, west]}}\n"
        f"pools:\n{pools}records:\n{records}"
    )


@dataclass(frozen=True)
class Load:
    """What dnsperf counted; `codes` has the replies by response code."""

    sent: int
    lost: int
    codes: Mapping[str, int]
    slowest: float

    @property
    def wrong(self) -> int:
        return sum(count for code, count in self.codes.items() if code != "NOERROR")


@dataclass(frozen=True)
class Stage:
    server: Server
    resolver: Resolver
    backends: tuple[Backend, ...]
    folder: Path
    ttl: int

    def verdicts(self) -> list[str]:
        """What `geodns log` has of verdicts, the oldest first."""
        found: list[str] = []
        before = ""
        while True:
            _, page = self.server.api("GET", f"/api/v1/log?action=verdict&limit=1000{before}")
            found += [entry["after"]["verdict"] for entry in page["entries"]]
            if page["next"] is None:
                return found[::-1]
            before = f"&before={page['next']}"


@contextmanager
def staged(required: Callable[[str], str], folder: Path, lane: str, names: int, ttl: int) -> Iterator[Stage]:
    """Everything started, every name answered from the east; ended behind it."""
    assert 0 < names <= MAX_NAMES
    with ExitStack() as ending:
        port = free_port()
        backends = tuple(Backend(f"127.0.9.{n + 1}", port) for n in range(names))
        for backend in (*backends, Backend("127.0.9.254", port)):
            ending.callback(backend.close)
        server = Server(folder / "geodns", {f"{APEX}.yaml": zone(names, port, ttl)}, f"lane: {lane}\n")
        ending.callback(server.stop)
        server.start()
        (folder / "unbound").mkdir()
        own = {APEX: "127.0.0.1"}
        resolver = Resolver(
            "unbound", required("unbound"), folder / "unbound", own, {"127.0.0.1": server.port}
        )
        ending.callback(resolver.stop)
        until(lambda: resolver.resolves(own))
        for n in range(names):
            until(lambda n=n: server.answers(name_of(n)) == [east(n)])  # type: ignore[misc]
        yield Stage(server, resolver, backends, folder, ttl)


@contextmanager
def loaded(program: str, stage: Stage, rate: int) -> Iterator[Callable[[], Load]]:
    """dnsperf asks for all names in turn, `rate` times a second, until what it counted is asked for."""
    queries = stage.folder / "queries"
    queries.write_text("".join(f"{name_of(n)} A\n" for n in range(len(stage.backends))))
    words = f"-s 127.0.0.1 -p {stage.server.port} -d {queries} -Q {rate} -t {LOST_AFTER} -l 3600".split()
    with subprocess.Popen([program, *words], stdout=subprocess.PIPE, text=True) as running:

        def counted() -> Load:
            running.send_signal(signal.SIGINT)
            return _load(running.communicate(timeout=30)[0])

        try:
            yield counted
        finally:
            running.kill()


def _load(told: str) -> Load:
    def number(label: str) -> int:
        found = re.search(rf"{label}:\s+(\d+)", told)
        assert found, told
        return int(found[1])

    codes = re.search(r"Response codes:\s+(.*)", told)
    slowest = re.search(r"Average Latency.*max ([\d.]+)\)", told)
    assert codes and slowest, told
    counts = {code: int(count) for code, count in re.findall(r"([A-Z]+) (\d+)", codes[1])}
    return Load(number("Queries sent"), number("Queries lost"), counts, float(slowest[1]))
