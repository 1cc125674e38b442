"""What was measured: filled by the parts, kept as results.json, shown by the report."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass, field
from typing import Any

POWERDNS = "powerdns, cheaper mode"  # what is compared with: either of the next two
MODES = ("powerdns", "powerdns-cached")


@dataclass
class Runs:
    """The part `peers`: a row for each round, server, size, kind and rate, as `Server.under` gives it."""

    rounds: int
    starts: list[dict[str, Any]] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)

    def values(self, server: str, kind: str, names: int, key: str = "cpu_us", rate: int = 0) -> list[float]:
        """What every round measured, in the order of the rounds."""
        wanted = (server, kind, names, rate)
        return [r[key] for r in self.rows if (r["server"], r["kind"], r["names"], r["rate"]) == wanted]

    def median(self, server: str, kind: str, names: int, key: str = "cpu_us", rate: int = 0) -> float | None:
        """None where nothing was measured."""
        servers = MODES if server == POWERDNS else (server,)
        values = [self.values(s, kind, names, key, rate) for s in servers]
        return min((statistics.median(v) for v in values if v), default=None)

    def ratio(
        self, server: str, base: str, kind: str, names: int, key: str = "cpu_us", rate: int = 0
    ) -> float | None:
        """How many times `base` the server takes, by the medians; None where either was not measured."""
        own, other = (self.median(s, kind, names, key, rate) for s in (server, base))
        return own / other if own is not None and other else None

    def leave_out(self, server: str) -> None:
        """Drop what was measured of a server that does not work: half of it would mislead."""
        self.rows = [r for r in self.rows if r["server"] != server]
        self.starts = [r for r in self.starts if r["server"] != server]


@dataclass
class Results:
    """All parts; one that was not measured is empty. Keys of the dictionaries are servers' ids."""

    machine: dict[str, str]
    servers: dict[str, dict[str, str]] = field(default_factory=dict)  # title, version
    skipped: list[str] = field(default_factory=list)  # why something was left out, a line each
    peers: Runs | None = None
    scale: dict[str, Any] = field(default_factory=dict)
    changes: dict[str, Any] = field(default_factory=dict)
    reload: dict[str, Any] = field(default_factory=dict)
    threads: dict[str, Any] = field(default_factory=dict)

    def title(self, server: str) -> str:
        return self.servers[server]["title"]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)
