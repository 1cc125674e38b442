"""`python -m tests.failover`: the long run; exit code 1 where geodns was too slow, or wrong."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from tests.failover.run import run

SYSTEM = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"

parser = argparse.ArgumentParser(prog="python -m tests.failover", description=__doc__)
parser.add_argument("--n", type=int, default=200, help="kills (default 200)")
parser.add_argument("--flaps", type=int, default=100, help="flaps below the threshold (default 100)")
parser.add_argument("--names", type=int, default=40, help="names that live at once (default 40)")
parser.add_argument("--ttl", type=int, default=15, help="seconds (default 15)")
parser.add_argument("--rate", type=int, default=2000, help="queries a second of dnsperf (default 2000)")
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--lane", choices=("python", "native"), default="python")
args = parser.parse_args()


def required(tool: str) -> str:
    found = shutil.which(tool, path=SYSTEM)
    if found is None:
        sys.exit(f"failover: {tool} is not here (Debian: unbound, dnsperf)")
    return found


with tempfile.TemporaryDirectory() as folder:
    report = run(
        required,
        Path(folder),
        lane=args.lane,
        kills=args.n,
        flaps=args.flaps,
        names=args.names,
        ttl=args.ttl,
        seed=args.seed,
        rate=args.rate,
        tell=lambda line: print(line, file=sys.stderr, flush=True),
    )
print(report)
sys.exit(not report.within())
