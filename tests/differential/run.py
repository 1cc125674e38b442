"""A run: batches of zones, each served by all four, thousands of queries each, every answer judged."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from dns.rdatatype import to_text

from tests.differential import answers, manners
from tests.differential.exchange import ask_all, ask_any
from tests.differential.judge import WHY, Case, judge
from tests.differential.oracle import World, labels_of
from tests.differential.queries import Query, ask
from tests.differential.servers import US, started
from tests.differential.shapes import Shape, every, mutated, packet
from tests.differential.zones import Zone, generate, text, wire

ZONES = 20
BATCH = 10_000
MUTATED, SAMPLE = 500, 100  # packets: of a run's first batch, beside every shape; of each kind later
SHOWN = 20  # findings that are kept in full
MANY = 6  # records of a section that are shown
WIDEST = 120  # characters of a record's data that are shown


@dataclass
class Report:
    """What a run found. `findings` are the first ones, ready to be read.

    `voices`: how many queries so many peers answered as the oracle does.
    """

    queries: int = 0
    packets: int = 0
    zones: int = 0
    unexplained: int = 0
    classes: Counter[str] = field(default_factory=Counter)
    voices: Counter[int] = field(default_factory=Counter)
    rcodes: Counter[int] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def __str__(self) -> str:
        told = ", ".join(f"{RCODES.get(code, code)} {count:,}" for code, count in sorted(self.rcodes.items()))
        heard = ", ".join(
            f"{count:,} by {voices} of the three" for voices, count in sorted(self.voices.items())
        )
        lines = [
            f"{self.queries:,} queries about {self.zones} zones in {self.seconds:.0f} s ({told}); "
            f"{self.packets:,} packets of other shapes",
            f"judged by the oracle and {heard}",
            f"{self.unexplained:,} unexplained differences",
            *(f"{count:8,}  {name}: {WHY[name]}" for name, count in self.classes.most_common()),
        ]
        return "\n".join([*lines, *self.findings])

    def add(self, finding: str) -> None:
        self.unexplained += 1
        if len(self.findings) < SHOWN:
            self.findings.append(finding)


RCODES = {0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED", 6: "YXDOMAIN"}


def run(count: int, seed: int, *, tell: Callable[[str], None] = lambda line: None) -> Report:
    """Ask `count` queries in batches, seeds from `seed` on. Raises ServerError."""
    report = Report()
    begun = time.monotonic()
    while report.queries < count:
        _batch(seed, min(BATCH, count - report.queries), report)
        report.seconds = time.monotonic() - begun
        tell(f"seed {seed}: {report.queries:,} queries, {report.unexplained} unexplained")
        seed += 1
    return report


def _batch(seed: int, count: int, report: Report) -> None:
    zones = generate(seed, ZONES)
    queries, shapes = list(ask(zones, seed, count)), _shapes(zones[0], seed, all_=not report.queries)
    known = packet(wire(zones[0].apex))
    folder = Path(tempfile.mkdtemp(prefix="geodns-differential-"))
    try:
        with started(zones, folder) as ports:
            replies = {name: ask_all(port, queries) for name, port in ports.items()}
            others = {name: ask_any(port, shapes, known) for name, port in ports.items()}
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    world = World(zones)
    for number, query in enumerate(queries):
        _compare(seed, query, {name: found[number] for name, found in replies.items()}, world, report)
    for number, shape in enumerate(shapes):
        found = manners.judge(shape, {name: said[number] for name, said in others.items()}, world)
        if found:
            report.add("\n  ".join((f"\nseed {seed}: {shape}", *found)))
    report.queries += count
    report.packets += len(shapes)
    report.zones += len(zones)


def _shapes(zone: Zone, seed: int, *, all_: bool) -> list[Shape]:
    chance = Random(seed)
    made = list(every(zone.apex, chance))
    changed = (mutated(chance.choice(made), chance) for _ in range(MUTATED if all_ else SAMPLE))
    return [*(made if all_ else chance.sample(made, SAMPLE)), *changed]


def _compare(seed: int, query: Query, replies: dict[str, bytes | None], world: World, report: Report) -> None:
    read: dict[str, answers.Answer] = {}
    found: tuple[str, ...] = ()
    for name, reply in replies.items():
        try:
            read[name] = answers.read(reply or b"")
        except (ValueError, IndexError) as error:
            found += (f"{name}: {'no reply' if reply is None else f'unreadable, {error}'}",)
    if not found:
        ours = read.pop(US)
        verdict = judge(Case(query, ours, read, world))
        report.classes.update(verdict.classes)
        report.voices[verdict.voices] += 1
        report.rcodes[ours.rcode] += 1
        found = verdict.findings
        read = {US: ours, **read}
    if found:
        report.add(_told(seed, query, found, read))


def _told(seed: int, query: Query, found: tuple[str, ...], read: dict[str, answers.Answer]) -> str:
    lines = [f"\nseed {seed}: {query}", *(f"  {what}" for what in found)]
    for name, answer in read.items():
        flags = " ".join(flag for flag in ("aa", "tc") if getattr(answer, flag))
        lines.append(f"  {name}: {RCODES.get(answer.rcode, answer.rcode)} {flags} {answer.size} octets")
        for section in ("answer", "authority", "additional"):
            records = sorted(getattr(answer, section))
            lines += [f"    {section} {_record(record)}" for record in records[:MANY]]
            lines += [f"    {section} and {len(records) - MANY} more"] if len(records) > MANY else []
    return "\n".join(lines)


def _record(record: answers.Record) -> str:
    owner, rtype, ttl, rdata = record
    data = text(labels_of(rdata)) if rtype in (answers.NS, answers.CNAME, answers.DNAME) else rdata.hex()
    return f"{text(labels_of(owner))[-WIDEST:]} {ttl} {to_text(rtype)} {data[:WIDEST]}"
