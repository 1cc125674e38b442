"""`POST /api/v1/heartbeat` over real HTTP: a signature instead of the token, and nothing for anybody else."""

# ruff: noqa: F401, F811 - fixtures are imported by name

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from admin_http import Api, Reply, Start, api, start
from admin_support import NOW, SECRET

from geodns.admin.heartbeat import MAX_BODY
from geodns.core.guard import UnknownSubject
from geodns.core.heartbeats import Heartbeat, StaleError, UnexpectedError, sign
from geodns.errors import GeodnsError

PATH = "/api/v1/heartbeat"
BEAT = {"endpoint": "cn-south:web:gz-1", "at": NOW}


async def send(api: Api, content: Any, **more: str) -> Reply:
    """A heartbeat without the token, signed unless `more` says otherwise."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    headers = {"Geodns-Key": "agents", "Geodns-Signature": sign(SECRET, body), **more}
    return await api("POST", PATH, body, headers={"Authorization": "", **headers})


async def test_it_is_taken_as_it_is_told(api: Api) -> None:
    reply = await send(api, {**BEAT, "load": 70, "capacity": 1e3, "draining": True})
    assert reply.status == 200
    assert reply.body == {
        "endpoint": "cn-south:web:gz-1",
        "verdict": "up",
        "since": "2023-11-14T22:13:20.000Z",
        "reason": "1 of 1: heartbeat",
    }
    beat = Heartbeat("cn-south:web:gz-1", NOW, draining=True, load=70.0, capacity=1000.0)
    assert api.control.beats == [("agents", beat, NOW)]


async def test_load_and_capacity_may_be_left_out(api: Api) -> None:
    assert (await send(api, BEAT)).status == 200
    assert api.control.beats == [("agents", Heartbeat("cn-south:web:gz-1", NOW), NOW)]


@pytest.mark.parametrize(
    "more",
    [
        {"Geodns-Key": ""},
        {"Geodns-Key": "others"},
        {"Geodns-Signature": ""},
        {"Geodns-Signature": "0" * 64},
        {"Geodns-Signature": sign(b"x" * 16, json.dumps(BEAT).encode())},
        {"Geodns-Signature": "é"},
    ],
)
async def test_what_is_not_signed_is_refused_before_it_is_read(api: Api, more: dict[str, str]) -> None:
    reply = await send(api, BEAT, **more)
    assert (reply.status, reply.body["code"]) == (401, "unsigned")
    assert not api.control.beats


async def test_the_token_is_no_signature_and_the_signature_no_token(api: Api) -> None:
    assert (await api("POST", PATH, BEAT)).status == 401
    signed = {"Geodns-Key": "agents", "Geodns-Signature": sign(SECRET, b""), "Authorization": ""}
    assert (await api("GET", "/api/v1/health", headers=signed)).status == 401


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "the body is empty"),
        (b"[]", "must be a JSON object"),
        (b'{"endpoint": "a", "endpoint": "b"}', "the body has a key twice"),
        ({**BEAT, "weight": 3}, "unknown key 'weight'"),
        ({"at": NOW}, "'endpoint' is missing"),
        ({**BEAT, "endpoint": 7}, "'endpoint' must be a text"),
        ({"endpoint": "a"}, "'at' is missing"),
        ({**BEAT, "at": "now"}, "'at' must be a number"),
        ({**BEAT, "at": True}, "'at' must be a number"),
        ({**BEAT, "draining": 1}, "'draining' must be true or false"),
        ({**BEAT, "load": -1}, "'load' must be between 0 and 1e+12"),
        ({**BEAT, "capacity": 10**400}, "'capacity' must be between 0 and 1e+12"),
        (b'{"endpoint": "a", "at": NaN}', "NaN is no JSON value"),
        (b'{"endpoint": "a", "at": 1e999}', "'at' must be between"),
    ],
)
async def test_what_is_signed_must_still_be_a_heartbeat(api: Api, content: Any, why: str) -> None:
    reply = await send(api, content)
    assert (reply.status, reply.body["code"]) == (400, "bad-body")
    assert why in reply.body["detail"]


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (StaleError("heard before"), 409, "heartbeat-stale"),
        (UnexpectedError("no check"), 403, "heartbeat-not-expected"),
        (UnknownSubject("endpoint", "x", ("gz-1",)), 404, "unknown-endpoint"),
    ],
)
async def test_what_does_not_count_says_why(api: Api, error: GeodnsError, status: int, code: str) -> None:
    api.control.failing = error
    reply = await send(api, BEAT)
    assert (reply.status, reply.body["code"]) == (status, code)


@pytest.mark.parametrize("size", [MAX_BODY + 1, 65 * 1024])
async def test_long_bodies(api: Api, size: int) -> None:
    reply = await send(api, b" " * size)
    assert (reply.status, reply.body["code"]) == (413, "body-too-large")


async def test_pages_of_other_sites_may_not(api: Api) -> None:
    assert (await send(api, BEAT, Origin="https://evil.example")).status == 403


async def test_it_is_sent_not_fetched(api: Api) -> None:
    assert (await api("GET", PATH)).status == 405


async def test_heartbeats_that_drip_leave_room_for_people(start: Start) -> None:
    """Nobody without a secret may hold up who has the token: such bodies hold half of all places."""
    served = await start(requests=32)
    head = b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{" % PATH.encode()
    held = [await asyncio.open_connection("127.0.0.1", served.server.port) for _ in range(40)]
    for _, writer in held:
        writer.write(head)
    await asyncio.sleep(0.3)
    assert (await served("GET", "/api/v1/status")).status == 200
    refused = await send(served, BEAT)
    assert (refused.status, refused.body["code"]) == (503, "busy")
    for _, writer in held:
        writer.close()
    await asyncio.sleep(0.3)
    assert (await send(served, BEAT)).status == 200
