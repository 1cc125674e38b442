"""Overrides over the API and the command line: what may be set on what, all or none, if nobody was faster."""

# ruff: noqa: F401, F811 - fixtures are imported by name

from __future__ import annotations

import json
from typing import Any

import pytest
from admin_http import Api, api, start
from admin_support import NOW, with_paused
from cli_support import Geodns, Running, geodns, running

from geodns.core.overrides import PAUSE, WEIGHT, Override
from geodns.core.world import Overridden, World, apply

SOUTH, POOL, ENDPOINT = "cn-south", "cn-south:web", "cn-south:web:cn-south-1"
NORTH, WEST = "cn-north", "eu-west"


def on(subject: str, kind: str = "") -> str:
    return f"/api/v1/overrides/{subject}" + (f"/{kind}" if kind else "")


def held(api: Api) -> dict[tuple[str, str], int]:
    return {key: override.value for key, override in api.control.state.overrides.items()}


def with_override(world: World, kind: str, subject: str, value: int = 0) -> World:
    return apply(world, Overridden(Override(kind, subject, "why", "who", NOW, None, value)))[0]


class TestSetting:
    @pytest.mark.parametrize(
        ("subject", "kind", "value", "kept"),
        [
            (SOUTH, "pause", None, 0),
            (POOL, "pause", None, 0),
            (ENDPOINT, "pause", None, 0),
            (SOUTH, "weight", "40%", 40),
            (POOL, "weight", "100%", 100),
            (ENDPOINT, "weight", 3, 3),
            (ENDPOINT, "weight", "0", 0),
            (SOUTH, "force", "down", 0),
            (ENDPOINT, "force", "up", 1),
        ],
    )
    async def test_what_may_be_set_on_what(
        self, api: Api, subject: str, kind: str, value: object, kept: int
    ) -> None:
        body = {"reason": "why", "actor": "ann", "for": "1h"} | ({} if value is None else {"value": value})
        reply = await api("PUT", on(subject, kind), body)
        assert reply.status == 200
        assert reply.body == {
            "subject": subject,
            "kind": kind,
            **({} if value is None else {"value": str(value)}),
            "reason": "why",
            "actor": "ann",
            "since": "2023-11-14T22:13:20.000Z",
            "until": "2023-11-14T23:13:20.000Z",
            "effective_at": "2023-11-14T22:13:20.000Z",
            "caches_clear_at": "2023-11-14T22:13:35.000Z",
        }
        assert held(api) == {(kind, subject): kept}

    @pytest.mark.parametrize(
        ("subject", "kind", "value", "says"),
        [
            (SOUTH, "weight", None, "'value' must be a weight: 3 of an endpoint, 40% of a region"),
            (SOUTH, "weight", True, "'value' must be a weight"),
            (SOUTH, "weight", 40, "a region's weight is a share of its clients, from 1% to 100%"),
            (SOUTH, "weight", "0%", "pause it to take it out"),
            (POOL, "weight", "101%", "from 1% to 100%"),
            (ENDPOINT, "weight", "40%", "an endpoint's weight is a number from 0 to 1000000"),
            (ENDPOINT, "weight", "1000001", "from 0 to 1000000"),
            (ENDPOINT, "weight", "9" * 5000, "from 0 to 1000000"),
            (ENDPOINT, "weight", -1, "from 0 to 1000000"),
            (SOUTH, "force", None, "'value' must be up or down"),
            (SOUTH, "force", "sideways", "'value' must be up or down"),
            (SOUTH, "pause", "1", "unknown key 'value'"),
        ],
    )
    async def test_what_may_not(self, api: Api, subject: str, kind: str, value: object, says: str) -> None:
        body = {"reason": "why"} | ({} if value is None else {"value": value})
        reply = await api("PUT", on(subject, kind), body)
        assert (reply.status, reply.body["code"]) == (400, "bad-body")
        assert says in reply.body["detail"]
        assert held(api) == {}

    @pytest.mark.parametrize(
        ("subject", "code", "known"),
        [
            ("mars", "unknown-region", ["cn-north", "cn-south", "eu-west", "unused"]),
            ("cn-south:wob", "unknown-pool", ["web"]),
            ("cn-south:", "unknown-pool", ["web"]),
            ("cn-south::cn-south-1", "unknown-pool", ["web"]),
            ("unused:web", "unknown-pool", []),
            ("cn-south:web:", "unknown-endpoint", ["cn-south-1"]),
            ("cn-south:web:cn-north-1", "unknown-endpoint", ["cn-south-1"]),
            ("cn-south:web:2001:db8::1", "unknown-endpoint", ["cn-south-1"]),
        ],
    )
    async def test_nothing_is_set_on_what_is_not_there(
        self, api: Api, subject: str, code: str, known: list[str]
    ) -> None:
        for method, path in [
            ("PUT", on(subject, "pause")),
            ("DELETE", on(subject, "pause")),
            ("GET", on(subject)),
        ]:
            reply = await api(method, path, {"reason": "x"})
            assert (reply.status, reply.body["code"], reply.body["known"]) == (404, code, known)

    async def test_an_override_that_there_is_not(self, api: Api) -> None:
        reply = await api("PUT", on(SOUTH, "party"), {"reason": "x"})
        known = "overrides are pause, weight, force, drain, ramp, hold"
        assert (reply.status, reply.body["detail"]) == (404, known)

    async def test_a_dry_run_changes_nothing_and_is_refused_as_well(self, api: Api) -> None:
        reply = await api("PUT", on(SOUTH, "pause"), {"reason": "x", "dry_run": True})
        assert (reply.status, reply.body["dry_run"]) == (200, True)
        assert held(api) == {}
        api.control.state = with_paused(api.control.state, NORTH, WEST)
        reply = await api("PUT", on(SOUTH, "pause"), {"reason": "x", "dry_run": True})
        assert (reply.status, reply.body["code"]) == (409, "leaves-no-region")
        reply = await api("DELETE", on(WEST, "pause") + "?dry_run=true")
        assert (reply.body["changed"], reply.body["dry_run"]) == (True, True)
        assert len(held(api)) == 2


