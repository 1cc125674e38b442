"""`python -m tests.fuzz [HARNESS …] --seconds 60`: drives harnesses in turn, prints what they did.

What a run learns stays in `build/fuzz/HARNESS/corpus` and is where the next one begins.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
SEEDS = Path(__file__).parent / "seeds"
DICTIONARIES = Path(__file__).parent / "dictionaries"
HARNESSES = ("packet", "edns", "cookies", "signed", "tcp", "zone", "api")
LARGEST = {
    "packet": 1500,
    "edns": 400,
    "cookies": 100,
    "signed": 1500,
    "tcp": 4000,
    "zone": 5000,
    "api": 2000,
}  # octets
HANGS = 20  # seconds that one input may take
MEMORY = 2048  # MiB


class Run(NamedTuple):
    """What a harness did: `finding` is empty, or the end of what was said of an input that it fell over."""

    harness: str
    executions: int
    seconds: float
    finding: str

    def __str__(self) -> str:
        rate = self.executions / max(self.seconds, 0.001)
        text = f"{self.harness:8} {self.executions:>10,} executions {rate:>8,.0f} per second"
        return f"{text}\n{self.finding}" if self.finding else text


def drive(harness: str, work: Path, *, seconds: int = 0, runs: int = -1, seed: int = 0) -> Run:
    """Drive a harness for so many seconds, or so many executions after the seeds; `work` keeps its corpus.

    `seed` 0 means another one each time.
    """
    corpus, found = work / harness / "corpus", work / harness
    corpus.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "tests.fuzz.drive", harness, str(corpus), str(SEEDS / harness)]
    command += [
        f"-max_total_time={seconds}",
        f"-runs={runs}",
        f"-seed={seed}",
        f"-max_len={LARGEST[harness]}",
    ]
    command += [f"-timeout={HANGS}", f"-rss_limit_mb={MEMORY}", f"-artifact_prefix={found}/"]
    command += ["-print_final_stats=1", "-len_control=10", "-use_value_profile=1"]
    dictionary = DICTIONARIES / f"{harness}.dict"
    if dictionary.exists():
        command.append(f"-dict={dictionary}")
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stderr + done.stdout
    executions = re.search(r"number_of_executed_units: (\d+)", said)
    took = re.search(r"Done \d+ runs in (\d+) second", said)
    finding = "" if done.returncode == 0 else said[-4000:]
    return Run(harness, int(executions[1]) if executions else 0, float(took[1]) if took else 0.0, finding)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("harness", nargs="*", default=HARNESSES, help=f"any of {', '.join(HARNESSES)}")
    parser.add_argument("--seconds", type=int, default=60, help="for each harness (default 60)")
    args = parser.parse_args()
    try:
        import atheris  # noqa: F401
    except ImportError:
        print(
            "fuzz: atheris is not here: it has wheels for CPython 3.11 to 3.13 on Linux x86-64",
            file=sys.stderr,
        )
        return 2
    findings = 0
    for harness in args.harness:
        run = drive(harness, ROOT / "build" / "fuzz", seconds=args.seconds)
        findings += bool(run.finding)
        print(run, flush=True)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
