"""Many names at once: the kills, then the flaps; and what came of it."""

from __future__ import annotations

import math
import os
import random
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from bench import machine
from tests.failover.backends import HUNG, KILLED
from tests.failover.stage import WEST, Load, Stage, east, loaded, name_of, staged
from tests.failover.stories import Kill, Name, Odd

HANG = 4  # every so many failures the backend hangs, in the others it refuses
SHORT = (0.2, 1.8)  # seconds of a flap: at most two probes, of three, see it
P50, P99 = 3.0, 4.5  # seconds: the aims
DETECTION = 3 * 1 + 1  # seconds: interval × fall + timeout
ROUNDED = 1.5  # seconds: a resolver counts TTLs in whole ones, and is asked at its grain

T = TypeVar("T")


def percentile(values: Iterable[float], percent: float) -> float:
    """The nearest rank; the values must be some."""
    found = sorted(values)
    return found[max(0, math.ceil(len(found) * percent / 100) - 1)]


@dataclass(frozen=True)
class Part:
    """A part of a run. `verdicts`: those in `geodns log`; `failed`: probes; `cpu`: geodns's, in cores."""

    load: Load
    odd: tuple[Odd, ...]
    verdicts: list[str]
    failed: float
    cpu: float
    seconds: float

    @property
    def wrong(self) -> list[str]:
        return [line for odd in self.odd for line in odd.wrong]

    @property
    def lost(self) -> int:
        return sum(odd.lost for odd in self.odd)

    def __str__(self) -> str:
        asked = sum(odd.asked for odd in self.odd)
        return (
            f"  {self.seconds:.0f} s, geodns took {self.cpu:.1%} of a core; {self.failed:.0f} probes failed, "
            f"{len(self.verdicts)} verdicts in the log\n"
            f"  watched: {asked} answers, {self.lost} lost, {len(self.wrong)} wrong\n"
            f"  dnsperf: {self.load.sent} queries, {self.load.lost} lost, {self.load.wrong} not NOERROR, "
            f"the slowest answer took {self.load.slowest * 1000:.1f} ms"
        )


@dataclass(frozen=True)
class Report:
    lane: str
    ttl: int
    kills: Sequence[Kill]
    flaps: int
    killing: Part
    flapping: Part
    machine_load: tuple[float, float, float]

    def within(self) -> bool:
        """Whether geodns was as quick as it should be, unbound as the TTL lets it, and nothing wrong."""
        gone = [kill.gone for kill in self.kills]
        even = self.killing.verdicts.count("down") == self.killing.verdicts.count("up") == len(self.kills)
        quiet = not self.flapping.verdicts and self.flapping.failed > 0
        right = not any(part.wrong or part.lost or part.load.lost or part.load.wrong for part in self.parts)
        told = max(kill.gone_for_all for kill in self.kills) <= DETECTION + self.ttl + ROUNDED
        quick = percentile(gone, 50) <= P50 and percentile(gone, 99) <= P99 and told
        return quick and even and quiet and right

    @property
    def parts(self) -> tuple[Part, Part]:
        return self.killing, self.flapping

    def __str__(self) -> str:
        lines = [f"{self.lane} lane, TTL {self.ttl} s, {len(self.kills)} kills; seconds:"]
        lines.append(_line("", [f"{title:>5}" for title in ("p50", "p90", "p99", "max")]))
        for how in (KILLED, HUNG):
            some = [kill for kill in self.kills if kill.how == how]
            if some:
                lines.append(_row(f"{how}, to geodns's first right answer", [kill.gone for kill in some]))
        for title, values in (
            ("all, to geodns's first right one", [kill.gone for kill in self.kills]),
            ("the same through unbound", [kill.gone_for_all for kill in self.kills]),
            ("restored, to geodns's first", [kill.back for kill in self.kills]),
            ("the same through unbound", [kill.back_for_all for kill in self.kills]),
        ):
            lines.append(_row(title, values))
        lines += [str(self.killing), f"{self.flaps} flaps below the threshold:", str(self.flapping)]
        load = " ".join(f"{value:.2f}" for value in self.machine_load)
        lines += [f"the machine's load before: {load}", *self.killing.wrong[:5], *self.flapping.wrong[:5]]
        return "\n".join(lines)


def _row(title: str, values: list[float]) -> str:
    return _line(title, [f"{percentile(values, p):5.2f}" for p in (50, 90, 99, 100)])


def _line(title: str, cells: list[str]) -> str:
    return f"  {title:<40}" + "  ".join(cells)


def run(
    required: Callable[[str], str],
    folder: Path,
    *,
    lane: str,
    kills: int,
    flaps: int,
    names: int,
    ttl: int,
    seed: int = 0,
    rate: int = 2000,
    tell: Callable[[str], None] = lambda line: None,
) -> Report:
    """As many kills and flaps as are wanted, over so many names, which live in parallel."""
    before = os.getloadavg()
    chance = random.Random(seed)
    dnsperf = required("dnsperf")
    with staged(required, folder, lane, names, ttl) as stage:
        tell(f"{names} names and their backends are up")
        hows = [HUNG if n % HANG == HANG - 1 else KILLED for n in range(kills)]
        chance.shuffle(hows)
        killed, killing = _part(
            stage, dnsperf, rate, _shared(hows, names), chance, lambda name, how, own: name.kill(how, own)
        )
        tell(f"{len(killed)} kills are done")
        hows = [HUNG if n % HANG == HANG - 1 else KILLED for n in range(flaps)]
        _, flapping = _part(
            stage,
            dnsperf,
            rate,
            _shared(hows, names),
            chance,
            lambda name, how, own: name.flap(how, own.uniform(*SHORT), own),
        )
    return Report(lane, ttl, killed, flaps, killing, flapping, before)


def _shared(hows: list[str], names: int) -> list[list[str]]:
    return [hows[n::names] for n in range(names)]


def _part(
    stage: Stage,
    dnsperf: str,
    rate: int,
    hows: list[list[str]],
    chance: random.Random,
    befalls: Callable[[Name, str, random.Random], T],
) -> tuple[list[T], Part]:
    """Every name lives through what befalls it, one after the other, all names at once."""
    assert stage.server.process is not None
    pid = stage.server.process.pid
    ports = stage.server.port, stage.resolver.port
    names = [
        Name(name_of(n), (east(n), WEST), backend, ports, stage.ttl)
        for n, backend in enumerate(stage.backends)
    ]
    told, failed = len(stage.verdicts()), _failed(stage)

    def live(name: Name, own: list[str], luck: random.Random) -> list[T]:
        return [befalls(name, how, luck) for how in own]

    with loaded(dnsperf, stage, rate) as counted, ThreadPoolExecutor(len(names)) as threads:
        began, cpu = time.monotonic(), machine.cpu_seconds([pid])
        lives = [
            threads.submit(live, name, own, random.Random(chance.random()))
            for name, own in zip(names, hows, strict=True)
        ]
        lived = [each for life in lives for each in life.result()]
        cpu, took = machine.cpu_seconds([pid]) - cpu, time.monotonic() - began
        load = counted()
    for name in names:
        name.close()
    time.sleep(0.5)  # what is written beside answering is written by then
    part = Part(
        load,
        tuple(name.odd for name in names),
        stage.verdicts()[told:],
        _failed(stage) - failed,
        cpu / took,
        took,
    )
    return lived, part


def _failed(stage: Stage) -> float:
    return float(stage.server.status()["probes"]["failed"])
