"""`/api/v1/status`, and the two questions of a supervisor, `/healthz` and `/readyz`."""

from __future__ import annotations

from aiohttp import web

from geodns.admin.body import answer
from geodns.admin.keys import CONTROL

OPEN = frozenset(
    {"/healthz", "/readyz"}
)  # no token: they tell nothing but yes or no, and supervisors have none


def add_routes(app: web.Application) -> None:
    app.router.add_get("/api/v1/status", _status)
    app.router.add_get("/healthz", _healthz)
    app.router.add_get("/readyz", _readyz)


async def _status(request: web.Request) -> web.Response:
    return answer(request.app[CONTROL].status())


async def _healthz(request: web.Request) -> web.Response:
    return answer({"ok": True})


async def _readyz(request: web.Request) -> web.Response:
    readiness = request.app[CONTROL].ready()
    return answer({"ready": readiness.ready, "why": readiness.why}, status=200 if readiness.ready else 503)
