"""What a dry run predicts: who moves from where to where, by addresses and by what was asked lately."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from ipaddress import IPv4Address, ip_network
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from admin_http import Api, api, start
from cli_support import Geodns, Running, geodns, running
from core_support import Atlas, Lab

from geodns.admin.control import Basis, Prediction
from geodns.core.overrides import PAUSE, WEIGHT, Override
from geodns.core.place import EMPTY
from geodns.core.prediction import NOBODY, Change, Shift, shifts
from geodns.core.steer.orders import Group, Order
from geodns.core.world import Overridden, World, apply
from geodns.geo.survey import survey
from geodns.predicting import PART, PARTS, Predictor, Recent

__all__ = ["api", "geodns", "running", "start"]

FILES = {
    "_shared.yaml": "regions: {a: {}, b: {}, c: {}}\n",
    "z.test.yaml": """\
zone: z.test
nameservers: {ns: 192.0.2.53}
policies:
  p: [{when: {country: DE}, to: a}, {when: {country: US}, to: [b, a]}, {to: c, fence: true}]
pools:
  web:
    policy: p
    check: {type: http}
    regions:
      a: {capacity: 1000, endpoints: {name: a1, address: 192.0.2.1}}
      b: {capacity: 1000, endpoints: {name: b1, address: 192.0.2.2}}
      c: {endpoints: {name: c1, address: 192.0.2.3}}
