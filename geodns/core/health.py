"""Health without a clock or a socket: what a probe is, and how its results become a verdict.

A monitor folds results into a `Track`; only when the part that answers depend on (`Health`) changes does
the world hear of it. `fold` is a pure function, so that a simulation can run years of it in a second.

An endpoint that keeps falling is believed less and less: its second fall keeps it down for `damping`
seconds at least, each further one for twice as long. A failure is never held back.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple

from geodns.core.names import labels
from geodns.model import Check, Endpoint

DEFAULT_PORTS = {"http": 80, "https": 443, "tls": 443, "dns": 53}
MOST_HELD = 32  # times `damping`: the longest that a return is held down
_MOST_FLAPS = 6  # one more fall, and it is held for 2**5 times `damping`


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


def probes_of(endpoint: Endpoint, family: int) -> tuple[Probe, ...]:
    """The probes that decide about the endpoint's address of `family` (4 or 6; 0 for a target).

    None where the endpoint has no check: it is up. What they come to is told by `observations`.
    """
    leaves = endpoint.check.leaves() if endpoint.check else ()
    return tuple(filter(None, (probe_at(leaf, endpoint, family) for leaf in leaves)))


def probe_at(check: Check, endpoint: Endpoint, family: int) -> Probe | None:
    """The probe of one check that is no `follow`; a `probe` address stands for both families.

    None where the endpoint has no such address.
    """
    own = endpoint.ipv4 if family == 4 else endpoint.ipv6 if family == 6 else None
    if endpoint.target is not None:
        own = ".".join(label.decode("latin-1") for label in labels(endpoint.target))
    address = check.probe or endpoint.probe or own
    if address is None:
        return None
    return Probe(check, address, check.port or endpoint.port or DEFAULT_PORTS.get(check.kind, 0))


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


class Outcome(NamedTuple):
    """What one probe found. `detail` is for people: `200 OK in 3 ms`, `connection refused`.

    `expires`: when the certificate that was verified ends, in Unix seconds; None where none was.
    """

    ok: bool
    detail: str = ""
    expires: float | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """One finished probe, and when: its outcome, the end (Unix seconds) and how long it took (seconds)."""

    ok: bool
    at: float
    took: float
    detail: str = ""
    expires: float | None = None


@dataclass(frozen=True, slots=True)
class Track:
    """A probe's health and how near it is to flipping.

    `contrary` holds the results since the last flip as bits, the newest lowest: 1 where a result spoke
    against the verdict (while it is unknown: for down). `flaps` counts falls that good health has not
    made up for; because of them the return to up waits until `held_until` (Unix seconds, 0: it does not).
    """

    health: Health = Health()
    contrary: int = 0
    flaps: int = 0
    held_until: float = 0.0
    last: Result | None = None

    def against(self, check: Check) -> int:
        """How many of the results that count have spoken against the verdict."""
        return (self.contrary & _mask(_window(self.health.verdict, check).of)).bit_count()

    def wants(self, check: Check) -> Window:
        """How many must, of how many, for it to flip."""
        return _window(self.health.verdict, check)


def fold(track: Track, result: Result, check: Check) -> Track:
    """The track after one more result.

    Unknown becomes up at the first good result, and down as up does: after `fall` bad ones of the last
    `fall_of`. Down rises after `rise` good ones of the last `rise_of`, but not before `held_until`. While
    one more contrary result would flip it, the health is in doubt until that result can be in.
    """
    health = track.health
    if health.verdict is Verdict.UNKNOWN and result.ok:
        return Track(Health(Verdict.UP, result.at, 0.0, f"1 of 1: {result.detail}"), last=result)
    window = _window(health.verdict, check)
    spoke_against = result.ok == (health.verdict is Verdict.DOWN)
    contrary = (track.contrary << 1 | spoke_against) & _mask(window.of)
    if not spoke_against and window.need == window.of:  # no run in a row holds what went before this
        contrary = 0
    count = contrary.bit_count()
    if spoke_against and count >= window.need and result.at >= track.held_until:
        return _flip(track, result, check, f"{count} of {window.of}: {result.detail}")
    folded = replace(track, contrary=contrary, last=result)
    return replace(folded, health=_doubted(health, _doubt(folded, result.at, check)))


def gap(track: Track, check: Check) -> float:
    """Seconds from the beginning of the last probe to the next: shorter while results disagree.

    Not while a return is held down: then more results decide nothing.
    """
    held = track.last is not None and track.held_until > track.last.at + check.interval
    if check.retry_interval is None or held or not track.contrary:
        return check.interval
    return min(check.retry_interval, check.interval)


@dataclass(frozen=True, slots=True)
class Window:
    """`need` contrary results of the last `of` flip a verdict; in a row where both are the same."""

    need: int
    of: int


def _window(verdict: Verdict, check: Check) -> Window:
    if verdict is Verdict.DOWN:
        return Window(check.rise, max(check.rise, check.rise_of))
    return Window(check.fall, max(check.fall, check.fall_of))


def _mask(bits: int) -> int:
    return (1 << bits) - 1


def _flip(track: Track, result: Result, check: Check, reason: str) -> Track:
    verdict = Verdict.UP if result.ok else Verdict.DOWN
    health = Health(verdict, result.at, 0.0, reason)
    if result.ok or not check.damping:
        return Track(health, flaps=track.flaps if check.damping else 0, last=result)
    flaps = flaps_left(track, result.at, check) + 1
    held = check.damping * 2.0 ** (flaps - 2) if flaps > 1 else 0.0
    return Track(health, 0, flaps, result.at + held if held else 0.0, result)


def flaps_left(track: Track, now: float, check: Check) -> int:
    """The falls that still count: each `MOST_HELD` x `damping` of staying up makes up for one."""
    if track.health.verdict is not Verdict.UP or not check.damping:
        return min(track.flaps, _MOST_FLAPS)
    forgiven = (now - track.health.since) / (MOST_HELD * check.damping)
    return max(0, min(track.flaps, _MOST_FLAPS) - int(min(max(forgiven, 0.0), _MOST_FLAPS)))


def _doubt(track: Track, at: float, check: Check) -> float:
    """Until when a flip by the next result can come (Unix seconds); 0 where the next one cannot flip it."""
    window = _window(track.health.verdict, check)
    remembered = (track.contrary & _mask(window.of - 1)).bit_count()
    latest = at + gap(track, check) + check.timeout
    near = track.contrary and remembered + 1 >= window.need
    return latest if near and track.held_until <= latest else 0.0


def _doubted(health: Health, until: float) -> Health:
    return health if health.doubt_until == until else replace(health, doubt_until=until)
