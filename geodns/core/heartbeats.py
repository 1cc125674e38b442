"""Heartbeats: what an endpoint says of itself, signed, and whether that is to be believed.

The signature is HMAC-SHA-256 (RFC 2104) over the octets of the body. A heartbeat counts once: each is stamped
later than the one before, near the present, and after the server's start; so one that was overheard is worth
nothing when it is said again.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass

from geodns.core.health import HEARTBEAT, Probe, probes_of
from geodns.core.overrides import Subject
from geodns.core.verbs import require
from geodns.core.world import World, families
from geodns.errors import GeodnsError

PATH = "/api/v1/heartbeat"
KEY_HEADER, SIGNATURE_HEADER = "Geodns-Key", "Geodns-Signature"
MAX_APART = 30.0  # seconds that the clocks of both may differ


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """`subject` is an endpoint (`core.overrides`), `at` Unix seconds of its clock. `load` and `capacity` are
    in a unit of the operator's, None where they are not told.
    """

    subject: str
    at: float
    draining: bool = False
    load: float | None = None
    capacity: float | None = None


class StaleError(GeodnsError):
    """A heartbeat that does not count: it was heard before, or its time is not the present."""


class UnexpectedError(GeodnsError):
    """A heartbeat of an endpoint that is not checked by them, or not with this key."""


def sign(secret: bytes, body: bytes) -> str:
    """The signature of a body, in hex."""
    return hmac.new(secret, body, "sha256").hexdigest()


def is_signed(secret: bytes, body: bytes, signature: str) -> bool:
    """Whether a signature is that of the body, compared in constant time."""
    return hmac.compare_digest(sign(secret, body).encode(), signature.encode("utf-8", "surrogateescape"))


def require_fresh(beat: Heartbeat, now: float, newest: float, started: float) -> None:
    """Raises StaleError unless it is stamped about `now`, after `newest` (the one before) and `started`."""
    apart = beat.at - now
    if abs(apart) > MAX_APART:
        where = "ahead of" if apart > 0 else "behind"
        raise StaleError(f"'at' is {abs(apart):.0f} s {where} this server's clock; {MAX_APART:g} s may be")
    if beat.at <= newest:
        raise StaleError("a heartbeat with this 'at' or a later one was heard before")
    if beat.at <= started:
        raise StaleError("'at' is before this server's start")


def probes_told(world: World, subject: str, key: str) -> tuple[Probe, ...]:
    """The probes of an endpoint that its heartbeats with this key are for, whatever the family.

    Raises UnknownSubject, UnexpectedError.
    """
    require(world, subject)
    region, pool, name = Subject.parse(subject)
    if not name:
        raise UnexpectedError(f"'{subject}' is no endpoint: write REGION:POOL:ENDPOINT")
    here = world.pools[pool].region(region)
    assert here is not None, "it was required"
    endpoint = next(endpoint for endpoint in here.endpoints if endpoint.name == name)
    all_ = [probe for family in families(endpoint) for probe in probes_of(endpoint, family)]
    found = tuple(dict.fromkeys(p for p in all_ if p.check.kind == HEARTBEAT and p.check.key == key))
    if not found:
        raise UnexpectedError(f"{subject} has no heartbeat check with the key '{key}'")
    return found
