"""What NSD, Knot and BIND say of zones, by their own checkers; nothing is started, nothing listens."""

from __future__ import annotations

import re
import subprocess
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

TIME_LIMIT = 60
# What is said of every zone, good or bad.
_NOISE = re.compile(r"loaded serial|^OK$|zone \S+ is ok|no errors found", re.IGNORECASE).search


class Said(NamedTuple):
    """One checker of one zone: whether a server would refuse it, and what was said."""

    refuses: bool
    lines: tuple[str, ...]


Verdicts = Mapping[str, Mapping[str, Said]]


def ask_all(zones: Mapping[str, str], folder: Path, required: Callable[[str], str]) -> Verdicts:
    """`{checker: {apex: what it said}}` of master files by apex (without the final dot)."""
    for apex, text in zones.items():
        (folder / f"{apex}.zone").write_text(text)
    return {
        "bind": {a: _bind(a, folder, required("named-checkzone")) for a in zones},
        "nsd": {a: _nsd(a, folder, required("nsd-checkzone")) for a in zones},
        "knot": _knot(zones, folder, required("knotc")),
    }


def _bind(apex: str, folder: Path, program: str) -> Said:
    """`local`: what lies outside the zone is not looked up."""
    return _said(_run(program, "-i", "local", apex, str(folder / f"{apex}.zone")))


def _nsd(apex: str, folder: Path, program: str) -> Said:
    return _said(_run(program, apex, str(folder / f"{apex}.zone")))


def _said(done: subprocess.CompletedProcess[str]) -> Said:
    lines = (done.stdout + done.stderr).splitlines()
    return Said(done.returncode != 0, tuple(line for line in lines if not _NOISE(line)))


def _knot(zones: Mapping[str, str], folder: Path, program: str) -> Mapping[str, Said]:
    """Two runs for all zones: what every Knot refuses, and what one that looks closely notices."""
    loaded = _knot_log(zones, folder, program, "off")
    refused = {apex for apex, lines in loaded.items() if any(line.startswith("error") for line in lines)}
    noticed = _knot_log(zones, folder, program, "on")
    return {apex: Said(apex in refused, tuple(noticed[apex])) for apex in zones}


def _knot_log(zones: Mapping[str, str], folder: Path, program: str, checks: str) -> Mapping[str, list[str]]:
    lines = ["database:", f"  storage: {folder}", "zone:"]
    for apex in zones:
        lines += [f"  - domain: {apex}", f"    file: {folder}/{apex}.zone", f"    semantic-checks: {checks}"]
    (folder / "knot.conf").write_text("\n".join(lines) + "\n")
    done = _run(program, "-c", str(folder / "knot.conf"), "zone-check")
    said: dict[str, list[str]] = defaultdict(list)
    for line in (done.stdout + done.stderr).splitlines():
        found = re.search(r"\[([^]]+)\.\]", line)
        assert found, line
        said[found[1]].append(line)
    return said


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=TIME_LIMIT, check=False)
