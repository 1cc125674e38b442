"""Whether the native lane can be used: nothing imports `geodns._native` that has not asked here.

The library says what it was built from, by two hashes that `native/build.rs` put into it: `LAYOUT`, of what
both lanes must agree on, and `SOURCES`, of the crate. In a checkout the crate is there, and may have been
changed since: then both are held against the files, elsewhere the layout alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from geodns.errors import GeodnsError

if TYPE_CHECKING:
    from geodns.config.schema.settings import Settings

PACKAGE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Availability:
    """Whether the native lane answers; else `why` says what keeps it from that, and what to do."""

    usable: bool
    why: str = ""


@cache
def available() -> Availability:
    """Whether the native lane was built, from the files that are here, and can be loaded."""
    try:
        import geodns._native as native  # noqa: PLC0415 - it need not be there
    except ModuleNotFoundError:
        return Availability(
            False, "the native lane is not built (where there is cargo, make and pip build it)"
        )
    except ImportError as error:
        return Availability(False, f"the native lane cannot be loaded: {error}")
    return judged(native.LAYOUT, native.SOURCES, PACKAGE)


def judged(layout: str, sources: str, package: Path) -> Availability:
    """Whether a library with these hashes fits the package in a folder."""
    if layout != _hash(package / name for name in ("core/table.py", "_native.pyi")):
        return Availability(False, "the native lane was built for another layout of the table: run make")
    crate = package.parent / "native"
    if (crate / "Cargo.toml").exists() and sources != _hash(_sources(crate)):
        return Availability(False, "the native lane was built from other sources than these: run make")
    return Availability(True)


def choose(lane: str) -> Availability:
    """Whether the native lane answers, by the setting `lane`.

    Raises GeodnsError where it is asked for and cannot be used.
    """
    found = available()
    if lane == "native" and not found.usable:
        raise GeodnsError(f"lane: native cannot be had: {found.why}, or set lane: auto")
    if lane == "python":
        return Availability(False, "the settings say so")
    return found


def threads(settings: Settings) -> int:
    """How many threads answer on each address. Raises GeodnsError for cores that the process may not use."""
    allowed = os.sched_getaffinity(0)
    refused = [core for core in settings.cores if core not in allowed]
    if refused:
        may = ", ".join(map(str, sorted(allowed)))
        raise GeodnsError(f"cores: {refused[0]} is none that this process may use; those are {may}")
    return settings.threads or len(settings.cores or allowed)


def _sources(crate: Path) -> list[Path]:
    """What the crate is compiled from, in the order of `native/build.rs`."""
    code = sorted((crate / "src").rglob("*.rs"), key=lambda path: path.parts)
    return [*(crate / name for name in ("Cargo.toml", "Cargo.lock", "build.rs")), *code]


def _hash(files: Iterable[Path]) -> str:
    """The hash of files' contents, each behind its length."""
    found = sha256()
    for file in files:
        text = file.read_bytes()
        found.update(len(text).to_bytes(8, "little") + text)
    return found.hexdigest()
