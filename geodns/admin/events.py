"""`/api/v1/events`: what happens, as it happens, as server-sent events (HTML Living Standard §9.2).

An event is an entry of the audit, and its action the event's type. Who comes back with `Last-Event-ID` is
told what it missed, or that it missed more than is kept (`gap`).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping

from aiohttp import web

from geodns.admin.audit import told_of
from geodns.admin.body import bad_query, dress
from geodns.admin.feed import MAX_READERS, Feed
from geodns.admin.keys import CONTROL, STREAMS
from geodns.admin.problems import ProblemError

PATH = "/api/v1/events"
HEARTBEAT = 15.0  # seconds between signs of life
PATIENCE = 10.0  # seconds that a reader may leave unread what it was sent
AT_ONCE = 20  # events made and sent before others have their turn: all readers wake up together
_GAP = {"detail": "some events are not kept any more: ask /api/v1/log"}
_ALIVE = b": nothing new\n\n"


def add_routes(app: web.Application) -> None:
    app.router.add_get(PATH, _events)


async def _events(request: web.Request) -> web.StreamResponse:
    if request.query:
        raise bad_query(f"unknown parameter '{next(iter(request.query))[:40]}'; events take none")
    feed = request.app[CONTROL].feed()
    if feed.readers >= MAX_READERS:
        raise ProblemError(
            503, "busy", f"{MAX_READERS} readers follow the events", headers={"Retry-After": "5"}
        )
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    dress(response)
    with feed.reading():
        request.app[STREAMS].connections.add(request.protocol)
        try:
            await response.prepare(request)
            await _follow(feed, _place(feed, request.headers.get("Last-Event-ID")), response)
        except TimeoutError:
            feed.slow += 1
            if request.transport is not None:
                request.transport.abort()
        except ConnectionError:
            pass  # it has gone
        finally:
            request.app[STREAMS].connections.discard(request.protocol)
    return response


def _place(feed: Feed, known: str | None) -> int:
    """Behind which entry a reader goes on; one that it cannot have is behind what nobody has kept."""
    if known is None:
        return feed.last
    epoch, _, number = known.rpartition(":")
    if epoch == feed.epoch and number.isascii() and number.isdigit() and len(number) < 19:
        return min(int(number), feed.last)
    return -1


async def _follow(feed: Feed, number: int, response: web.StreamResponse) -> None:
    await _write(response, b"retry: 2000\n\n")
    while not feed.closed:
        found, lost = feed.after(number)
        number = feed.last
        if lost:  # whoever comes back with the id of a gap has been told of it
            await _write(response, _event(f"{feed.epoch}:{number - len(found)}", "gap", _GAP))
        for first in range(0, len(found), AT_ONCE):
            told = [
                _event(f"{feed.epoch}:{n}", e.action, told_of(e)) for n, e in found[first : first + AT_ONCE]
            ]
            await _write(response, b"".join(told))
            await asyncio.sleep(0)
        try:
            async with asyncio.timeout(HEARTBEAT):
                await feed.more(number)
        except TimeoutError:
            await _write(response, _ALIVE)


def _event(name: str, kind: str, data: Mapping[str, object]) -> bytes:
    return f"id: {name}\nevent: {kind}\ndata: {json.dumps(data)}\n\n".encode()


async def _write(response: web.StreamResponse, chunk: bytes) -> None:
    async with asyncio.timeout(PATIENCE):
        await response.write(chunk)
