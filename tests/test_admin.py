"""The admin API: who may ask, and what it says."""

# ruff: noqa: F401, F811 - fixtures are imported by name

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from admin_http import PAUSE, Api, api, start
from admin_support import NOW, TOKEN, with_paused, with_verdict

from geodns.admin.auth import allowed, load_token
from geodns.admin.control import Readiness
from geodns.core.health import Verdict
from geodns.core.verbs import Asked, Change
from geodns.errors import GeodnsError, StoreError


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
        change = Change("pause", "cn-south", until=NOW + 1800)
        assert api.control.calls == [Asked((change,), "cable cut", "ann")]

    async def test_needs_only_a_reason(self, api: Api) -> None:
        reply = await api("PUT", PAUSE, {"reason": "maintenance"})
        assert (reply.body["until"], reply.body["actor"]) == (None, "api")

    @pytest.mark.parametrize("given", [90, 90.0, "90", "90s", "1m30s"])
    async def test_a_duration_may_be_a_number_or_a_text(self, api: Api, given: object) -> None:
        await api("PUT", PAUSE, {"reason": "x", "for": given})
        assert api.control.calls[0].changes[0].until == NOW + 90

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
        assert [(c.changes[0].lift, c.actor) for c in api.control.calls[-2:]] == [
            (True, "bob"),
            (True, "api"),
        ]

    async def test_of_the_last_region_is_refused_unless_overruled(self, api: Api) -> None:
        api.control.state = with_paused(api.control.state, "cn-north", "eu-west")
        refused = await api("PUT", PAUSE, {"reason": "x"})
        assert (refused.status, refused.body["code"]) == (409, "leaves-no-region")
        assert refused.body["names"] == ["www.example.com."]
        assert "www.example.com." in refused.body["detail"]
        assert refused.body["rules"][0]["rule"] == "leaves-no-region"
        other = await api("PUT", PAUSE, {"reason": "x", "overrule": ["at-least:web"]})
        assert other.status == 409
        made = await api("PUT", PAUSE, {"reason": "x", "overrule": ["leaves-no-region"]})
        assert (made.status, made.body["overruled"]) == (200, ["leaves-no-region"])

    @pytest.mark.parametrize("method", ["PUT", "DELETE"])
    async def test_of_an_unknown_region_names_the_known(self, api: Api, method: str) -> None:
        reply = await api(method, "/api/v1/regions/cn-sooth/pause", {"reason": "x"})
        assert (reply.status, reply.body["code"]) == (404, "unknown-region")
        assert reply.body["known"] == ["cn-north", "cn-south", "eu-west", "unused"]
        assert "cn-sooth" in reply.body["detail"]

    async def test_that_cannot_be_written_is_507(self, api: Api) -> None:
        api.control.failing = StoreError("the disk is full: nothing was written", full=True)
        reply = await api("PUT", PAUSE, {"reason": "x"})
        assert (reply.status, reply.body["code"], reply.body["full"]) == (507, "state-not-written", True)
        assert reply.body["detail"] == "the disk is full: nothing was written"


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
            "returning": [],
            "overrides": 0,
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
            "certificate_ends": None,
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
