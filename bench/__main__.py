"""`python -m bench`: measure beside the peers. `python -m bench scale`: many names."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from bench import machine, report, run
from bench.machine import BenchError


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("what", nargs="?", choices=("peers", "scale"), default="peers")
    parser.add_argument(
        "--rounds", type=int, default=3, help="how often each server takes its turn (default 3)"
    )
    parser.add_argument("--servers", help="ids, comma-separated: " + ", ".join(s.id for s in run.SERVERS))
    parser.add_argument(
        "--quick", action="store_true", help="one round, a tenth of the queries: does it work at all"
    )
    parser.add_argument(
        "--out", type=Path, default=machine.OUT, help="folder for the reports (default bench/out)"
    )
    args = parser.parse_args()
    if not sys.platform.startswith("linux"):
        print("bench: Linux only (it pins processes and reads their CPU clocks)", file=sys.stderr)
        return 2
    try:
        with machine.pinned(machine.cores()[1]):
            return peers(args) if args.what == "peers" else many_names(args)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def peers(args: argparse.Namespace) -> int:
    only = set(args.servers.split(",")) if args.servers else None
    unknown = (only or set()) - {s.id for s in run.SERVERS}
    if unknown:
        raise BenchError(
            f"unknown server {', '.join(sorted(unknown))}; known: {', '.join(s.id for s in run.SERVERS)}"
        )
    results = run.measure(1 if args.quick else max(1, args.rounds), only, args.quick)
    write(args.out, "results.json", json.dumps(results.as_json(), indent=1))
    text = report.render(results)
    print(text)
    write(args.out, "report.md", text)
    return 1 if any(r.get("problem") for r in results.runs) else 0


def many_names(args: argparse.Namespace) -> int:
    from bench import scale  # noqa: PLC0415  needs geodns, the rest does not

    found = scale.measure(quick=args.quick)
    write(args.out, "scale.json", json.dumps(found, indent=1))
    text = scale.render(found)
    print(text)
    write(args.out, "scale.md", text)
    return 0


def write(folder: Path, name: str, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    print(f"written: {folder / name}")


if __name__ == "__main__":
    sys.exit(main())
