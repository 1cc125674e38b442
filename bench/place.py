"""`python -m bench.place`: places compiled from databases of real size, in seconds, memory and ns a look-up.

Then, with `--check`, every block boundary of them is looked up in both lanes: the same class, a scope that is
as wide at least, and nobody of another class within it. That takes a quarter of an hour.
"""

from __future__ import annotations

import argparse
import gc
import random
import re
import subprocess
import sys
import threading
import time
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from itertools import pairwise
from pathlib import Path

from bench import machine, world
from geodns._native import Classifier, Layer
from geodns.core.compile.sheets import Classes, Widest, scope_of
from geodns.core.edns import Subnet, plain
from geodns.core.steer.orders import Plan
from geodns.geo.compiled import Compiled, Compiler
from geodns.geo.lines import carriers
from geodns.geo.locate import Geography
from geodns.geo.mmdb import Database, Kind, open_database
from geodns.model import Nearest, Policy, Region, Rule, Split, Step, When

CITY, COUNTRY, ASN = 5_000_000, 600_000, 500_000
GOALS = {Kind.CITY: (5.0, 400), Kind.COUNTRY: (0.5, 400)}  # seconds, MiB
LIMIT = 4096
WIDEST = Widest()
LOOKED_UP = 2_000_000
BATCH = 100_000

REGIONS = tuple(
    Region(name, at=at)
    for name, at in {
        "cn-north": (39.90, 116.40),
        "cn-south": (23.13, 113.26),
        "ap-east": (35.68, 139.69),
        "ap-south": (1.29, 103.85),
        "eu-west": (50.11, 8.68),
        "us-east": (38.95, -77.45),
        "us-west": (45.52, -122.68),
        "sa-east": (-23.55, -46.64),
    }.items()
)
EVERYBODY = When()


def plans() -> list[Plan]:
    """By country; by carrier, then nearest; by continent over four regions; nearest alone."""
    by_country = (
        (When(countries=("CN",)), "cn-north", "cn-south"),
        (When(countries=("JP", "KR")), "ap-east"),
        (When(continents=("EU",)), "eu-west"),
        (EVERYBODY, "us-east"),
    )
    by_carrier = (
        (When(lines=("telecom",), subdivisions=("CN-01", "CN-02")), "cn-south"),
        (When(lines=("unicom", "mobile")), "cn-north"),
        (When(lines=("telecom",)), "cn-south"),
        (EVERYBODY,),
    )
    by_continent = tuple((When(continents=(c,)), r) for c, r in (("AS", "ap-south"), ("NA", "us-west")))
    return [
        _plan("by-country", by_country, REGIONS),
        _plan("by-carrier", by_carrier, REGIONS),
        _plan("by-continent", (*by_continent, (EVERYBODY,)), REGIONS[2:6]),
        _plan("nearest", ((EVERYBODY,),), REGIONS),
    ]


