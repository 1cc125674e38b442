"""`POST /api/v1/heartbeat`: an endpoint says that it is there. Signed, so that it needs no token."""

from __future__ import annotations

import asyncio

from aiohttp import web

from geodns.admin.body import BODY_SECONDS, answer, flag, number, read, stamp, text
from geodns.admin.keys import CLOCK, CONTROL
from geodns.admin.problems import ProblemError
from geodns.core.heartbeats import KEY_HEADER, PATH, SIGNATURE_HEADER, Heartbeat
from geodns.core.reports import MAX_UNITS

SIGNED = frozenset({PATH})  # no token: whoever may call is known by the signature
MAX_BODY = 4096  # octets
_AT_ONCE = 16  # of the requests that may run, so that the others are left for people
_LARGEST = 1e15


def add_routes(app: web.Application) -> None:
    app.router.add_post(PATH, _Door().heartbeat)


class _Door:
    def __init__(self) -> None:
        self._running = 0

    async def heartbeat(self, request: web.Request) -> web.Response:
        if self._running >= _AT_ONCE:
            raise ProblemError(
                503, "busy", f"{_AT_ONCE} heartbeats are on their way", headers={"Retry-After": "1"}
            )
        self._running += 1
        try:
            return await _take(request)
        finally:
            self._running -= 1


async def _take(request: web.Request) -> web.Response:
    control = request.app[CONTROL]
    key, signature = (request.headers.get(name, "") for name in (KEY_HEADER, SIGNATURE_HEADER))
    if not control.signed(key, signature, await _raw(request)):
        raise ProblemError(
            401,
            "unsigned",
            f"sign the body with the secret of a key of heartbeats.keys: `{KEY_HEADER}: NAME` and "
            f"`{SIGNATURE_HEADER}:` with its HMAC-SHA-256 in hex",
        )
    body = await read(request, "endpoint", "at", "draining", "load", "capacity")
    at = number(body, "at", _LARGEST)
    if at is None:
        raise ProblemError(400, "bad-body", "'at' is missing: the time now, in Unix seconds")
    load, capacity = number(body, "load", MAX_UNITS), number(body, "capacity", MAX_UNITS)
    beat = Heartbeat(text(body, "endpoint"), at, flag(body, "draining"), load, capacity)
    health = control.heartbeat(key, beat, request.app[CLOCK]())
    return answer(
        {
            "endpoint": beat.subject,
            "verdict": health.verdict.value,
            "since": stamp(health.since or None),
            "reason": health.reason,
        }
    )


async def _raw(request: web.Request) -> bytes:
    try:
        async with asyncio.timeout(BODY_SECONDS):
            raw = await request.read()
    except TimeoutError as error:
        raise ProblemError(408, "too-slow", f"the body was not here after {BODY_SECONDS:g} s") from error
    if len(raw) > MAX_BODY:
        raise ProblemError(413, "body-too-large", f"a heartbeat has at most {MAX_BODY} octets")
    return raw
