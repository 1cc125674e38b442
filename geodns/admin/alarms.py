"""`/api/v1/alarms`: what holds now and who is told of it; `…/test`: whether they can be told."""

from __future__ import annotations

from aiohttp import web

from geodns.admin.body import answer
from geodns.admin.keys import CONTROL


def add_routes(app: web.Application) -> None:
    app.router.add_get("/api/v1/alarms", _alarms)
    app.router.add_post("/api/v1/alarms/test", _test)


async def _alarms(request: web.Request) -> web.Response:
    return answer(request.app[CONTROL].alarms())


async def _test(request: web.Request) -> web.Response:
    return answer({"hooks": await request.app[CONTROL].test_alarms()})