class TestLifting:
    async def test_undoes_what_is_set_and_may_be_said_twice(self, api: Api) -> None:
        api.control.state = with_override(api.control.state, WEIGHT, POOL, 40)
        first = await api("DELETE", on(POOL, "weight") + "?actor=bob&reason=done")
        again = await api("DELETE", on(POOL, "weight"))
        assert (first.body["changed"], first.body["value"]) == (True, "40%")
        assert again.body == {"subject": POOL, "kind": "weight", "changed": False}
        assert [(c.actor, c.reason) for c in api.control.calls] == [("bob", "done"), ("api", "-")]

    async def test_is_possible_when_the_files_have_lost_the_subject(self, api: Api) -> None:
        api.control.state = with_override(api.control.state, PAUSE, "of-yore:web:x")
        listed = (await api("GET", "/api/v1/overrides")).body["overrides"]
        assert [(o["subject"], o["known"]) for o in listed] == [("of-yore:web:x", False)]
        assert (await api("GET", on("of-yore:web:x"))).status == 200
        assert (await api("DELETE", on("of-yore:web:x", "pause"))).body["changed"] is True
        assert (await api("DELETE", on("of-yore:web:x", "pause"))).status == 404


class TestWhoWasFaster:
    async def test_a_tag_stands_for_all_that_is_set_on_a_subject(self, api: Api) -> None:
        nothing = (await api("GET", on(SOUTH))).headers["ETag"]
        put = await api("PUT", on(SOUTH, "pause"), {"reason": "x"}, headers={"If-Match": nothing})
        assert put.status == 200
        assert put.headers["ETag"] == (await api("GET", on(SOUTH))).headers["ETag"] != nothing
        late = await api(
            "PUT", on(SOUTH, "weight"), {"reason": "y", "value": "5%"}, headers={"If-Match": nothing}
        )
        assert (late.status, late.body["code"]) == (412, "overrides-moved")
        assert late.headers["ETag"] == put.headers["ETag"] == f'"{late.body["etag"]}"'
        assert list(held(api)) == [("pause", SOUTH)]
        either = {"If-Match": f"{nothing}, {put.headers['ETag']}"}
        assert (await api("DELETE", on(SOUTH, "pause"), headers=either)).headers["ETag"] == nothing

    async def test_other_subjects_do_not_matter_and_a_star_is_anything(self, api: Api) -> None:
        tag = (await api("GET", on(SOUTH))).headers["ETag"]
        await api("PUT", on(NORTH, "pause"), {"reason": "x"})
        await api("PUT", on(POOL, "weight"), {"reason": "x", "value": "40%"})
        assert (
            await api("PUT", on(SOUTH, "pause"), {"reason": "x"}, headers={"If-Match": tag})
        ).status == 200
        assert (
            await api("PUT", on(SOUTH, "pause"), {"reason": "y"}, headers={"If-Match": "*"})
        ).status == 200


