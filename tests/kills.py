"""A process that writes overrides is killed at random moments: the file is the old state or the new, whole.

`python -m tests.kills FILE --n 1000`. Each round a child opens the state file, makes batches of overrides
with their rows in the audit, saves verdicts, closes and opens it again, until kill -9; then the file is read.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import time
from collections import Counter
from pathlib import Path

from geodns.core.audit import LIFT, NO_HASH, SET, Wanted, of_batch
from geodns.core.health import Health, Verdict
from geodns.core.overrides import FORCE, PAUSE, WEIGHT, Override
from geodns.core.world import Batch, Lifted, Overridden, World, apply
from geodns.store.state import Store

LIFE = 0.04  # seconds for which a child lives at most
BATCHES = 6  # between two openings of the file at most
SUBJECTS = {PAUSE: "east", WEIGHT: "east:web", FORCE: "east:web:east-1"}
SIDES = ("north", "south")  # of these the one's overrides are set when the other's are lifted
PROBES = 20


def overrides_of(n: int) -> list[Override]:
    """What is set after batch `n`, sorted as the store does."""
    subjects = {**SUBJECTS, PAUSE: SIDES[n % 2]}
    made = [
        Override(kind, subject, f"batch {n}", f"actor {n}", float(n), None, n % 2 if kind == FORCE else 7)
        for kind, subject in subjects.items()
    ]
    return sorted(made, key=lambda o: (o.kind, o.subject))


def batch_of(n: int) -> Batch:
    """Two overrides set anew, a pause put on one side and, but for the first time, lifted from the other."""
    lifted = (Lifted(PAUSE, SIDES[(n - 1) % 2]),) if n > 1 else ()
    return Batch((*map(Overridden, overrides_of(n)), *lifted))


def write(path: Path, n: int, tell: int) -> None:
    """Make batches after the `n`-th, and tell the number of each that is written, for ever."""
    chance = random.Random(n)
    world = World()
    for override in overrides_of(n) if n else ():
        world, _ = apply(world, Overridden(override))
    while True:
        store = Store(path)
        for _ in range(chance.randint(1, BATCHES)):
            n += 1
            batch = batch_of(n)
            put = [change.override for change in batch.changes if isinstance(change, Overridden)]
            drop = [(change.kind, change.subject) for change in batch.changes if isinstance(change, Lifted)]
            store.change_overrides(put, drop, of_batch(world, batch, float(n), f"actor {n}", f"batch {n}"))
            os.write(tell, n.to_bytes(4))
            world, _ = apply(world, batch)
            store.save_verdicts({f"p{i}": Health(Verdict.UP, float(n)) for i in range(PROBES)}, 0.0)
        store.close()


def kill_one(path: Path, n: int, seconds: float) -> int:
    """Let a child write after batch `n` for so long; the last batch that it told."""
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            write(path, n, tell)
        finally:
            os._exit(1)
    os.close(tell)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL, "the child ended by itself"
    with os.fdopen(told, "rb") as reader:
        written = reader.read()
    return int.from_bytes(written[-4:]) if written else n


def examine(path: Path, told: int, known: tuple[int, bytes]) -> tuple[int, tuple[int, bytes]]:
    """The batch that the file holds, and its last audit row; AssertionError where anything is torn.

    `known` is the last row of the audit as it was when it was last examined.
    """
    store = Store(path)
    held, verdicts = store.overrides(), store.verdicts(1.0, 0.0)
    page = store.audit(Wanted(), 4)
    good, wrong = store.check_audit(known)
    kept = store.audit_row(known[0])
    store.close()
    n = int(held[0].since) if held else 0
    assert n in (told, told + 1), f"batch {told} was written, the file has {n}"
    assert held == (overrides_of(n) if n else [])
    assert (good, wrong, kept) == (page.head, "", known[1]), wrong
    rows = sorted((row.entry.action, row.entry.subject, row.entry.reason) for row in page.rows)
    wanted = [(SET, o.subject, f"batch {n}") for o in held]
    wanted += [(LIFT, SIDES[(n - 1) % 2], f"batch {n}")] if n > 1 else []
    assert rows == sorted(wanted), f"overrides of batch {n}, and in the audit {rows}"
    seen = {int(health.since) for health in verdicts.values()}
    assert len(verdicts) in (0, PROBES) and len(seen) <= 1 and max(seen, default=0) <= n, f"of {seen}"
    return n, good


def run(path: Path, rounds: int, seed: int) -> Counter[str]:
    """How often the file was as the child had told, one batch further, and as it was before."""
    chance = random.Random(seed)
    found: Counter[str] = Counter()
    n, head = 0, (0, NO_HASH)
    Store(path).close()
    for _ in range(rounds):
        before = n
        told = kill_one(path, n, chance.random() * LIFE)
        n, head = examine(path, told, head)
        found["untouched" if n == before else "as told" if n == told else "one more than told"] += 1
    _whole(path, n)
    found["batches"] = n
    return found


def _whole(path: Path, n: int) -> None:
    """All rows from the first on hold, and there is one for each change of each batch."""
    store = Store(path)
    good, before = (0, NO_HASH), None
    while good != before:
        before = good
        good, wrong = store.check_audit(good)
        assert not wrong, wrong
    assert good == store.audit(Wanted(), 1).head
    assert good[0] + store.audit_dropped == 4 * n - 1 if n else good[0] == 0
    store.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.kills", description=__doc__)
    parser.add_argument("file", type=Path, help="the state file, which must not be there yet")
    parser.add_argument("--n", type=int, default=1000, help="kills (default 1000)")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if args.file.exists():
        sys.exit(f"kills: {args.file} is there already")
    began = time.monotonic()
    counts = run(args.file, args.n, args.seed)
    batches, seconds = counts.pop("batches"), time.monotonic() - began
    outcomes = ", ".join(f"{count} {what}" for what, count in sorted(counts.items()))
    print(f"{args.n} kills in {seconds:.0f} s, {batches} batches written, none torn; the file was {outcomes}")
