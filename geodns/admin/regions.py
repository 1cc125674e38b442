"""`/api/v1/regions`: what there is, and `…/{id}/pause`: take one out of the answers and back."""

from __future__ import annotations

from collections import Counter

from aiohttp import web

from geodns.admin.body import answer
from geodns.admin.control import Control
from geodns.admin.keys import CONTROL
from geodns.admin.overrides import lift_one, set_one, told_of
from geodns.core.health import Verdict
from geodns.core.overrides import DRAIN, HOLD, PAUSE, RAMP, Subject
from geodns.core.world import World, families
from geodns.model import Endpoint, Region


def add_routes(app: web.Application) -> None:
    app.router.add_get("/api/v1/regions", _list)
    app.router.add_put("/api/v1/regions/{id}/pause", _pause)
    app.router.add_delete("/api/v1/regions/{id}/pause", _resume)


async def _list(request: web.Request) -> web.Response:
    control = request.app[CONTROL]
    return answer({"regions": [_region(control, region) for region in control.world().regions.values()]})


def _region(control: Control, region: Region) -> dict[str, object]:
    world = control.world()
    paused = world.paused(region.id)
    volatile = (PAUSE, region.id) in control.volatile()
    pools = [(pool.id, found) for pool in world.pools.values() if (found := pool.region(region.id))]
    verdicts = Counter(_verdict(world, e) for _, found in pools for e in found.endpoints)
    return {
        "id": region.id,
        "title": region.title,
        "at": list(region.at) if region.at else None,
        "paused": told_of(world, paused) | {"volatile": volatile} if paused else None,
        "returning": [
            {"subject": o.subject, "kind": o.kind, **told_of(world, o)}
            for o in world.overrides.values()
            if o.kind in (DRAIN, RAMP, HOLD) and Subject.parse(o.subject).region == region.id
        ],
        "overrides": sum(Subject.parse(on).region == region.id for _, on in world.overrides),
        "endpoints": {verdict.value: verdicts[verdict] for verdict in Verdict},
        "pools": [pool_id for pool_id, _ in pools],
    }


def _verdict(world: World, endpoint: Endpoint) -> Verdict:
    """The worst of an endpoint's addresses."""
    verdicts = {world.health_of(endpoint, family).verdict for family in families(endpoint)}
    return next(v for v in (Verdict.DOWN, Verdict.UNKNOWN, Verdict.UP) if v in verdicts)


async def _pause(request: web.Request) -> web.Response:
    region = request.match_info["id"]
    return await set_one(request, PAUSE, region, {"region": region, "paused": True})


async def _resume(request: web.Request) -> web.Response:
    region = request.match_info["id"]
    return await lift_one(request, PAUSE, region, {"region": region, "paused": False})
