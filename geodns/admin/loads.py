"""`/api/v1/loads`: what regions and endpoints report of their load, and what it comes to."""

from __future__ import annotations

from aiohttp import web

from geodns.admin.body import answer, bad, duration, read, stamp
from geodns.admin.keys import CLOCK, CONTROL
from geodns.core.loads import Load
from geodns.core.overrides import Subject
from geodns.core.reports import LASTS, MAX_LASTS
from geodns.core.world import World


def add_routes(app: web.Application) -> None:
    app.router.add_get("/api/v1/loads", _list)
    app.router.add_put("/api/v1/loads/{subject}", _report)


async def _list(request: web.Request) -> web.Response:
    world = request.app[CONTROL].world()
    reports = [_report_told(load) for load in world.loads.values()]
    return answer({"reports": reports, "regions": _regions(world, "", "")})


async def _report(request: web.Request) -> web.Response:
    subject = request.match_info["subject"]
    body = await read(request, "load", "capacity", "for")
    load = _number(body.get("load"), "load")
    capacity = None if body.get("capacity") is None else _number(body["capacity"], "capacity")
    now, lasts = request.app[CLOCK](), duration(body, "for", MAX_LASTS)
    reported = Load(subject, load, capacity, now, now + (LASTS if lasts is None else lasts))
    request.app[CONTROL].report(reported)
    region, pool, _ = Subject.parse(subject)
    regions = _regions(request.app[CONTROL].world(), region, pool)
    return answer({**_report_told(reported), "regions": regions})


def _number(value: object, key: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise bad(f"'{key}' must be a number")
    try:
        return float(value)
    except OverflowError as error:
        raise bad(f"'{key}' is out of all bounds") from error


def _report_told(load: Load) -> dict[str, object]:
    return {
        "subject": load.subject,
        "load": load.load,
        "capacity": load.capacity,
        "at": stamp(load.at),
        "until": stamp(load.until),
    }


def _regions(world: World, region: str, pool: str) -> list[dict[str, object]]:
    """The gauges of a pool's region; of all of them where a part is empty."""
    return [
        {"pool": p, "region": r, "capacity": gauge.capacity, "used": gauge.used, "keeps": gauge.keep}
        for (p, r), gauge in world.gauges.items()
        if pool in ("", p) and region in ("", r)
    ]