records: {www: {steer: web}}
""",
}
WEB = "z.test/web"
PLACES: dict[str, dict[str, Any]] = {
    "10.0.0.0/16": {"country": "DE"},
    "10.1.0.0/17": {"country": "US"},
    "10.2.3.0/24": {"country": "BR"},
}


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    made = Lab.of(tmp_path, FILES, PLACES)
    made.world = replace(made.world, steered={(WEB, "z.test/p"): ("www.z.test.",)})
    return made


def single(*regions: str) -> Order:
    return tuple(Group(((region, 1),)) for region in regions)


def after(world: World, kind: str, subject: str, value: int = 0) -> World:
    return apply(world, Overridden(Override(kind, subject, "why", "who", 0.0, None, value)))[0]


class TestShifts:
    HERE, THERE = (WEB, "z.test/p", single("a", "b", "c")), (WEB, "z.test/p", single("b", "a", "c"))
    FENCED = (WEB, "z.test/p", single("c"))

    def test_who_moves_and_where_to(self, lab: Lab) -> None:
        weights = {self.HERE: 60.0, self.THERE: 30.0, self.FENCED: 10.0}
        (shift,) = shifts(lab.world, after(lab.world, PAUSE, "a"), weights)
        assert (shift.pool, shift.weight, shift.moved) == (WEB, 100.0, 0.6)
        assert shift.moves == (("a", "b", 0.6),)
        assert [(c.region, c.before, c.after) for c in shift.regions] == [
            ("a", 0.6, 0.0), ("b", 0.3, 0.9), ("c", 0.1, 0.1),
        ]  # fmt: skip

    def test_a_part_of_the_clients_moves_with_a_weight(self, lab: Lab) -> None:
        (shift,) = shifts(lab.world, after(lab.world, WEIGHT, "a", 25), {self.HERE: 4.0})
        assert shift.moves == (("a", "b", 0.75),)

    def test_who_is_left_without_a_region_is_told_as_nobody(self, lab: Lab) -> None:
        (shift,) = shifts(lab.world, after(lab.world, PAUSE, "c"), {self.HERE: 3.0, self.FENCED: 1.0})
        assert shift.moves == (("c", NOBODY, 0.25),)
        assert shift.regions[-1] == Change(NOBODY, 0.0, 0.25)

    def test_load_moves_with_the_clients(self, lab: Lab) -> None:
        lab.state({"load": {"a": 600, "b": 300}})
        weights = {self.HERE: 60.0, self.THERE: 30.0, self.FENCED: 10.0}
        (shift,) = shifts(lab.world, after(lab.world, PAUSE, "a"), weights)
        a, b, c = shift.regions
        assert (a.load_before, a.load_after, a.capacity) == (600, 0, 1000)
        assert (b.load_before, b.load_after) == (300, 900)
        assert (c.load_before, c.load_after, c.capacity) == (None, None, None), "it reports nothing"
        (shift,) = shifts(lab.world, after(lab.world, WEIGHT, "a", 50), weights)
        assert [change.load_after for change in shift.regions] == [300, 600, None]
        (shift,) = shifts(after(lab.world, PAUSE, "b"), lab.world, {self.THERE: 1.0})
        assert [c.load_after for c in shift.regions] == [0, 900, None], "and those who return bring theirs"
        lab.state({"load": {"b": 300}})
        (shift,) = shifts(lab.world, after(lab.world, PAUSE, "a"), weights)
        assert shift.regions[1].load_after is None, "nobody knows what those bring along"

    def test_what_changes_nothing_moves_nobody(self, lab: Lab) -> None:
        (shift,) = shifts(lab.world, lab.world, {self.HERE: 1.0, self.THERE: 1.0})
        assert (shift.moved, shift.moves) == (0, ())
        assert shifts(lab.world, lab.world, {}) == []

    @pytest.mark.parametrize("seed", range(30))
    def test_nobody_is_lost_on_the_way(self, lab: Lab, seed: int) -> None:
        """Shares are whole before and after, and the moves are what lies between."""
        chance = Random(seed)
        lab.state(
            {"load": {r: chance.choice((0, 500, 990)) for r in chance.sample("abc", chance.randrange(4))}}
        )
        then = lab.world
        for region in chance.sample("abc", 2):
            then = after(then, *chance.choice(((PAUSE, region), (WEIGHT, region, chance.randrange(1, 100)))))
        orders = [single(*chance.sample("abc", chance.randrange(1, 4))) for _ in range(4)]
        weights = {(WEB, "z.test/p", order): chance.random() + 0.1 for order in orders}
        (shift,) = shifts(lab.world, then, weights)
        changes = {change.region: change for change in shift.regions}
        assert sum(c.before for c in changes.values()) == pytest.approx(1)
        assert sum(c.after for c in changes.values()) == pytest.approx(1)
        flow: Counter[str] = Counter()
        for whence, to, share in shift.moves:
            assert share > 0 and whence != to
            flow[whence] -= share  # type: ignore[assignment]
            flow[to] += share  # type: ignore[assignment]
        for region, change in changes.items():
            assert change.before + flow[region] == pytest.approx(change.after, abs=1e-6)


class TestSurvey:
    def test_small_databases_are_counted_exactly(self) -> None:
        found = survey(Atlas(PLACES, {}, ()).locate)
        sizes = {place.country: addresses for place, addresses in found.items()}
        assert sizes == {"DE": 1 << 16, "US": 1 << 15, "BR": 1 << 8}

    def test_large_ones_about_and_in_bounded_time(self) -> None:
        chance = Random(5)
        of = {n: chance.choice(("DE", "US", "BR", "BR")) for n in range(1 << 16)}
        asked = []

        def locate(address: object) -> Any:
            assert isinstance(address, IPv4Address)
            asked.append(address)
            place = EMPTY.__class__(country=of[int(address) >> 16])
            return SimpleNamespace(place=place, own=0, asn=0, geo=24)

        found = survey(locate, 5000)
        assert len(asked) <= 3 * 5000
        total = found.total()
        assert total == 1 << 32
        shares = {place.country: addresses / total for place, addresses in found.items()}
        assert shares["BR"] == pytest.approx(0.5, abs=0.03)
        assert shares["DE"] == pytest.approx(0.25, abs=0.03)


class TestRecent:
    def test_queries_of_the_last_hour_count_and_no_others(self, lab: Lab) -> None:
        recent = Recent(0.0)
        now = 0.0
        for part in range(2 * PARTS):
            for _ in range(part + 1):
                lab.ask("www.z.test", subnet="10.0.1.0/24")
            lab.replay.collect()
            recent.note(lab.sheets, now)
            now += PART
        since, counted = recent.counted()
        assert since == now - PARTS * PART
        assert counted == {(WEB, "z.test/p", single("a", "b", "c")): sum(range(PARTS + 1, 2 * PARTS + 1))}

    def test_it_goes_on_over_new_counters(self, lab: Lab) -> None:
        recent = Recent(0.0)
        for _ in range(2):
            lab.ask("www.z.test", subnet="10.1.1.0/24")
            lab.replay.collect()
            recent.note(lab.sheets, 1.0)
            recent.forget()
            lab.load(lab.model)
        assert sum(recent.counted()[1].values()) == 2

    def test_it_has_a_bound(self, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("geodns.predicting.MAX_KEYS", 1)
        for network in ("10.0.1.0/24", "10.1.1.0/24"):
            lab.ask("www.z.test", subnet=network)
        recent = Recent(0.0)
        lab.replay.collect()
        recent.note(lab.sheets, 1.0)
        assert (sum(recent.counted()[1].values()), recent.left_out) == (1, 1)


async def test_both_ways_of_weighing(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    for network in ("10.0.1.0/24", "10.1.1.0/24", "10.1.2.0/24", "10.2.3.0/24"):
        lab.ask("www.z.test", subnet=network)
    geography = SimpleNamespace(locate=Atlas(PLACES, {}, ()).locate)
    server: Any = SimpleNamespace(replay=lab.replay, sheets=lab.sheets, geography=geography)
    predictor = Predictor(server)
    found = await predictor.predict(lab.world, after(lab.world, PAUSE, "b"))
    (by_addresses,), (by_queries,) = found.networks.shifts, found.queries.shifts
    assert found.networks.weight == sum(ip_network(network).num_addresses for network in PLACES)
    assert by_addresses.moves == (("b", "a", pytest.approx((1 << 15) / found.networks.weight)),)
    assert (found.queries.weight, by_queries.moves) == (4, (("b", "a", 0.5),))
    monkeypatch.setattr("geodns.predicting.MAX_WEIGHED", 0)
    bounded = await predictor.predict(lab.world, after(lab.world, PAUSE, "b"))
    assert (bounded.networks.shifts, bounded.networks.left_off) == ((), 1)
    again = await predictor.predict(lab.world, lab.world)
    assert (again.networks.shifts, again.queries.shifts) == ((), ()), "no pool is touched"


SHIFT = Shift(
    "web",
    "p",
    1000.0,
    (("cn-south", "eu-west", 0.25), ("cn-south", "", 0.0625)),
    (
        Change("cn-south", 0.3125, 0.0, 800.0, 0.0, 1000.0),
        Change("eu-west", 0.6875, 0.9375, 100.0, 740.0, 2000.0),
        Change("", 0.0, 0.0625),
    ),
)
PREDICTION = Prediction(Basis(1000.0, (SHIFT,), 2), Basis(0.0, (), 0), (1_700_000_000.0, 1_700_003_600.0))


async def test_a_dry_run_tells_it(api: Api) -> None:
    api.control.prediction = PREDICTION
    path = "/api/v1/overrides/cn-south/pause"
    told = (await api("PUT", path, {"reason": "x", "dry_run": True})).body["prediction"]
    assert told["by_queries"] == {
        "since": "2023-11-14T22:13:20.000Z",
        "until": "2023-11-14T23:13:20.000Z",
        "weighed": 0,
        "pools": [],
        "left_off": 0,
    }
    (pool,) = told["by_addresses"]["pools"]
    assert (pool["pool"], pool["policy"], pool["weighed"], pool["moved"]) == ("web", "p", 1000, 0.3125)
    assert pool["moves"][1] == {"from": "cn-south", "to": None, "share": 0.0625}
    assert pool["regions"][1] == {
        "region": "eu-west", "before": 0.6875, "after": 0.9375,
        "load_before": 100.0, "load_after": 740.0, "capacity": 2000.0,
    }  # fmt: skip
    assert "prediction" not in (await api("PUT", path, {"reason": "x"})).body


def test_the_command_line_tells_it_as_tables(geodns: Geodns, running: Running) -> None:
    running.control.prediction = PREDICTION
    expected = [
        "by the IPv4 addresses that the databases know:",
        "POOL POLICY FROM TO SHARE",
        "web p cn-south eu-west 25.0%",
        "web p cn-south (nobody) 6.2%",
        "POOL REGION CLIENTS THEN LOAD THEN CAPACITY",
        "web cn-south 31.2% 0.0% 800 0 1000",
        "web eu-west 68.8% 93.8% 100 740 2000",
        "web (nobody) 0.0% 6.2%",
        "2 pools were left off",
    ]
    for verb in (
        ("pause", "cn-south", "-r", "x"),
        ("force-down", "cn-south", "-r", "x"),
        ("batch", "pause cn-south", "-r", "x"),
    ):
        lines = geodns(*verb, "--dry-run", "--url", running.url).out.splitlines()
        assert [" ".join(line.split()) for line in lines[1:10]] == expected
        assert lines[10].startswith("nobody has asked since 2023-11-1")