class TestBatch:
    async def test_all_at_once(self, api: Api) -> None:
        """What one alone would be refused is allowed together with what makes up for it."""
        api.control.state = with_paused(api.control.state, NORTH, WEST)
        body = {
            "reason": "swap",
            "changes": [
                {"set": "pause", "subject": SOUTH, "for": "2h"},
                {"lift": "pause", "subject": NORTH},
                {"set": "weight", "subject": "eu-west:web:eu-west-1", "value": 7},
                {"lift": "force", "subject": SOUTH},
            ],
        }
        reply = await api("POST", "/api/v1/batch", body)
        assert reply.status == 200
        assert [(c["subject"], c["kind"], c["set"], c.get("changed")) for c in reply.body["changes"]] == [
            (SOUTH, "pause", True, None),
            (NORTH, "pause", False, True),
            ("eu-west:web:eu-west-1", "weight", True, None),
            (SOUTH, "force", False, False),
        ]
        assert held(api) == {("pause", WEST): 0, ("pause", SOUTH): 0, ("weight", "eu-west:web:eu-west-1"): 7}
        assert reply.body["caches_clear_at"] == "2023-11-14T22:13:35.000Z"

    @pytest.mark.parametrize(
        ("changes", "code"),
        [
            ([{"set": "pause", "subject": SOUTH}, {"set": "pause", "subject": "mars"}], "unknown-region"),
            ([{"set": "pause", "subject": s} for s in (SOUTH, NORTH, WEST)], "leaves-no-region"),
            ([{"set": "pause", "subject": SOUTH, "if_match": "yesterday"}], "overrides-moved"),
        ],
    )
    async def test_or_nothing(self, api: Api, changes: list[dict[str, str]], code: str) -> None:
        reply = await api("POST", "/api/v1/batch", {"reason": "x", "changes": changes})
        assert reply.body["code"] == code
        assert held(api) == {}

    @pytest.mark.parametrize(
        ("changes", "says"),
        [
            (None, "'changes' must be a list of 1 to 100 changes"),
            ([], "'changes' must be a list of 1 to 100 changes"),
            ([{"set": "pause", "subject": f"r{n}"} for n in range(101)], "must be a list of 1 to 100"),
            ([7], "a change must be a JSON object with 'set', 'lift', 'subject'"),
            ([{"subject": SOUTH}], "a change has either 'set' or 'lift'"),
            ([{"set": "pause", "lift": "pause", "subject": SOUTH}], "a change has either 'set' or 'lift'"),
            (
                [{"set": "party", "subject": SOUTH}],
                "there is no override 'party'; known are pause, weight, force",
            ),
            ([{"set": "pause"}], "'subject' is missing"),
            ([{"set": "pause", "subject": SOUTH, "value": "up"}], "a pause has no 'value'"),
            (
                [{"lift": "pause", "subject": SOUTH, "for": "1h"}],
                "what is lifted has no 'for'",
            ),
            (
                [{"set": "pause", "subject": SOUTH}, {"lift": "pause", "subject": SOUTH}],
                "two for one override",
            ),
            ([{"set": "pause", "subject": [[]]}], "'subject' must be a text"),
        ],
    )
    async def test_that_cannot_be_read(self, api: Api, changes: object, says: str) -> None:
        reply = await api("POST", "/api/v1/batch", {"reason": "x", "changes": changes})
        assert (reply.status, reply.body["code"]) == (400, "bad-body")
        assert says in reply.body["detail"]

    async def test_of_what_is_so_already(self, api: Api) -> None:
        body = {"reason": "x", "changes": [{"lift": "pause", "subject": SOUTH}]}
        reply = await api("POST", "/api/v1/batch", body)
        assert reply.body == {
            "changes": [{"subject": SOUTH, "kind": "pause", "set": False, "changed": False}]
        }


async def test_all_that_is_set_is_listed(api: Api) -> None:
    api.control.state = with_override(with_override(api.control.state, PAUSE, SOUTH), WEIGHT, ENDPOINT, 7)
    first, second = (await api("GET", "/api/v1/overrides")).body["overrides"]
    assert (first["subject"], first["kind"], first["pool"]) == (SOUTH, "pause", None)
    assert second == {
        "subject": ENDPOINT,
        "region": SOUTH,
        "pool": "web",
        "endpoint": "cn-south-1",
        "known": True,
        "kind": "weight",
        "value": "7",
        "reason": "why",
        "actor": "who",
        "since": "2023-11-14T22:13:20.000Z",
        "until": None,
        "volatile": False,
    }
    regions = {r["id"]: r["overrides"] for r in (await api("GET", "/api/v1/regions")).body["regions"]}
    assert regions == {"cn-south": 2, "cn-north": 0, "eu-west": 0, "unused": 0}
    assert (await api("GET", on(SOUTH))).body == {"subject": SOUTH, "overrides": [first]}


