"""`python -m tests.lanes`: a long run; exit code 1 where the lanes differ."""

from __future__ import annotations

import argparse
import sys

from tests.lanes.run import run

parser = argparse.ArgumentParser(prog="python -m tests.lanes", description=__doc__)
parser.add_argument("--n", type=int, default=100_000, help="packets (default 100000)")
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()
report = run(args.n, args.seed, tell=lambda line: print(line, flush=True))
print(report)
sys.exit(report.different > 0)
