"""Overrides that take time, over the API: drains, ramps, and what is planned."""

# ruff: noqa: F401, F811 - fixtures are imported by name

from __future__ import annotations

import pytest
from admin_http import Api, api, start
from admin_support import with_paused
from test_overrides import NORTH, POOL, SOUTH, WEST, held, on, with_override

from geodns.core.overrides import DRAIN, HOLD


class TestGoingAndComing:
    async def test_a_drain_tells_its_share_and_when_it_is_over(self, api: Api) -> None:
        body = {"reason": "why", "actor": "ann", "over": "2m"}
        reply = await api("PUT", on(SOUTH, "drain"), body)
        assert reply.body == {
            "subject": SOUTH,
            "kind": "drain",
            "value": "80%",
            "reason": "why",
            "actor": "ann",
            "since": "2023-11-14T22:13:20.000Z",
            "until": None,
            "next_at": "2023-11-14T22:13:50.000Z",
            "paused_at": "2023-11-14T22:15:20.000Z",
            "drained_at": "2023-11-14T22:15:26.000Z",
            "effective_at": "2023-11-14T22:13:20.000Z",
            "caches_clear_at": "2023-11-14T22:13:35.000Z",
        }
        listed = (await api("GET", "/api/v1/overrides")).body["overrides"]
        assert [(o["kind"], o["value"], o["drained_at"]) for o in listed] == [
            ("drain", "80%", "2023-11-14T22:15:26.000Z")
        ]
        again = await api("PUT", on(SOUTH, "drain"), body)
        assert (again.body, again.headers["ETag"]) == (reply.body, reply.headers["ETag"])

    async def test_a_ramp_of_what_is_out_and_of_what_is_not(self, api: Api) -> None:
        nothing = await api("PUT", on(SOUTH, "ramp"), {"reason": "why"})
        assert nothing.body == {"subject": SOUTH, "kind": "ramp", "changed": False}
        await api("PUT", on(SOUTH, "pause"), {"reason": "why"})
        reply = await api("PUT", on(SOUTH, "ramp"), {"reason": "why", "over": 90})
        assert (reply.body["value"], reply.body["whole_at"]) == ("10%", "2023-11-14T22:14:50.000Z")
        assert held(api) == {("ramp", SOUTH): 10}

    async def test_a_drain_is_refused_for_what_it_comes_to(self, api: Api) -> None:
        api.control.state = with_paused(api.control.state, NORTH, WEST)
        reply = await api("PUT", on(SOUTH, "drain"), {"reason": "why"})
        assert (reply.status, reply.body["code"]) == (409, "leaves-no-region")
        assert "draining cn-south over 10 min is refused: clients" in reply.body["detail"]

    async def test_resuming_ends_all_that_keeps_it_out_and_holds_inside(self, api: Api) -> None:
        world = with_override(api.control.state, HOLD, POOL)
        api.control.state = with_override(world, DRAIN, SOUTH)
        reply = await api("DELETE", f"/api/v1/regions/{SOUTH}/pause")
        assert (reply.body["changed"], held(api)) == (True, {})

    @pytest.mark.parametrize(
        ("kind", "body", "says"),
        [
            ("drain", {"over": "8d"}, "'over' must be at least 1s and at most 7d"),
            ("drain", {"over": "10m", "for": "10m"}, "it must last longer than 'over'"),
            ("drain", {"value": "40%"}, "unknown key 'value'"),
            ("ramp", {"for": "1h"}, "unknown key 'for'"),
            ("pause", {"over": "1h"}, "unknown key 'over'"),
            ("hold", {}, "a hold is what a failure leaves behind: it can be lifted, not set"),
        ],
    )
    async def test_what_cannot_be(self, api: Api, kind: str, body: dict[str, str], says: str) -> None:
        reply = await api("PUT", on(SOUTH, kind), {"reason": "why", **body})
        assert reply.status == 400
        assert says in reply.body["detail"]
        assert held(api) == {}

    async def test_in_a_batch(self, api: Api) -> None:
        api.control.state = with_paused(api.control.state, NORTH)
        changes = [{"set": "ramp", "subject": NORTH, "over": "10m"}, {"set": "drain", "subject": SOUTH}]
        reply = await api("POST", "/api/v1/batch", {"reason": "swap", "changes": changes})
        assert [c["value"] for c in reply.body["changes"]] == ["10%", "90%"]
        assert held(api) == {("ramp", NORTH): 10, ("drain", SOUTH): 90}
        for wrong in ({"set": "hold"}, {"set": "ramp", "for": "1h"}, {"lift": "drain", "over": "1m"}):
            body = {"reason": "x", "changes": [{**wrong, "subject": SOUTH}]}
            assert (await api("POST", "/api/v1/batch", body)).body["code"] == "bad-body"
        both = [{"set": kind, "subject": SOUTH} for kind in ("pause", "drain")]
        reply = await api("POST", "/api/v1/batch", {"reason": "x", "changes": both})
        assert "two for one override" in reply.body["detail"]