def _plan(name: str, rules: Sequence[tuple[object, ...]], regions: tuple[Region, ...]) -> Plan:
    found = []
    for when, *to in rules:
        assert isinstance(when, When)
        steps: list[Step] = [Split(((str(region), 1),)) for region in to] or [Nearest()]
        found.append(Rule(when, tuple(steps)))
    return Plan(Policy(name, tuple(found)), regions)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.place", description=__doc__)
    parser.add_argument("--check", action="store_true", help="look every block boundary up in both lanes")
    parser.add_argument("--share", type=float, default=1.0, help="databases of a share of the size")
    parser.add_argument("--measure", nargs=2, metavar=("KIND", "PLANS"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    folder = machine.OUT / "work" / f"places-{args.share:g}"
    made(folder, args.share)
    if args.measure:
        kind, count = Kind(args.measure[0]), int(args.measure[1])
        measure(opened(folder, kind), plans()[:count], kind)
        return 0
    for kind in GOALS:
        for count in (1, 4):
            options = ["--share", str(args.share), "--measure", kind, str(count)]
            subprocess.run(
                [sys.executable, "-m", "bench.place", *options], check=True
            )  # its memory is its own
            if args.check and count == 4:
                check(opened(folder, kind), plans())
    return 0


def made(folder: Path, share: float) -> None:
    """Write the databases, unless they are there."""
    folder.mkdir(parents=True, exist_ok=True)
    for make, name, size in (
        (world.city, "City", CITY),
        (world.country, "Country", COUNTRY),
        (world.asn, "ASN", ASN),
    ):
        if not (folder / f"{name}.mmdb").exists():
            begun = time.perf_counter()
            path, networks = make(folder, int(size * share))
            seconds, octets = time.perf_counter() - begun, path.stat().st_size
            print(
                f"{path.name}: {networks:,} networks, {octets >> 20} MiB, written in {seconds:.0f} s",
                flush=True,
            )


def opened(folder: Path, kind: Kind) -> dict[Kind, Database]:
    """The database of a kind, and that of carriers."""
    names = {kind: kind.title(), Kind.ASN: "ASN"}
    return {kind: open_database(folder / f"{name}.mmdb", kind) for kind, name in names.items()}


def measure(databases: Mapping[Kind, Database], wanted: list[Plan], kind: Kind) -> None:
    """Print what compiling takes and gives."""
    compiler = Compiler(LIMIT)
    gc.freeze()
    gc.set_threshold(5_000, 2, 100_000)  # as the server does
    before = memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak
    with stalls() as watch:
        begun, worked = time.perf_counter(), time.thread_time()
        compiled = compiler.compile(wanted, databases, carriers())
        seconds, worked = time.perf_counter() - begun, time.thread_time() - worked
    peak = memory("VmHWM") - before
    classifier = classified(compiled, wanted)
    goal_seconds, goal_memory = GOALS[kind]
    print(
        f"{kind}, {len(wanted)} policies: {seconds:.2f} s (aim {goal_seconds}; CPU {worked:.2f} s), {peak} "
        f"MiB at most (aim {goal_memory}), {memory('VmRSS') - before} MiB after; "
        f"another thread waited {1000 * watch.longest:.1f} ms at most"
    )
    for number, (plan, found) in enumerate(zip(wanted, compiled.plans, strict=True)):
        runs = " + ".join(f"{count:,}" for count in found.places.runs)
        times = ", ".join(
            f"{name} {look_up(classifier, number, *how):.0f}" for name, how in sources(databases)
        )
        print(
            f"  {plan.policy.id}: {len(found.orders)} classes, {runs} runs, {found.places.size >> 20} MiB; "
            f"ns a look-up: {times}",
            flush=True,
        )


def memory(what: str) -> int:
    """A line of /proc/self/status, in MiB."""
    found = re.search(rf"{what}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) >> 10


class stalls:  # noqa: N801  used like a function
    """How long a thread that does little waits for the interpreter."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._over = False
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> stalls:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over = True
        self._thread.join()

    def _watch(self) -> None:
        while not self._over:
            begun = time.perf_counter()
            time.sleep(0.001)
            self.longest = max(self.longest, time.perf_counter() - begun - 0.001)


def classified(compiled: Compiled, wanted: Sequence[Plan]) -> Classifier:
    return compiled.classifier([Classes(plan, LIMIT) for plan in wanted], WIDEST)


def sources(databases: Mapping[Kind, Database]) -> Iterator[tuple[str, tuple[int, bytes]]]:
    """Addresses to look up: of IPv4 any, of both families one in any network of the database."""
    chance = random.Random(4)
    any_ = b"".join(chance.getrandbits(32).to_bytes(4) for _ in range(LOOKED_UP))
    yield "IPv4 any", (4, any_)
    first = next(iter(databases.values()))
    layer, _ = Layer.read(first.content(), {"country", "location"})
    for family, starts in zip((4, 6), layer.starts(), strict=True):
        width = 4 if family == 4 else 16
        picked = (chance.choice(starts) for _ in range(LOOKED_UP))
        yield f"IPv{family} of a network", (family, b"".join(start.to_bytes(width) for start in picked))


def look_up(classifier: Classifier, plan: int, family: int, addresses: bytes) -> float:
    """Nanoseconds of CPU a look-up, the best of seven turns."""
    best = float("inf")
    for _ in range(7):
        begun = time.thread_time_ns()
        classifier.find_all(plan, family, addresses)
        best = min(best, time.thread_time_ns() - begun)
    return best / (len(addresses) // (4 if family == 4 else 16))


@dataclass
class Seen:
    """A family's blocks in their order: where they start, and for each plan what was found there."""

    starts: list[int]
    classes: list[array[int]]
    scopes: list[array[int]]


def check(databases: Mapping[Kind, Database], wanted: list[Plan]) -> None:
    """Every block of Python's in both lanes; raises AssertionError where they differ."""
    begun = time.perf_counter()
    known = [Classes(plan, LIMIT) for plan in wanted]
    native = Compiler(LIMIT).compile(wanted, databases, carriers()).classifier(known, WIDEST)
    geography = Geography(databases, carriers(), [plan.policy for plan in wanted])
    for family in (4, 6):
        seen = Seen([], [array("I") for _ in wanted], [array("B") for _ in wanted])
        wider = 0
        for starts, ends, expected in batches(geography, known, family):
            seen.starts += starts
            for number, answers in enumerate(expected):
                first = answers_of(native, number, family, starts)
                last = answers_of(native, number, family, ends)
                for start, here, there, answer in zip(starts, first, last, answers, strict=True):
                    assert here[0] == there[0] == answer[0], (number, start, here, there, answer)
                    assert (here[1] == 0) == (answer[1] == 0) and here[1] <= answer[1], (
                        number,
                        start,
                        here,
                        answer,
                    )
                    wider += here[1] < answer[1]
                    seen.classes[number].append(here[0])
                    seen.scopes[number].append(here[1])
        for number in range(len(wanted)):
            true(seen, number, 32 if family == 4 else 128)
        print(
            f"  IPv{family}: both ends of {len(seen.starts):,} blocks in {len(wanted)} plans are of Python's "
            f"class, in true scopes, {wider:,} of them wider ({time.perf_counter() - begun:.0f} s)",
            flush=True,
        )


def batches(
    geography: Geography, known: Sequence[Classes], family: int
) -> Iterator[tuple[list[int], list[int], list[list[tuple[int, int]]]]]:
    """All blocks over which Python knows the place to be the same: first and last addresses, and for each
    plan (class, scope) as `Sheets.classify` has them.
    """
    bits, address_of = (32, IPv4Address) if family == 4 else (128, IPv6Address)
    at = 0
    while not at >> bits:
        starts: list[int] = []
        ends: list[int] = []
        expected: list[list[tuple[int, int]]] = [[] for _ in known]
        while len(starts) < BATCH and not at >> bits:
            located = geography.locate(address_of(at))
            length = max(located.own, located.asn, located.geo)
            subnet = Subnet(family, at, bits)
            for classes, answers in zip(known, expected, strict=True):
                number, asked = classes.of(located.place)
                scope = scope_of(asked, located, family, WIDEST)
                answers.append((number, max(scope, plain(subnet)) if scope else 0))
            starts.append(at)
            at = (at >> bits - length) + 1 << bits - length
            ends.append(at - 1)
        yield starts, ends, expected


def answers_of(native: Classifier, plan: int, family: int, addresses: Sequence[int]) -> list[tuple[int, int]]:
    width = 4 if family == 4 else 16
    found = native.find_all(plan, family, b"".join(address.to_bytes(width) for address in addresses))
    return [(int.from_bytes(found[i : i + 4]), found[i + 4]) for i in range(0, len(found), 5)]


def true(seen: Seen, plan: int, bits: int) -> None:
    """Every scope lies within the blocks around its own that are of the same class."""
    classes, starts = seen.classes[plan], seen.starts
    begins = [0, *(i for i in range(1, len(starts)) if classes[i] != classes[i - 1]), len(starts)]
    for begin, end in pairwise(begins):
        low, high = starts[begin], starts[end] if end < len(starts) else 1 << bits
        for i in range(begin, end):
            scope = seen.scopes[plan][i]
            if scope:
                first = starts[i] >> bits - scope << bits - scope
                assert low <= first and first + (1 << bits - scope) <= high, (plan, starts[i], scope)


if __name__ == "__main__":
    sys.exit(main())
