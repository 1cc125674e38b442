"""Load as it is reported, over the API and by the command line, and what follows (what is answered:
tests/cases/answers/capacity.case).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from admin_http import Api, api, start
from cli_support import Geodns, Running, geodns, running
from core_support import Lab

from geodns.core.loads import Load
from geodns.core.reports import MAX_LASTS, expired, report
from geodns.core.steer.odds import decide
from geodns.core.steer.orders import Group
from geodns.core.world import apply, differing
from geodns.errors import GeodnsError

__all__ = ["api", "geodns", "running", "start"]

FILES = {
    "_shared.yaml": "regions: {a: {}, b: {}, c: {}}\n",
    "z.test.yaml": """\
zone: z.test
nameservers: {ns: 192.0.2.53}
pools:
  web:
    check: {type: http}
    regions:
      a: {capacity: 1000, endpoints: {name: a1, address: 192.0.2.1}}
      b: {capacity: 1000, endpoints: {name: b1, address: 192.0.2.2}}
      c: {capacity: 2000, endpoints: {name: c1, address: 192.0.2.3}}
  bare: {regions: {a: 192.0.2.11, b: 192.0.2.12}}
records: {www: {steer: web}, bare: {steer: bare}}
""",
}
WEB = "z.test/web"


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab.of(tmp_path, FILES)


def load(subject: str, value: float, capacity: float | None = None, at: float = 0.0) -> Load:
    return Load(subject, value, capacity, at, at + 60)


class TestReports:
    def test_only_what_changes_a_gauge_changes_answers(self, lab: Lab) -> None:
        world, touched = apply(lab.world, report(lab.world, load("a", 500)))
        assert touched == {WEB}, "in `bare` nobody knows a capacity"
        again, touched = apply(world, report(world, load("a", 501, at=5.0)))
        assert touched == frozenset()
        assert again.gauges is world.gauges
        assert again.loads["a"].load == 501
        assert differing(world, again) == frozenset()
        assert differing(lab.world, again) == {WEB}

    def test_what_is_not_reported_again_is_forgotten(self, lab: Lab) -> None:
        world, _ = apply(lab.world, report(lab.world, load("a", 500)))
        world, _ = apply(world, report(world, load("b", 500, at=30.0)))
        assert expired(world, 59.0) is None
        over = expired(world, 60.0)
        assert over is not None
        world, touched = apply(world, over)
        assert (set(world.loads), set(world.gauges), touched) == ({"b"}, {(WEB, "b")}, {WEB})

    def test_nobody_sheds_for_nobody(self, lab: Lab) -> None:
        lab.state({"down": ["web/b", "web/c"], "load": {"a": 2000}})
        assert lab.world.gauges[WEB, "a"].keep == 100
        lab.state({"down": ["web/b"], "load": {"a": 2000}})
        assert lab.world.gauges[WEB, "a"].keep == 45

    def test_new_files_keep_what_they_still_have(self, lab: Lab) -> None:
        lab.state({"load": {"a": 2000, "b": 0}})
        smaller = lab.model.pools[WEB]
        pool = replace(smaller, regions=smaller.regions[1:])
        lab.load(replace(lab.model, pools={**lab.model.pools, WEB: pool}))
        assert set(lab.world.gauges) == {(WEB, "b")}

    @pytest.mark.parametrize("bad", [-1.0, float("nan"), float("inf"), 1e13])
    def test_what_cannot_be_is_refused(self, lab: Lab, bad: float) -> None:
        for wrong in (load("a", bad), load("a", 1.0, bad), load("a", 1.0, 0.0)):
            with pytest.raises(GeodnsError, match="is a number"):
                report(lab.world, wrong)

    @pytest.mark.parametrize("seed", range(40))
    def test_whatever_is_reported_somebody_is_told(self, lab: Lab, seed: int) -> None:
        """And shares are whole, whoever is full."""
        chance = Random(seed)
        pool = lab.model.pools[WEB]
        order = tuple(Group(((r, 1),)) for r in chance.sample("abc", 3))
        world = lab.world
        for at in range(0, 800, 20):
            value, capacity = chance.choice((0, 10, 700, 990, 1500, 9e9)), chance.choice((None, 1, 800))
            world, _ = apply(world, report(world, load(chance.choice("abc"), value, capacity, at)))
            over = expired(world, at)
            world = apply(world, over)[0] if over else world
            odds = decide(pool, order, world, 4)
            assert odds.members
            assert sum(odds.shares().values()) == pytest.approx(1)


class TestApi:
    @pytest.fixture
    def loaded(self, api: Api, lab: Lab) -> Api:
        api.control.state = lab.world
        return api

    async def test_a_report_says_what_it_comes_to(self, loaded: Api) -> None:
        reply = await loaded("PUT", "/api/v1/loads/a", {"load": 940, "for": "30s"})
        assert reply.status == 200
        assert reply.body == {
            "subject": "a",
            "load": 940.0,
            "capacity": None,
            "at": "2023-11-14T22:13:20.000Z",
            "until": "2023-11-14T22:13:50.000Z",
            "regions": [{"pool": WEB, "region": "a", "capacity": 1000, "used": 90, "keeps": 85}],
        }
        listed = (await loaded("GET", "/api/v1/loads")).body
        assert [r["subject"] for r in listed["reports"]] == ["a"]
        assert listed["regions"] == reply.body["regions"]

    @pytest.mark.parametrize(
        ("subject", "body", "status", "detail"),
        [
            ("nowhere", {"load": 1}, 404, "there is no region 'nowhere'"),
            ("a", {}, 400, "'load' must be a number"),
            ("a", {"load": "1"}, 400, "'load' must be a number"),
            ("a", {"load": True}, 400, "'load' must be a number"),
            ("a", {"load": -1}, 400, "a load is a number from 0"),
            ("a", {"load": 10**400}, 400, "'load' is out of all bounds"),
            ("a", {"load": 1, "capacity": 0}, 400, "a capacity is a number above 0"),
            ("a", {"load": 1, "for": MAX_LASTS + 1}, 400, "'for' must be at least 1s"),
            ("a", {"load": 1, "reason": "x"}, 400, "unknown key 'reason'"),
        ],
    )
    async def test_what_cannot_be_used(
        self, loaded: Api, subject: str, body: object, status: int, detail: str
    ) -> None:
        reply = await loaded("PUT", f"/api/v1/loads/{subject}", body)
        assert reply.status == status
        assert reply.body["detail"].startswith(detail)


class TestCommandLine:
    def test_report_and_list(self, geodns: Geodns, running: Running, lab: Lab) -> None:
        running.control.state = lab.world
        assert geodns("loads", "--url", running.url).out == "no load is known\n"
        told = geodns("load", "a", "940", "--url", running.url).out.splitlines()
        assert told[0].startswith("a has load 940 until 2023-11-1")
        assert told[2].split() == ["a", WEB, "1000", "90%", "85%"]
        assert geodns("loads", "--url", running.url).out.splitlines() == told[1:]
        nothing = geodns("load", "a:z.test/bare", "5", "--url", running.url).out
        assert nothing.endswith("no capacity is known: it changes nothing\n")
        with_it = geodns(
            "load", "a:z.test/bare", "5", "--capacity", "50", "--for", "2m", "--url", running.url
        )
        assert with_it.out.splitlines()[2].split() == ["a", "z.test/bare", "50", "10%", "100%"]
