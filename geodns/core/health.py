"""Health without a clock or a socket: what a probe is, and how its results become a verdict.

A monitor folds results into a `Track`; only when the part that answers depend on (`Health`) changes does
the world hear of it. `fold` is a pure function, so that a simulation can run years of it in a second.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from enum import StrEnum

from geodns.core.names import labels
from geodns.model import Check, Endpoint

DEFAULT_PORTS = {"http": 80, "https": 443}


class Verdict(StrEnum):
    UP = "up"
    DOWN = "down"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Probe:
    """What is asked of whom. Endpoints that share address, port and check share one probe.

    `address` is an IPv4 or IPv6 address or a host name. `family` 0 means either.
    """

    check: Check
    address: str
    port: int

    @property
    def id(self) -> str:
        """Stable across restarts, for the store: kind, address, port and a hash of the check."""
        digest = hashlib.blake2b(repr(self.check).encode(), digest_size=6).hexdigest()
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{self.check.kind}://{host}:{self.port}#{digest}"


def probe_of(endpoint: Endpoint, family: int) -> Probe | None:
    """The probe whose verdict stands for the endpoint's address of `family` (4 or 6; 0 for a target).

    None where the endpoint has no check: it is up. A `probe` address stands for both families.
    """
    if endpoint.check is None:
        return None
    own = endpoint.ipv4 if family == 4 else endpoint.ipv6 if family == 6 else None
    if endpoint.target is not None:
        own = ".".join(label.decode("latin-1") for label in labels(endpoint.target))
    address = endpoint.probe or own
    if address is None:
        return None
    port = endpoint.check.port or endpoint.port or DEFAULT_PORTS.get(endpoint.check.kind, 0)
    return Probe(endpoint.check, address, port)


@dataclass(frozen=True, slots=True)
class Health:
    """The part of a probe's state that answers depend on. Times are Unix seconds.

    `doubt_until`: one more contrary result would flip the verdict, and it can come no later than this;
    0 when the verdict is not in doubt. `reason` is the last result that mattered, for people.
    """

    verdict: Verdict = Verdict.UNKNOWN
    since: float = 0.0
    doubt_until: float = 0.0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """One finished probe: `detail` is for people: `200 OK in 3 ms`, `connection refused`."""

    ok: bool
    at: float
    took: float
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Track:
    """A probe's health and how near it is to flipping: `streak` results in a row against the verdict."""

    health: Health = Health()
    streak: int = 0
    streak_ok: bool = False
    streak_since: float = 0.0
    last: Result | None = None


def fold(track: Track, result: Result, check: Check) -> Track:
    """The track after one more result.

    Unknown becomes up at the first good result and down after `fall` bad ones; up falls after `fall` bad
    in a row, down rises after `rise` good in a row. One result short of flipping, the health is in doubt
    until the next result can be in: one interval and one timeout from now.
    """
    health = track.health
    agrees = result.ok == (health.verdict is Verdict.UP) and health.verdict is not Verdict.UNKNOWN
    if agrees:
        settled = replace(health, doubt_until=0.0) if health.doubt_until else health
        return replace(track, health=settled, streak=0, last=result)
    same = track.streak and track.streak_ok == result.ok
    streak = track.streak + 1 if same else 1
    streak_since = track.streak_since if same else result.at
    need = check.fall if not result.ok else 1 if health.verdict is Verdict.UNKNOWN else check.rise
    if streak >= need:
        verdict = Verdict.UP if result.ok else Verdict.DOWN
        reason = f"{streak} of {need}: {result.detail}"
        return Track(Health(verdict, result.at, 0.0, reason), 0, result.ok, streak_since, result)
    doubt = result.at + check.interval + check.timeout if streak == need - 1 else 0.0
    return Track(replace(health, doubt_until=doubt), streak, result.ok, streak_since, result)
