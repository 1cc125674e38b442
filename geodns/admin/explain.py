"""`POST /api/v1/explain`: how the answer to one client comes about."""

from __future__ import annotations

from aiohttp import web

from geodns.admin.body import answer, read, text
from geodns.admin.keys import CONTROL

MAX_NAME_TEXT = 1024  # 255 octets, each written as \DDD


def add_routes(app: web.Application) -> None:
    app.router.add_post("/api/v1/explain", _explain)


async def _explain(request: web.Request) -> web.Response:
    body = await read(request, "name", "type", "from")
    name = text(body, "name", limit=MAX_NAME_TEXT)
    rtype = text(body, "type", "A", limit=20)
    client = text(body, "from", limit=100)
    return answer(request.app[CONTROL].explain(name, rtype, client))
