"""`/api/v1/health`: every check, what it found, since when, and for whom it decides; the worst first."""

from __future__ import annotations

from aiohttp import web

from geodns.admin.body import answer, stamp
from geodns.admin.keys import CONTROL
from geodns.core.health import Probe, Result, Track, Verdict, flaps_left
from geodns.core.world import User, users
from geodns.model import Check

MAX_CHECKS = 5000
_WORST_FIRST = (Verdict.DOWN, Verdict.UNKNOWN, Verdict.UP)


def add_routes(app: web.Application) -> None:
    app.router.add_get("/api/v1/health", _health)


async def _health(request: web.Request) -> web.Response:
    control = request.app[CONTROL]
    tracks = sorted(control.tracks().items(), key=_badness)
    deciding = users(control.world().pools)
    return answer(
        {
            "checks": [_check(probe, track, deciding.get(probe, [])) for probe, track in tracks[:MAX_CHECKS]],
            "left_off": max(0, len(tracks) - MAX_CHECKS),
        }
    )


def _badness(item: tuple[Probe, Track]) -> tuple[int, str, int]:
    probe, track = item
    return _WORST_FIRST.index(track.health.verdict), probe.address, probe.port


def _user(user: User) -> dict[str, object]:
    return {
        "pool": user.pool,
        "region": user.region,
        "endpoint": user.endpoint,
        "family": user.family or None,
    }


def _check(probe: Probe, track: Track, of: list[User]) -> dict[str, object]:
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
        "used_by": [_user(user) for user in of],
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
