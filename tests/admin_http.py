"""The admin API over real HTTP on a port of its own; a plugin of the tests that ask for `api` or `start`."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple

import aiohttp
import pytest
from admin_support import NOW, TOKEN, FakeControl

from geodns.admin.server import AdminServer, Limits

BEARER = {"Authorization": f"Bearer {TOKEN}"}
PAUSE = "/api/v1/regions/cn-south/pause"


class Reply(NamedTuple):
    status: int
    headers: Any
    body: Any


class Api:
    def __init__(self, control: FakeControl, server: AdminServer, session: aiohttp.ClientSession) -> None:
        self.control = control
        self.server = server
        self.session = session

    async def __call__(self, method: str, path: str, content: Any = None, **more: Any) -> Reply:
        headers = {**BEARER, **more.pop("headers", {})}
        data = content if isinstance(content, bytes) or content is None else json.dumps(content).encode()
        url = f"http://127.0.0.1:{self.server.port}{path}"
        async with self.session.request(method, url, data=data, headers=headers, **more) as response:
            text = await response.text()
            kind = response.headers.get("Content-Type", "")
            return Reply(response.status, response.headers, json.loads(text) if "json" in kind else text)


Start = Callable[..., Awaitable[Api]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    made: list[Api] = []

    async def started(**limits: Any) -> Api:
        control = FakeControl()
        server = AdminServer(control, TOKEN, limits=Limits(**limits), clock=lambda: NOW)
        await server.start("127.0.0.1", 0)
        made.append(Api(control, server, aiohttp.ClientSession()))
        return made[-1]

    yield started
    for api in made:
        await api.session.close()
        await api.server.stop()


@pytest.fixture
async def api(start: Start) -> Api:
    return await start()
