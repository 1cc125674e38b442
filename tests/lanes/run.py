"""A run: world after world, thousands of packets each, both replies compared."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.lanes.packets import STREAM, changed, client, stock
from tests.lanes.worlds import KINDS

PACKETS = 20_000  # put to a world
EVENTS = 25
SHOWN = 10
LIMITS = (512, 700, 1232, 1232, 1400, 4096, STREAM, STREAM)


@dataclass
class Report:
    """What a run found. `passed`: packets that the native lane left to Python, by what they are."""

    packets: int = 0
    replies: int = 0
    worlds: Counter[str] = field(default_factory=Counter)
    passed: Counter[str] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)
    different: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        worlds = ", ".join(f"{count:,} {kind}" for kind, count in self.worlds.items())
        passed = ", ".join(f"{count:,} {what}" for what, count in self.passed.most_common()) or "none"
        lines = [
            f"{self.packets:,} packets in {self.seconds:.0f} s, {self.replies:,} answered; worlds: {worlds}",
            f"left to Python: {passed}",
            f"{self.different:,} differences",
        ]
        return "\n".join([*lines, *self.differences])

    def add(self, what: str) -> None:
        self.different += 1
        if len(self.differences) < SHOWN:
            self.differences.append(what)


def run(count: int, seed: int, *, tell: Callable[[str], None] = lambda line: None) -> Report:
    """Put `count` packets to worlds, from `seed` on."""
    report, begun = Report(), time.monotonic()
    while report.packets < count:
        kind = list(KINDS)[seed % len(KINDS)]
        with tempfile.TemporaryDirectory(prefix="geodns-lanes-") as folder:
            _world(kind, Path(folder), seed, min(PACKETS, count - report.packets), report)
        report.seconds = time.monotonic() - begun
        tell(f"seed {seed} ({kind}): {report.packets:,} packets, {report.different} differences")
        seed += 1
    return report


def _world(kind: str, folder: Path, seed: int, count: int, report: Report) -> None:
    chance = Random(seed)
    pair = KINDS[kind](folder, chance)
    report.worlds[kind] += 1
    now = 1_700_000_000
    packets = [*stock(pair.model, pair.cookies, now, chance), *((packet, "") for packet in pair.packets)]
    for number in range(count):
        if number % (PACKETS // EVENTS) == 0:
            now += chance.choice((0, 0, 1, 5, 30, 1800))
            pair.happen(now)
        now += chance.random() < 0.03
        packet, asker = chance.choice(packets)
        if chance.random() < 0.4:
            packet = changed(packet, chance)
        if not asker or chance.random() < 0.2:
            asker = client(chance)
        asked = (asker, chance.choice(LIMITS), chance.getrandbits(32), now)
        replies = [lab.replay.answer(packet, *asked) for lab in pair.labs]
        report.replies += replies[0] is not None
        if replies[0] != replies[1]:
            shown = [None if reply is None else reply.hex() for reply in replies]
            report.add(
                f"\nseed {seed} ({kind}), packet {number}: {packet.hex()} {asked}\n  {shown[0]}\n  {shown[1]}"
            )
    report.packets += count
    report.passed += pair.passed
    counted = pair.counted()
    if counted[0] != counted[1]:
        report.add(f"\nseed {seed} ({kind}): counted {counted[0][1:]} and {counted[1][1:]}")
