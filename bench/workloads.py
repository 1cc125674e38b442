"""What is asked: kinds of queries, for zones of some sizes, as fast as they are answered or at a rate."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from bench import data, packets
from bench.machine import Load

SIZES = (1, 1_000, 100_000)  # names in the zone, all of them asked for
MIDDLE = 1_000
UNIQUE = 330_000  # more than one server is asked in a row
SECONDS = 0.5
RATE = 20_000

FULL = Load(count=300_000, seconds=SECONDS)
LATENCY = Load(count=RATE // 2, seconds=2.0, rate=RATE)
BRIEFLY = Load(count=5_000, seconds=0.3)
ONE_PASS = Load(count=2 * data.NETWORKS, seconds=10.0)


@dataclass(frozen=True)
class Kind:
    """Queries of one kind; `queries` makes them for so many names.

    `before`: the load that makes the server know what it can know; None where the first time that it sees
    them is what is measured. `sizes`: the zones that are asked. `latency`: also at RATE.
    """

    id: str
    title: str
    queries: Callable[[int], Iterator[bytes]]
    before: Load | None = ONE_PASS
    load: Load = FULL
    rcode: int = packets.NOERROR
    sizes: tuple[int, ...] = SIZES
    latency: bool = True


MAIN = (
    Kind("plain", "plain", packets.all_names, replace(ONE_PASS, count=100_000)),
    Kind("ecs4", "Client Subnet IPv4", lambda names: packets.random_subnets(names, 4)),
    Kind("ecs6", "Client Subnet IPv6", lambda names: packets.random_subnets(names, 6)),
    Kind(
        "missing",
        "names that do not exist",
        lambda _: packets.missing(UNIQUE),
        BRIEFLY,
        rcode=packets.NXDOMAIN,
    ),
)
BESIDE = (
    Kind("case", "random case", packets.random_case, BRIEFLY, sizes=(MIDDLE,), latency=False),
    Kind(
        "cookies", "new DNS cookies", lambda _: packets.new_cookies(), BRIEFLY, sizes=(MIDDLE,), latency=False
    ),
    Kind(
        "cold",
        "Client Subnet IPv4, each network's first",
        lambda _: packets.every_subnet(),
        None,
        Load(count=data.NETWORKS, seconds=10.0),
        sizes=(MIDDLE,),
        latency=False,
    ),
)
KINDS = (*reversed(BESIDE), *MAIN)  # in the order of asking: cold is cold


def shorter(load: Load) -> Load:
    """A tenth of it, for a first look."""
    return replace(load, count=max(1, load.count // 10), seconds=load.seconds / 10)


def query_files(work: Path) -> dict[tuple[str, int], Path]:
    """The load generator's files, made anew: (kind, names in the zone) -> path."""
    found = {}
    for kind in KINDS:
        for names in kind.sizes:
            path = found[kind.id, names] = work / f"{kind.id}-{names}.queries"
            packets.write(path, kind.queries(names))
    return found
