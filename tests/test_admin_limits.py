"""The admin API against those who ask wrongly, too much, too slowly, or with bad intent."""

# ruff: noqa: F401, F811 - fixtures are imported by name

from __future__ import annotations

import asyncio
import gzip
import json
import re
import socket
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from admin_http import PAUSE, Api, Start, api, start
from admin_support import NOW, TOKEN, FakeControl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geodns.admin import body as admin_body
from geodns.admin.control import Applied
from geodns.admin.server import AdminServer
from geodns.core.verbs import Asked
from geodns.errors import GeodnsError

BAD_BODIES: list[tuple[object, str]] = [
    (b"", "the body is empty"),
    (b"{", "the body is no JSON: .* at line 1 column 2"),
    (b"\xff\xfe{", "the body is no JSON"),
    (b"[]", "the body must be a JSON object with 'reason', 'overrule', 'actor'"),
    (b"[" * 100_0, "nested too deeply"),
    (b'{"reason": "a", "reason": "b"}', "a key twice"),
    (b'{"reason": "x", "for": NaN}', "NaN is no JSON value"),
    (b'{"reason": "x", "for": 1' + b"0" * 5000 + b"}", "out of all bounds"),
    (b'{"reason": "x", "for": 1' + b"0" * 400 + b"}", "'for' must be at least 1s and at most 365d"),
    ({}, "'reason' is missing"),
    ({"reason": None}, "'reason' is missing"),
    ({"reason": "  "}, "'reason' must be a text that is not empty"),
    ({"reason": 7}, "'reason' must be a text that is not empty"),
    ({"reason": "two\nlines"}, "'reason' must be one line"),
    ({"reason": "\ud800"}, "'reason' must be one line"),
    ({"reason": "x" * 501}, "at most 500 printable characters"),
    ({"reason": "x", "reasons": "y"}, "unknown key 'reasons'; known are 'reason', 'overrule', 'actor'"),
    ({"reason": "x", "\ud800": "y"}, "unknown key"),
    ({"reason": "x", "dry_run": "yes"}, "'dry_run' must be true or false"),
    ({"reason": "x", "overrule": "leaves-no-region"}, "'overrule' must be a list of at most 100 rules"),
    ({"reason": "x", "overrule": [1]}, "'overrule' must be a list of at most 100 rules"),
    ({"reason": "x", "force": True}, "unknown key 'force'"),
    ({"reason": "x", "for": True}, "'for' must be a duration such as 30m"),
    ({"reason": "x", "for": "soon"}, "'for': 'soon' is no duration: write 20, 20s, 30m"),
    ({"reason": "x", "for": -1}, "'for' must be at least 1s and at most 365d"),
    ({"reason": "x", "for": "366d"}, "'for' must be at least 1s and at most 365d"),
    ({"reason": "x", "actor": ""}, "'actor' must be a text that is not empty"),
]


class TestBadRequests:
    @pytest.mark.parametrize(("content", "says"), BAD_BODIES, ids=[says for _, says in BAD_BODIES])
    async def test_a_bad_body_is_told_what_is_wrong(self, api: Api, content: object, says: str) -> None:
        reply = await api("PUT", PAUSE, content)
        assert (reply.status, reply.body["code"]) == (400, "bad-body")
        assert reply.headers["Content-Type"].startswith("application/problem+json")
        assert reply.body["type"] == "urn:geodns:problem:bad-body" and reply.body["status"] == 400
        assert re.search(says, reply.body["detail"]), reply.body["detail"]
        assert api.control.calls == []

    async def test_there_is_nothing_elsewhere(self, api: Api) -> None:
        reply = await api("GET", "/api/v2/status")
        assert (reply.status, reply.body["code"]) == (404, "no-such-resource")

    @pytest.mark.parametrize("path", ["/api/v1/regions/%00%1b%0a/pause", "/api/%00%1b%0a"])
    async def test_what_is_told_of_a_strange_path_fits_a_line(self, api: Api, path: str) -> None:
        reply = await api("PUT", path, {"reason": "x"})
        assert reply.status == 404
        assert reply.body["detail"].isprintable()
        assert "\\x00\\x1b\\n" in reply.body["detail"]

    @pytest.mark.parametrize(
        ("method", "path", "allow"),
        [
            ("POST", PAUSE, "DELETE, PUT"),
            ("DELETE", "/api/v1/status", "GET, HEAD"),
            ("GET", "/api/v1/explain", "POST"),
        ],
    )
    async def test_another_method_is_told_the_known(
        self, api: Api, method: str, path: str, allow: str
    ) -> None:
        reply = await api(method, path)
        assert (reply.status, reply.body["code"], reply.headers["Allow"]) == (
            405,
            "method-not-allowed",
            allow,
        )

    async def test_a_bug_costs_one_request_and_shows_no_traceback(self, api: Api) -> None:
        api.control.failing = RuntimeError("secret inner state")
        reply = await api("GET", "/api/v1/status")
        assert (reply.status, reply.body["code"]) == (500, "internal")
        assert "secret" not in json.dumps(reply.body) and "Traceback" not in json.dumps(reply.body)
        assert reply.body["incident"] in reply.body["detail"]
        api.control.failing = None
        assert (await api("GET", "/api/v1/status")).status == 200

    async def test_a_question_about_no_client_is_a_bad_request(self, api: Api) -> None:
        reply = await api("POST", "/api/v1/explain", {"name": "www.example.com", "from": "nowhere"})
        assert (reply.status, reply.body["detail"]) == (400, "'nowhere' is no address")

    @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        st.binary(max_size=200)
        | st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
            lambda x: (
                st.lists(x, max_size=3)
                | st.dictionaries(st.sampled_from(["reason", "for", "overrule", "actor", "x"]), x, max_size=5)
            ),
            max_leaves=8,
        )
    )
    async def test_junk_is_never_a_bug(self, content: object) -> None:
        control = FakeControl()
        server = AdminServer(control, TOKEN, clock=lambda: NOW)
        await server.start("127.0.0.1", 0)
        try:
            async with aiohttp.ClientSession() as session:
                reply = await Api(control, server, session)("PUT", PAUSE, content)
                assert reply.status in (200, 400)
        finally:
            await server.stop()


