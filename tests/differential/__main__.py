"""`python -m tests.differential --n 1000000`: the long run; `--zones SEED` prints a batch's master files."""

from __future__ import annotations

import argparse
import sys

from tests.differential.run import ZONES, run
from tests.differential.servers import PEERS, ServerError, find
from tests.differential.written import master
from tests.differential.zones import generate


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.differential", description=__doc__)
    parser.add_argument("--n", type=int, default=100_000, help="how many queries (default 100,000)")
    parser.add_argument("--seed", type=int, default=0, help="the first batch's seed (default 0)")
    parser.add_argument("--zones", type=int, metavar="SEED", help="print the zones of a batch, ask nothing")
    args = parser.parse_args()
    if args.zones is not None:
        print("\n".join(master(zone) for zone in generate(args.zones, ZONES)))
        return 0
    missing = [program for program in PEERS.values() if find(program) is None]
    if missing:
        print(f"differential: not here: {', '.join(missing)} (Debian: nsd, knot, bind9)", file=sys.stderr)
        return 2
    try:
        report = run(args.n, args.seed, tell=lambda line: print(line, file=sys.stderr))
    except ServerError as error:
        print(f"differential: {error}", file=sys.stderr)
        return 2
    print(report)
    return 1 if report.unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
