"""`/api/v1/regions`: what there is, and `…/{id}/pause`: take one out of the answers and back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from aiohttp import web

from geodns.admin.body import answer, bad, flag, read, stamp, text
from geodns.admin.control import Applied
from geodns.admin.keys import CLOCK, CONTROL
from geodns.core.duration import BadDurationError, parse
from geodns.core.health import Verdict
from geodns.core.world import Override, World, families
from geodns.model import Endpoint, Region

MAX_PAUSE = 365 * 86400.0
_DEFAULT_ACTOR = "api"


def add_routes(app: web.Application) -> None:
    app.router.add_get("/api/v1/regions", _list)
    app.router.add_put("/api/v1/regions/{id}/pause", _pause)
    app.router.add_delete("/api/v1/regions/{id}/pause", _resume)


async def _list(request: web.Request) -> web.Response:
    world = request.app[CONTROL].world()
    return answer({"regions": [_region(world, region) for region in world.regions.values()]})


def _region(world: World, region: Region) -> dict[str, object]:
    paused = world.paused(region.id)
    pools = [(pool.id, found) for pool in world.pools.values() if (found := pool.region(region.id))]
    verdicts = Counter(_verdict(world, e) for _, found in pools for e in found.endpoints)
    return {
        "id": region.id,
        "title": region.title,
        "at": list(region.at) if region.at else None,
        "paused": _told(paused) if paused else None,
        "endpoints": {verdict.value: verdicts[verdict] for verdict in Verdict},
        "pools": [pool_id for pool_id, _ in pools],
    }


def _verdict(world: World, endpoint: Endpoint) -> Verdict:
    """The worst of an endpoint's addresses."""
    verdicts = {world.health_of(endpoint, family).verdict for family in families(endpoint)}
    return next(v for v in (Verdict.DOWN, Verdict.UNKNOWN, Verdict.UP) if v in verdicts)


async def _pause(request: web.Request) -> web.Response:
    body = await read(request, "reason", "for", "force", "actor")
    seconds = _seconds(body.get("for"))
    applied = await request.app[CONTROL].pause(
        request.match_info["id"],
        reason=text(body, "reason"),
        actor=text(body, "actor", _DEFAULT_ACTOR, limit=100),
        until=None if seconds is None else request.app[CLOCK]() + seconds,
        force=flag(body, "force"),
    )
    return answer({"region": applied.override.subject, "paused": True, **_changed(applied)})


async def _resume(request: web.Request) -> web.Response:
    region = request.match_info["id"]
    actor = text(request.query, "actor", _DEFAULT_ACTOR, limit=100)
    applied = await request.app[CONTROL].resume(region, actor=actor)
    was = _changed(applied) if applied else {}
    return answer({"region": region, "paused": False, "changed": applied is not None, **was})


def _changed(applied: Applied) -> dict[str, object]:
    return {
        **_told(applied.override),
        "effective_at": stamp(applied.effective_at),
        "caches_clear_at": stamp(applied.caches_clear_at),
    }


def _told(override: Override) -> Mapping[str, object]:
    return {
        "reason": override.reason,
        "actor": override.actor,
        "since": stamp(override.since),
        "until": stamp(override.until),
    }


def _seconds(value: object) -> float | None:
    """The duration of `for`: seconds as a number, or a text such as 30m."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise bad("'for' must be a duration such as 30m, or a number of seconds")
    try:
        seconds = parse(value) if isinstance(value, str) else float(value)
    except BadDurationError as error:
        raise bad(f"'for': {error}") from error
    except OverflowError as error:
        raise bad("'for' must be at most 365d") from error
    if not 1 <= seconds <= MAX_PAUSE:
        raise bad("'for' must be at least 1s and at most 365d")
    return seconds
