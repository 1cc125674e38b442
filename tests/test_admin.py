"""The admin API over real HTTP: who may ask, what it says, and how it says no."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import pytest
from admin_support import NOW, TOKEN, FakeControl, with_paused, with_verdict
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geodns.admin import body as admin_body
from geodns.admin.auth import allowed, load_token
from geodns.admin.control import Readiness
from geodns.admin.server import AdminServer, Limits
from geodns.core.health import Verdict
from geodns.errors import GeodnsError, StoreError

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


class TestWhoMayAsk:
    @pytest.mark.parametrize("path", ["/api/v1/status", "/metrics", "/api/v1/nothing", "/", PAUSE])
    @pytest.mark.parametrize("given", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": TOKEN}])
    async def test_every_call_needs_the_token(self, api: Api, path: str, given: dict[str, str]) -> None:
        async with api.session.get(f"http://127.0.0.1:{api.server.port}{path}", headers=given) as response:
            assert response.status == 401
            assert response.headers["WWW-Authenticate"] == 'Bearer realm="geodns"'
            assert response.content_type == "application/problem+json"
            assert (await response.json(content_type=None))["code"] == "unauthorized"

    @pytest.mark.parametrize("path", ["/healthz", "/readyz"])
    async def test_a_supervisor_has_none(self, api: Api, path: str) -> None:
        async with api.session.get(f"http://127.0.0.1:{api.server.port}{path}") as response:
            assert response.status == 200

    @pytest.mark.parametrize(
        ("header", "may"),
        [
            (f"Bearer {TOKEN}", True),
            (f"bearer  {TOKEN} ", True),
            (f"Basic {TOKEN}", False),
            (f"Bearer {TOKEN}x", False),
            ("Bearer \udcff", False),
            ("Bearer é", False),
            ("Bearer", False),
            ("", False),
            (None, False),
        ],
    )
    def test_the_token_is_compared_whole(self, header: str | None, may: bool) -> None:
        assert allowed(TOKEN, header) is may

    async def test_pages_of_other_sites_are_refused(self, api: Api) -> None:
        port = api.server.port
        own = await api("GET", "/api/v1/status", headers={"Origin": f"http://127.0.0.1:{port}"})
        assert own.status == 200
        for origin, host in [
            ("http://evil.example", f"127.0.0.1:{port}"),
            ("null", f"127.0.0.1:{port}"),
            (f"http://evil.example:{port}", f"evil.example:{port}"),  # a name that was made to point here
        ]:
            reply = await api("GET", "/healthz", headers={"Origin": origin, "Host": host})
            assert (reply.status, reply.body["code"]) == (403, "foreign-origin")
            assert "Access-Control-Allow-Origin" not in reply.headers


class TestTheTokenFile:
    def test_is_made_at_first_start_for_its_owner_only(self, tmp_path: Path) -> None:
        path = tmp_path / "state" / "token"
        token = load_token(path)
        assert len(token) >= 32
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert load_token(path) == token
        assert [p.name for p in path.parent.iterdir()] == ["token"]

    def test_is_taken_from_other_readers(self, tmp_path: Path) -> None:
        path = tmp_path / "token"
        path.write_text(f"{TOKEN}\n")
        path.chmod(0o644)
        assert load_token(path) == TOKEN
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    @pytest.mark.parametrize("content", ["", "short", "with a space in the middle", "é" * 20, "x" * 600])
    def test_must_hold_a_usable_token(self, tmp_path: Path, content: str) -> None:
        path = tmp_path / "token"
        path.write_text(content, "utf-8")
        with pytest.raises(GeodnsError, match=r"holds no usable token .*: remove it"):
            load_token(path)

    def test_that_cannot_be_made_is_one_clear_line(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(GeodnsError, match=r"^cannot use the token file .*/file/token: "):
            load_token(tmp_path / "file" / "token")


class TestPause:
    async def test_tells_when_it_bites_and_when_caches_have_forgotten(self, api: Api) -> None:
        reply = await api("PUT", PAUSE, {"reason": "cable cut", "for": "30m", "actor": "ann"})
        assert reply.status == 200
        assert reply.body == {
            "region": "cn-south",
            "paused": True,
            "reason": "cable cut",
            "actor": "ann",
            "since": "2023-11-14T22:13:20.000Z",
            "until": "2023-11-14T22:43:20.000Z",
            "effective_at": "2023-11-14T22:13:20.000Z",
            "caches_clear_at": "2023-11-14T22:13:35.000Z",
        }
        assert api.control.calls == [("pause", "cn-south", "cable cut", "ann", NOW + 1800, False)]

    async def test_needs_only_a_reason(self, api: Api) -> None:
        reply = await api("PUT", PAUSE, {"reason": "maintenance"})
        assert (reply.body["until"], reply.body["actor"]) == (None, "api")

    @pytest.mark.parametrize("given", [90, 90.0, "90", "90s", "1m30s"])
    async def test_a_duration_may_be_a_number_or_a_text(self, api: Api, given: object) -> None:
        await api("PUT", PAUSE, {"reason": "x", "for": given})
        assert api.control.calls[0][4] == NOW + 90

    async def test_is_idempotent_and_the_second_replaces_the_first(self, api: Api) -> None:
        for reason in ("one", "one", "two"):
            assert (await api("PUT", PAUSE, {"reason": reason})).status == 200
        paused = {r["id"]: r["paused"] for r in (await api("GET", "/api/v1/regions")).body["regions"]}
        assert paused["cn-south"]["reason"] == "two"
        assert paused["cn-north"] is None

    async def test_resume_undoes_it_and_may_be_said_twice(self, api: Api) -> None:
        await api("PUT", PAUSE, {"reason": "x"})
        first = await api("DELETE", PAUSE + "?actor=bob")
        again = await api("DELETE", PAUSE)
        assert (first.status, first.body["paused"], first.body["changed"]) == (200, False, True)
        assert first.body["caches_clear_at"] == "2023-11-14T22:13:35.000Z"
        assert (again.status, again.body) == (200, {"region": "cn-south", "paused": False, "changed": False})
        assert api.control.calls[-2:] == [("resume", "cn-south", "bob"), ("resume", "cn-south", "api")]

    async def test_of_the_last_region_is_refused_unless_forced(self, api: Api) -> None:
        api.control.state = with_paused(api.control.state, "cn-north", "eu-west")
        refused = await api("PUT", PAUSE, {"reason": "x"})
        assert (refused.status, refused.body["code"]) == (409, "leaves-no-region")
        assert refused.body["names"] == ["www.example.com."]
        assert "www.example.com." in refused.body["detail"]
        assert (await api("PUT", PAUSE, {"reason": "x", "force": True})).status == 200

    @pytest.mark.parametrize("method", ["PUT", "DELETE"])
    async def test_of_an_unknown_region_names_the_known(self, api: Api, method: str) -> None:
        reply = await api(method, "/api/v1/regions/cn-sooth/pause", {"reason": "x"})
        assert (reply.status, reply.body["code"]) == (404, "unknown-region")
        assert reply.body["known"] == ["cn-south", "cn-north", "eu-west", "unused"]
        assert "cn-sooth" in reply.body["detail"]

    async def test_that_cannot_be_written_is_507(self, api: Api) -> None:
        api.control.failing = StoreError("the disk is full: nothing was written", full=True)
        reply = await api("PUT", PAUSE, {"reason": "x"})
        assert (reply.status, reply.body["code"], reply.body["full"]) == (507, "state-not-written", True)
        assert reply.body["detail"] == "the disk is full: nothing was written"


BAD_BODIES: list[tuple[object, str]] = [
    (b"", "the body is empty"),
    (b"{", "the body is no JSON: .* at line 1 column 2"),
    (b"\xff\xfe{", "the body is no JSON"),
    (b"[]", "the body must be a JSON object with 'reason', 'for', 'force', 'actor'"),
    (b"[" * 100_0, "nested too deeply"),
    (b'{"reason": "a", "reason": "b"}', "a key twice"),
    (b'{"reason": "x", "for": NaN}', "NaN is no JSON value"),
    (b'{"reason": "x", "for": 1' + b"0" * 5000 + b"}", "out of all bounds"),
    (b'{"reason": "x", "for": 1' + b"0" * 400 + b"}", "'for' must be at most 365d"),
    ({}, "'reason' is missing"),
    ({"reason": None}, "'reason' is missing"),
    ({"reason": "  "}, "'reason' must be a text that is not empty"),
    ({"reason": 7}, "'reason' must be a text that is not empty"),
    ({"reason": "two\nlines"}, "'reason' must be one line"),
    ({"reason": "\ud800"}, "'reason' must be one line"),
    ({"reason": "x" * 501}, "at most 500 printable characters"),
    ({"reason": "x", "reasons": "y"}, "unknown key 'reasons'; known are 'reason', 'for', 'force', 'actor'"),
    ({"reason": "x", "\ud800": "y"}, "unknown key"),
    ({"reason": "x", "force": "yes"}, "'force' must be true or false"),
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
                | st.dictionaries(st.sampled_from(["reason", "for", "force", "actor", "x"]), x, max_size=5)
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
        import gzip

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

        async def slow(*_: Any, **__: Any) -> None:
            entered.set()
            await gate.wait()

        api.control.resume = slow  # type: ignore[method-assign,assignment]
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


class TestWhatItTells:
    async def test_status_is_the_servers(self, api: Api) -> None:
        reply = await api("GET", "/api/v1/status")
        assert reply.body == api.control.status()
        assert reply.headers["Cache-Control"] == "no-store"

    async def test_a_time_that_never_comes_is_null(self, api: Api) -> None:
        api.control.status = lambda: {"failover": {"seconds": float("inf")}, "rest": [1.5]}  # type: ignore[method-assign]
        reply = await api("GET", "/api/v1/status")
        assert reply.body == {"failover": {"seconds": None}, "rest": [1.5]}

    async def test_regions_with_their_pause_and_verdicts(self, api: Api) -> None:
        api.control.state = with_verdict(with_paused(api.control.state, "cn-north"), "cn-south", Verdict.DOWN)
        regions = {r["id"]: r for r in (await api("GET", "/api/v1/regions")).body["regions"]}
        assert regions["cn-south"] == {
            "id": "cn-south",
            "title": "CN-SOUTH",
            "at": [0.0, 10.0],
            "paused": None,
            "endpoints": {"up": 0, "down": 1, "unknown": 0},
            "pools": ["web"],
        }
        assert regions["cn-north"]["paused"]["reason"] == "why"
        assert regions["unused"]["pools"] == []

    async def test_health_with_the_worst_first_and_for_whom_it_decides(self, api: Api) -> None:
        api.control.state = with_verdict(api.control.state, "eu-west", Verdict.DOWN)
        found = (await api("GET", "/api/v1/health")).body
        assert [c["verdict"] for c in found["checks"]] == ["down", "unknown", "unknown"]
        assert found["left_off"] == 0
        worst = found["checks"][0]
        assert (worst["address"], worst["reason"]) == ("192.0.2.3", "3 of 3: refused")
        assert worst["since"] == "2023-11-14T22:13:20.000Z"
        assert worst["last"] == {
            "ok": True, "at": "2023-11-14T22:13:20.000Z", "took_ms": 3.0, "detail": "200 OK in 3 ms",
        }  # fmt: skip
        assert worst["used_by"] == [
            {"pool": "web", "region": "eu-west", "endpoint": "eu-west-1", "family": 4}
        ]

    async def test_readiness_and_what_it_waits_for(self, api: Api) -> None:
        assert (await api("GET", "/readyz")).body == {"ready": True, "why": "remembered verdicts"}
        api.control.is_ready = Readiness(False, "waiting for the first round: 3 of 12 probes answered")
        reply = await api("GET", "/readyz")
        assert (reply.status, reply.body["ready"]) == (503, False)
        assert "3 of 12" in reply.body["why"]

    async def test_explain_asks_for_an_a_record_unless_told(self, api: Api) -> None:
        reply = await api("POST", "/api/v1/explain", {"name": "www.example.com", "from": "10.1.2.3"})
        assert reply.body == {"name": "www.example.com", "type": "A", "client": {"address": "10.1.2.3"}}

    async def test_metrics_are_text_for_prometheus(self, api: Api) -> None:
        reply = await api("GET", "/metrics")
        assert reply.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert "geodns_ready 1.0" in reply.body

    async def test_what_it_answered_is_counted(self, api: Api) -> None:
        await api("GET", "/api/v1/status")
        await api("GET", "/nothing")
        assert api.server.stats.requests == {200: 1, 404: 1}
