"""How observations become a verdict: over those who observe, and over the checks that they observe.

An observation is what one observer says of one check of one address, and since when. Both steps are pure,
and nothing but health goes in and comes out: a verdict can be told again from what was observed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from geodns.core.health import Health, Probe, Verdict, probe_at
from geodns.model import Check, Endpoint

HERE = "here"  # the observer that this server itself is

ALWAYS_UP = Health(Verdict.UP, reason="no check")
NEVER_PROBED = Health(Verdict.UNKNOWN, reason="not probed yet")


class Observation(NamedTuple):
    observer: str
    probe: Probe
    health: Health


def agreed(observations: Iterable[Observation]) -> Mapping[Probe, Health]:
    """What observers say of probes, as one health for each: what its only observer says."""
    return {probe: health for _, probe, health in observations}


def verdict(endpoint: Endpoint, family: int, known: Mapping[Probe, Health]) -> Health:
    """The health of an endpoint's address of `family` (4, 6; 0 for a target), from that of its probes."""
    return ALWAYS_UP if endpoint.check is None else _of(endpoint.check, endpoint, family, known)


def _of(check: Check, endpoint: Endpoint, family: int, known: Mapping[Probe, Health]) -> Health:
    if not check.of:
        probe = probe_at(check, endpoint, family)
        return ALWAYS_UP if probe is None else known.get(probe, NEVER_PROBED)
    kinds = [part.kind for part in check.of]
    return joined([_of(part, endpoint, family, known) for part in check.of], check.need, kinds)


def joined(parts: Sequence[Health], need: int, kinds: Sequence[str]) -> Health:
    """Up where `need` parts are (0: all), down where so many can no longer be, else unknown.

    It is so `since` the part that decided it, and in doubt while as many parts are as could flip it.
    """
    need = need or len(parts)
    up, down, unknown = (_having(parts, one) for one in (Verdict.UP, Verdict.DOWN, Verdict.UNKNOWN))
    if len(up) >= need:
        found, since = Verdict.UP, _nth([h.since for h in up], need)
        doubt = _nth(_doubts(up), len(up) - need + 1)
    elif len(up) + len(unknown) < need:
        found, since = Verdict.DOWN, _nth([h.since for h in down], len(parts) - need + 1)
        doubt = _nth(_doubts(down), need - len(up) - len(unknown))
    else:
        return Health(reason=f"{len(up)} of {len(parts)} up, {need} must be: {len(unknown)} not probed yet")
    told = f"{len(up)} of {len(parts)} up, {need} must be"
    bad = next((f": {kind} {h.reason}" for h, kind in zip(parts, kinds, strict=True) if h in down), "")
    return Health(found, since, doubt, told + bad)


def _having(parts: Sequence[Health], verdict: Verdict) -> list[Health]:
    return [health for health in parts if health.verdict is verdict]


def _doubts(parts: Sequence[Health]) -> list[float]:
    return [health.doubt_until for health in parts if health.doubt_until]


def _nth(moments: Sequence[float], number: int) -> float:
    """The moment by which `number` of them have come; 0 where there are fewer."""
    return sorted(moments)[number - 1] if len(moments) >= number else 0.0
