"""`python -m bench [PART ...]`: measure beside the peers; all parts without a name. See bench/run.py,
scale.py, changes.py, reload.py and threads.py."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from bench import changes, machine, plot, reload, report, run, scale, threads
from bench.machine import BenchError
from bench.plan import Plan
from bench.results import Results

PARTS = {"peers": run, "threads": threads, "scale": scale, "changes": changes, "reload": reload}
QUICK_RELOADS = 20


def main() -> int:
    args = _arguments()
    if not sys.platform.startswith("linux"):
        print("bench: Linux only (it pins processes and reads their CPU clocks)", file=sys.stderr)
        return 2
    try:
        with machine.pinned(machine.cores()[1]):
            return measure(args)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)} (default: all)")
    parser.add_argument(
        "--rounds", type=int, default=3, help="peers: how often each server takes its turn (default 3)"
    )
    parser.add_argument("--servers", help="ids, comma-separated: " + ", ".join(s.id for s in run.SERVERS))
    parser.add_argument(
        "--reloads", type=int, help=f"of the native lane under full load (default {Plan.reloads:,})"
    )
    parser.add_argument(
        "--quick", action="store_true", help="one round, a tenth of the queries: does it work at all"
    )
    parser.add_argument(
        "--out", type=Path, default=machine.OUT, help="folder for the report (default bench/out)"
    )
    return parser.parse_args()


def measure(args: argparse.Namespace) -> int:
    """Measure the parts, write the report; 1 where answers were wrong."""
    _known(set(args.parts), set(PARTS), "part")
    only = frozenset(args.servers.split(",")) if args.servers else None
    _known(set(only or ()), {s.id for s in run.SERVERS}, "server")
    reloads = args.reloads or (QUICK_RELOADS if args.quick else Plan.reloads)
    about = machine.describe()
    if args.quick:
        about["quick"] = "a tenth of everything: good for seeing that it works, not for its figures"
    plan = Plan(Results(about), 1 if args.quick else max(1, args.rounds), only, args.quick, reloads)
    for name, part in PARTS.items():
        if name in (args.parts or PARTS):
            part.measure(plan)
            write(args.out, "results.json", json.dumps(plan.results.as_json(), indent=1).encode())
    drawn = plot.draw(plan.results)
    if drawn is not None:
        write(args.out, report.PLOT, drawn)
    text = report.render(plan.results)
    print(text)
    write(args.out, "report.md", text.encode())
    return 1 if any(report.problems(plan.results)) else 0


def _known(given: set[str], known: set[str], what: str) -> None:
    if given - known:
        raise BenchError(
            f"unknown {what} {', '.join(sorted(given - known))}; known: {', '.join(sorted(known))}"
        )


def write(folder: Path, name: str, content: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    print(f"written: {folder / name}")


if __name__ == "__main__":
    sys.exit(main())