class TestPlanning:
    """It is Tuesday, 2023-11-14, 22:13:20."""

    FROM, UNTIL = "2023-11-15T03:00:00Z", "2023-11-15T06:00:00+01:00"

    async def test_a_window(self, api: Api) -> None:
        body = {"reason": "a new router", "actor": "ann", "from": self.FROM, "until": self.UNTIL}
        reply = await api("PUT", on(SOUTH, "pause"), body)
        told = {
            "reason": "a new router",
            "actor": "ann",
            "from": "2023-11-15T03:00:00.000Z",
            "until": "2023-11-15T05:00:00.000Z",
            "every": None,
            "caches_clear_at": "2023-11-15T03:00:06.000Z",
        }
        (id,) = api.control.state.plans
        assert reply.body == {"subject": SOUTH, "kind": "pause", "planned": True, "id": id, **told}
        assert held(api) == {}
        again = await api("PUT", on(SOUTH, "pause"), body)
        assert (again.body, again.headers["ETag"]) == (reply.body, reply.headers["ETag"])
        listed = (await api("GET", "/api/v1/overrides")).body["planned"]
        assert [(plan["id"], plan["subject"], plan["from"]) for plan in listed] == [(id, SOUTH, told["from"])]
        dropped = await api("DELETE", f"/api/v1/plans/{id}?actor=bob")
        assert (dropped.body["changed"], dropped.body["subject"]) == (True, SOUTH)
        assert (await api("DELETE", f"/api/v1/plans/{id}")).body == {"id": id, "changed": False}
        assert api.control.state.plans == {}

    async def test_again_and_again(self, api: Api) -> None:
        body = {"reason": "backup", "every": "0 3 * * 6", "for": "2h", "value": "40%"}
        reply = await api("PUT", on(SOUTH, "weight"), body)
        assert (reply.body["from"], reply.body["until"], reply.body["every"], reply.body["value"]) == (
            "2023-11-18T03:00:00.000Z",
            "2023-11-18T05:00:00.000Z",
            "0 3 * * 6",
            "40%",
        )

    async def test_until_without_from_begins_now(self, api: Api) -> None:
        reply = await api("PUT", on(SOUTH, "pause"), {"reason": "x", "until": self.FROM})
        assert reply.body["until"] == "2023-11-15T03:00:00.000Z"
        assert held(api) == {("pause", SOUTH): 0}

    async def test_a_plan_is_refused_for_what_it_comes_to(self, api: Api) -> None:
        api.control.state = with_paused(api.control.state, NORTH, WEST)
        for kind in ("pause", "drain"):
            reply = await api("PUT", on(SOUTH, kind), {"reason": "x", "from": self.FROM})
            assert (reply.status, reply.body["code"]) == (409, "leaves-no-region")
            assert f"planning a {kind} of cn-south is refused" in reply.body["detail"]
        assert api.control.state.plans == {}

    async def test_in_a_batch(self, api: Api) -> None:
        changes = [
            {"set": "pause", "subject": SOUTH, "from": self.FROM, "for": "1h"},
            {"set": "pause", "subject": SOUTH, "from": self.UNTIL, "for": "1h"},
            {"set": "pause", "subject": NORTH},
        ]
        reply = await api("POST", "/api/v1/batch", {"reason": "x", "changes": changes})
        assert [c.get("planned", False) for c in reply.body["changes"]] == [True, True, False]
        assert (len(api.control.state.plans), held(api)) == (2, {("pause", NORTH): 0})

    @pytest.mark.parametrize(
        ("times", "says"),
        [
            ({"from": "tomorrow"}, "'from' must be a time such as"),
            ({"from": "2023-11-15T03:00:00"}, "'from' must be a time with its zone"),
            ({"from": "2023-11-14T22:13:20Z"}, "'from' must lie ahead, by a year at most"),
            ({"from": "2025-11-14T22:13:20Z"}, "'from' must lie ahead, by a year at most"),
            ({"from": FROM, "until": "2023-11-15T02:00:00Z"}, "'until' must come after 'from'"),
            ({"until": FROM, "for": "1h"}, "'until' and 'for' say the same"),
            ({"every": "0 3 * * 6"}, "'every' goes with 'for'"),
            ({"every": "0 3 * * 6", "for": "1h", "from": FROM}, "with neither 'from' nor 'until'"),
            ({"every": "0 3 * * 8", "for": "1h"}, "'0 3 * * 8' is no schedule such as '0 3 * * 6'"),
            ({"every": "* * * * * *", "for": "1h"}, "it has five fields"),
            ({"every": "0 3 31 2 *", "for": "1h"}, "Bad day-of-month"),
            ({"every": "*" * 101, "for": "1h"}, "at most 100"),
        ],
    )
    async def test_when_there_is_no_such_time(self, api: Api, times: dict[str, str], says: str) -> None:
        reply = await api("PUT", on(SOUTH, "pause"), {"reason": "x", **times})
        assert (reply.status, reply.body["code"]) == (400, "bad-body")
        assert says in reply.body["detail"]
        assert api.control.state.plans == {}