class TestBounds:
    async def test_a_large_body_is_413(self, start: Start) -> None:
        api = await start(body=1000)
        reply = await api("PUT", PAUSE, b" " * 2000)
        assert (reply.status, reply.body["code"]) == (413, "body-too-large")

    async def test_a_compressed_body_is_not_unpacked(self, api: Api) -> None:
        reply = await api(
            "PUT", PAUSE, gzip.compress(b" " * 10_000_000), headers={"Content-Encoding": "gzip"}
        )
        assert (reply.status, reply.body["code"]) == (400, "bad-body")

    async def test_a_body_that_does_not_come_is_408(self, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(admin_body, "BODY_SECONDS", 0.05)
        reply = await raw(
            api,
            f"PUT {PAUSE} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
            "Content-Length: 9\r\n\r\n{",
        )
        assert reply.startswith(b"HTTP/1.1 408 ") and b'"too-slow"' in reply

    async def test_headers_that_do_not_end_are_cut_off(self, start: Start) -> None:
        api = await start(connection_time=0.2)
        assert await raw(api, "GET /healthz HTTP/1.1\r\nX-Slow: ") == b""
        assert api.server.stats.cut == 1

    @pytest.mark.parametrize(
        "request_text",
        [
            "GET /" + "x" * 9000 + " HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nX: " + "x" * 9000 + "\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\n" + "X: x\r\n" * 500 + "\r\n",
            "\x16\x03\x01 this is TLS\r\n\r\n",
        ],
    )
    async def test_what_is_too_long_or_no_http_is_400(self, api: Api, request_text: str) -> None:
        reply = await raw(api, request_text)
        assert reply.startswith(b"HTTP/1.") and b" 400 " in reply.splitlines()[0]
        assert b"Traceback" not in reply

    async def test_more_requests_than_allowed_are_told_to_come_again(self, start: Start) -> None:
        api = await start(requests=1)
        gate = asyncio.Event()
        entered = asyncio.Event()

        change = api.control.change

        async def slow(asked: Asked) -> Applied:
            entered.set()
            await gate.wait()
            return await change(asked)

        api.control.change = slow  # type: ignore[method-assign]
        first = asyncio.create_task(api("DELETE", PAUSE))
        await entered.wait()
        refused = await api("GET", "/api/v1/status")
        assert (refused.status, refused.body["code"], refused.headers["Retry-After"]) == (503, "busy", "1")
        gate.set()
        assert (await first).status == 200
        assert (await api("GET", "/api/v1/status")).status == 200

    async def test_more_connections_than_allowed_are_ended(self, start: Start) -> None:
        api = await start(connections=2)
        address = ("127.0.0.1", api.server.port)
        held = [await asyncio.open_connection(*address) for _ in range(2)]
        await until(lambda: len(api.server._runner.server.connections) == 2)  # type: ignore[union-attr]
        with pytest.raises(aiohttp.ClientError):
            await api("GET", "/healthz")
        assert api.server.stats.refused >= 1
        for _, writer in held:
            writer.close()
        await until(lambda: not api.server._runner.server.connections)  # type: ignore[union-attr]
        assert (await api("GET", "/healthz")).status == 200

    @pytest.mark.parametrize("shares", [False, True])
    async def test_a_taken_port_is_one_clear_line(self, shares: bool) -> None:
        with socket.socket() as holder:
            if shares:
                holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            holder.bind(("127.0.0.1", 0))
            holder.listen()
            port = holder.getsockname()[1]
            server = AdminServer(FakeControl(), TOKEN)
            with pytest.raises(GeodnsError, match=f"^127.0.0.1:{port}/tcp is taken .*ADMIN_PORT$"):
                await server.start("127.0.0.1", port)


async def raw(api: Api, text: str) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", api.server.port)
    writer.write(text.encode())
    try:
        return await asyncio.wait_for(reader.read(), 5)
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110 - the state of a library has no event to wait for
            await asyncio.sleep(0.005)
