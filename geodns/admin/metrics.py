"""`/metrics`: the Prometheus text format; a scraper needs the token like everybody."""

from __future__ import annotations

from aiohttp import web

from geodns.admin.keys import CONTROL


def add_routes(app: web.Application) -> None:
    app.router.add_get("/metrics", _metrics)


async def _metrics(request: web.Request) -> web.Response:
    return web.Response(
        body=request.app[CONTROL].metrics(),
        headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"},
    )
