"""`/api/v1/health`: every check, what it found, since when, and for whom it decides; the worst first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from aiohttp import web

from geodns.admin.body import answer, stamp
from geodns.admin.keys import CONTROL
from geodns.core.health import Probe, Result, Track, Verdict, flaps_left, probes_of
from geodns.core.world import World, families
from geodns.model import Check

MAX_CHECKS = 5000
_WORST_FIRST = (Verdict.DOWN, Verdict.UNKNOWN, Verdict.UP)


def add_routes(app: web.Application) -> None:
    app.router.add_get("/api/v1/health", _health)


async def _health(request: web.Request) -> web.Response:
    control = request.app[CONTROL]
    tracks = sorted(control.tracks().items(), key=_badness)
    users = _users(control.world())
    return answer(
        {
            "checks": [_check(probe, track, users.get(probe, [])) for probe, track in tracks[:MAX_CHECKS]],
            "left_off": max(0, len(tracks) - MAX_CHECKS),
        }
    )


def _badness(item: tuple[Probe, Track]) -> tuple[int, str, int]:
    probe, track = item
    return _WORST_FIRST.index(track.health.verdict), probe.address, probe.port


def _users(world: World) -> Mapping[Probe, list[dict[str, object]]]:
    found: defaultdict[Probe, list[dict[str, object]]] = defaultdict(list)
    for pool in world.pools.values():
        for region in pool.regions:
            for endpoint in region.endpoints:
                for family in families(endpoint):
                    user = {"pool": pool.id, "region": region.region, "endpoint": endpoint.name}
                    for probe in dict.fromkeys(probes_of(endpoint, family)):
                        found[probe].append({**user, "family": family or None})
    return found


def _check(probe: Probe, track: Track, users: list[dict[str, object]]) -> dict[str, object]:
    health = track.health
    return {
        "id": probe.id,
        "kind": probe.check.kind,
        "address": probe.address,
        "port": probe.port,
        "verdict": health.verdict.value,
        "since": stamp(health.since or None),
        "reason": health.reason,
        "doubt_until": stamp(health.doubt_until or None),
        "streak": _streak(probe.check, track),
        "flaps": flaps_left(track, track.last.at, probe.check) if track.last else track.flaps,
        "held_until": stamp(track.held_until or None),
        "last": _result(track.last) if track.last else None,
        "used_by": users,
    }


def _streak(check: Check, track: Track) -> dict[str, object] | None:
    length, window = track.against(check), track.wants(check)
    ok = track.health.verdict is Verdict.DOWN
    return {"ok": ok, "length": length, "need": window.need, "of": window.of} if length else None


def _result(result: Result) -> dict[str, object]:
    return {
        "ok": result.ok,
        "at": stamp(result.at),
        "took_ms": round(result.took * 1000, 1),
        "detail": result.detail,
        "certificate_ends": stamp(result.expires),
    }