class TestCommandLine:
    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (("pause", ENDPOINT), f"{ENDPOINT} is paused until it is resumed: why"),
            (("weight", SOUTH, "40%"), "cn-south has weight 40% until it is lifted: why"),
            (("weight", ENDPOINT, "7"), f"{ENDPOINT} has weight 7 until it is lifted: why"),
            (("force-up", POOL), "cn-south:web is forced up until it is lifted: why"),
            (("force-down", SOUTH), "cn-south is forced down until it is lifted: why"),
        ],
    )
    def test_sets(self, geodns: Geodns, running: Running, arguments: tuple[str, ...], says: str) -> None:
        done = geodns(*arguments, "-r", "why", "--url", running.url)
        assert (done.code, done.out.splitlines()[0]) == (0, says)
        assert len(running.control.state.overrides) == 1

    @pytest.mark.parametrize("verb", [("pause", SOUTH), ("weight", SOUTH, "40%"), ("force-down", SOUTH)])
    def test_runs_dry(self, geodns: Geodns, running: Running, verb: tuple[str, ...]) -> None:
        done = geodns(*verb, "-r", "why", "--dry-run", "--url", running.url)
        assert done.out.startswith("nothing is changed; else cn-south ")
        assert not running.control.state.overrides

    def test_lifts(self, geodns: Geodns, running: Running) -> None:
        running.control.state = with_override(running.control.state, WEIGHT, SOUTH, 40)
        dry = geodns("lift", "weight", SOUTH, "--dry-run", "--url", running.url)
        assert dry.out == "nothing is changed; else the weight of cn-south would be lifted\n"
        done = geodns("lift", "weight", SOUTH, "-r", "over", "--url", running.url)
        assert done.out.startswith("the weight of cn-south is lifted since 20")
        assert running.control.calls[-1].reason == "over"
        assert (
            geodns("lift", "weight", SOUTH, "--url", running.url).out
            == "cn-south has no weight set by hand\n"
        )

    def test_only_if_nobody_was_faster(self, geodns: Geodns, running: Running) -> None:
        done = geodns("pause", SOUTH, "-r", "x", "--if-match", "yesterday", "--url", running.url)
        assert (done.code, done.err) == (
            1,
            "geodns: the overrides of cn-south have changed since you looked; look again\n",
        )

    def test_batch(self, geodns: Geodns, running: Running) -> None:
        running.control.state = with_paused(running.control.state, NORTH)
        words = (f"pause {SOUTH}", f"resume {NORTH}", "weight eu-west 50%", f"force-down {ENDPOINT}")
        assert geodns("batch", *words, "-r", "swap", "--dry-run", "--url", running.url).out.startswith(
            "nothing is"
        )
        done = geodns("batch", *words, "-r", "swap", "--url", running.url)
        assert done.out.startswith(", ".join(words) + ": in the answers since 20")
        assert list(running.control.state.overrides) == [
            ("pause", SOUTH),
            ("weight", WEST),
            ("force", ENDPOINT),
        ]
        assert geodns("batch", f"lift weight {NORTH}", "-r", "x", "--url", running.url).out == (
            "all of it was so already\n"
        )

    @pytest.mark.parametrize("words", ["", "pause", "pause a b", "weight a", "lift a", "drop a"])
    def test_a_batch_that_is_none(self, geodns: Geodns, words: str) -> None:
        done = geodns("batch", words, "-r", "x")
        assert done.code == 2
        assert "is no change such as" in done.err

    def test_lists(self, geodns: Geodns, running: Running) -> None:
        assert geodns("overrides", "--url", running.url).out == "nothing is set by hand\n"
        running.control.state = with_override(running.control.state, WEIGHT, "of-yore", 40)
        _, line = geodns("overrides", "--url", running.url).out.splitlines()
        assert line.startswith("of-yore (not in the files)  weight 40%  20")
        assert (
            json.loads(geodns("overrides", "-o", "json", "--url", running.url).out)["overrides"][0]["value"]
            == "40%"
        )

    def test_regions_say_how_much_is_set(self, geodns: Geodns, running: Running) -> None:
        running.control.state = with_override(running.control.state, WEIGHT, ENDPOINT, 7)
        lines = geodns("regions", "--url", running.url).out.splitlines()
        assert next(line for line in lines if line.startswith(SOUTH)).endswith(
            "not probed yet, 1 set by hand"
        )
