"""The rules of the files: what operators may not do to a pool, unless they say that they know."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from admin_http import Api, api, start
from core_support import Lab

from geodns.core.guard import guard
from geodns.core.overrides import DOWN, FORCE, PAUSE, WEIGHT, Override
from geodns.core.steer.strength import kept_out, strength, unit
from geodns.core.world import Batch, Lifted, Overridden, apply

__all__ = ["api", "start"]

ZONE = """\
zone: z.test
nameservers: {ns: 192.0.2.53}
pools:
  web:
    check: {type: http}
    guard: %s
    regions:
      a: [{name: a1, address: 192.0.2.1}, {name: a2, address: 192.0.2.2}]
      b: [{name: b1, address: 192.0.2.3}]
      c: [{name: c1, address: 192.0.2.4}]
      d: {endpoints: [{name: d1, address: 192.0.2.5}, {name: d2, address: 192.0.2.6, tier: 2}]}
  two: {check: {type: http}, regions: {a: 192.0.2.21, b: 192.0.2.22}}
records: {www: {steer: web}, api: {steer: two}}
"""
REGIONS = "regions: {a: {}, b: {}, c: {}, d: {}}\n"


def lab(folder: Path, guard: str = "{at_least: 1}", shared: str = "", zone: str = ZONE) -> Lab:
    made = Lab.of(folder, {"_shared.yaml": REGIONS + shared, "z.test.yaml": zone % guard})
    made.world = replace(made.world, steered={("z.test/web", "nearest"): ("www.z.test.",)})
    return made


def override(text: str) -> Override:
    """`pause a`, `weight a 40`, `down a:z.test/web`."""
    verb, subject, *value = text.split()
    kind = {"pause": PAUSE, "weight": WEIGHT, "down": FORCE}[verb]
    return Override(kind, subject, "why", "who", 0.0, None, int(value[0]) if value else DOWN)


def broken(world: Lab, before: str, change: str) -> list[str]:
    """The rules that a change breaks where others were made before (each a list, separated by commas)."""
    for text in filter(None, before.split(", ")):
        world.take(Overridden(override(text)))
    changes = []
    for text in change.split(", "):
        head, _, subject = text.partition(" ")
        changes.append(Lifted(PAUSE, subject) if head == "resume" else Overridden(override(text)))
    after, _ = apply(world.world, Batch(tuple(changes)))
    return [b.rule for b in guard(world.world, after)]


WEB = ":z.test/web"


@pytest.mark.parametrize(
    ("rules", "down", "before", "change", "broken_"),
    [
        # at_least: regions that serve, whatever keeps the others from it
        ("{at_least: 2 regions}", "", "pause a, pause b", "pause c", "at-least"),
        ("{at_least: 2 regions}", "", "pause a", "pause c", ""),
        ("{at_least: 2 regions}", "web/b web/c", "", "pause a", "at-least"),
        ("{at_least: 2 regions}", "web/a web/b web/c", "", "pause a", ""),  # no worse than it is
        ("{at_least: 2 regions}", "web/a web/b", "pause c", "down d", "at-least leaves-no-healthy-region"),
        ("{at_least: 3}", "", "pause a", f"down b{WEB}:b1", "at-least"),
        ("{at_least: 3}", "", "pause a", "pause b, resume a", ""),  # a batch is judged as a whole
        ("{at_least: 3}", "", "pause a", f"down a{WEB}", ""),
        ("{at_least: 3}", "", "pause a", "weight b 1", ""),
        # never_pause_together: by hand, the region or all that is in it
        ("{never_pause_together: [a, b]}", "", "pause a", "pause b", "never-pause-together"),
        ("{never_pause_together: [a, b]}", "", "pause a", "pause c", ""),
        ("{never_pause_together: [a, b]}", "web/a", "", "pause b", ""),
        ("{never_pause_together: [a, b]}", "", "", "pause a, pause b", "never-pause-together"),
        ("{never_pause_together: [a, b]}", "", "pause a", "pause b, resume a", ""),
        ("{never_pause_together: [a, b]}", "", f"pause a{WEB}:a1", "pause b", ""),
        ("{never_pause_together: [a, b]}", "", f"pause a{WEB}:a1, down a{WEB}:a2", f"down b{WEB}",
         "never-pause-together"),
        ("{never_pause_together: [a, b, c]}", "", "pause a, pause b", f"down b{WEB}", ""),
        ("{never_pause_together: [a, b, c]}", "", "pause a, pause b", "pause c", "never-pause-together"),
        # max_paused_capacity: of the five endpoints' weight, of which the standby is none
        ("{max_paused_capacity: 40%}", "", "", "pause a", ""),
        ("{max_paused_capacity: 39%}", "", "", "pause a", "max-paused-capacity"),
        ("{max_paused_capacity: 20%}", "", f"pause a{WEB}:a1", "pause b", "max-paused-capacity"),
        ("{max_paused_capacity: 20%}", "", "", "weight a 50", ""),
        ("{max_paused_capacity: 20%}", "", "", "weight a 49", "max-paused-capacity"),
        ("{max_paused_capacity: 20%}", "", "", "down b", ""),
        ("{max_paused_capacity: 20%}", "", "pause b", "down b", ""),
        ("{max_paused_capacity: 0%}", "", "", f"pause d{WEB}:d1", ""),  # its standby stands in for it
        ("{max_paused_capacity: 0%}", "web/c", "", "pause c", ""),  # what is down is nobody's loss
        ("{max_paused_capacity: 25%}", "web/c", "", "pause b", ""),
        ("{max_paused_capacity: 24%}", "web/c", "", "pause b", "max-paused-capacity"),
    ],
)  # fmt: skip
def test_a_pools_own_rules(
    tmp_path: Path, rules: str, down: str, before: str, change: str, broken_: str
) -> None:
    world = lab(tmp_path, rules)
    world.state({"down": down.split()})
    found = [rule.removesuffix(":z.test/web") for rule in broken(world, before, change)]
    assert sorted(found) == broken_.split()


def test_a_change_that_breaks_many_rules_is_told_all_of_them(tmp_path: Path) -> None:
    rules = "{at_least: 2 regions, never_pause_together: [a, b], max_paused_capacity: 40%}"
    world = lab(tmp_path, rules)
    assert broken(world, "pause a", "pause b, pause c, pause d") == [
        "leaves-no-region",
        "at-least:z.test/web",
        "never-pause-together:z.test/web",
        "max-paused-capacity:z.test/web",
    ]


class TestShared:
    GUARDS = "guards: {pair: {never_pause_together: [a, b]}, some: {at_least: 2}}\n"

    def test_they_hold_in_each_pool_by_itself(self, tmp_path: Path) -> None:
        """Two pools may each do without another region, and none without both."""
        world = lab(tmp_path, "{max_paused_capacity: 99%}", self.GUARDS)
        assert broken(world, "", "pause a") == ["at-least:some"]
        assert broken(world, f"pause a{WEB}", "pause b:z.test/two") == ["at-least:some"]
        assert broken(world, "", f"pause b{WEB}") == ["never-pause-together:pair"]

    def test_each_is_told_once_with_how_many_pools_it_hits(self, tmp_path: Path) -> None:
        world = lab(tmp_path, "{max_paused_capacity: 99%}", self.GUARDS)
        world.take(Overridden(override(f"pause a{WEB}")), Overridden(override("pause a:z.test/two")))
        after, _ = apply(world.world, Overridden(override("pause b")))
        told = {b.rule: b.detail for b in guard(world.world, after)}
        assert told["never-pause-together:pair"] == (
            "a and b would be out together in pool z.test/two (and in 1 more)"
        )

    def test_those_of_a_zone_hold_in_its_own_pools(self, tmp_path: Path) -> None:
        zone = ZONE + "guards: {pair: {never_pause_together: [a, b]}}\n"
        shared = "pools: {both: {regions: {a: 192.0.2.31, b: 192.0.2.32}}}\n"
        world = lab(tmp_path, shared=shared, zone=zone)
        assert broken(world, f"pause a{WEB}", f"pause b{WEB}") == ["never-pause-together:z.test/pair"]
        assert broken(world, "pause a:both", "pause b:both") == []


class TestStrength:
    CAPACITY = ZONE.replace("a: [{name: a1, address: 192.0.2.1}, {name: a2, address: 192.0.2.2}]",
        "a: {capacity: 500, endpoints: [{name: a1, address: 192.0.2.1}, {name: a2, address: 192.0.2.2}]}"
    ).replace("b: [{name: b1, address: 192.0.2.3}]", "b: {capacity: 200, endpoints: 192.0.2.3}").replace(
        "c: [{name: c1, address: 192.0.2.4}]", "c: {capacity: 200, endpoints: 192.0.2.4}").replace(
        "d: {endpoints", "d: {capacity: 100, endpoints")  # fmt: skip

    def test_capacity_counts_where_every_region_tells_one(self, tmp_path: Path) -> None:
        world = lab(tmp_path, zone=self.CAPACITY)
        pool = world.model.pools["z.test/web"]
        assert unit(pool) == "capacity"
        assert strength(pool, world.world) == (1000, 1000)
        world.state({"down": ["web/a/a1", "web/d/d1"]})
        assert strength(pool, world.world) == (750, 1000), "the standby stands in for all of d"
        world.state({"paused": ["b", "a:z.test/web:a1"]})
        assert strength(pool, world.world) == (550, 550), "what operators took out is not counted"
        assert kept_out(pool, world.world) * 1000 == 450

    def test_else_weight(self, tmp_path: Path) -> None:
        world = lab(tmp_path)
        pool = world.model.pools["z.test/web"]
        assert unit(pool) == "weight"
        world.state({"down": ["web/b"], "force": {"c": "down"}})
        assert strength(pool, world.world) == (3, 4)

    def test_a_region_below_its_minimum_is_worth_nothing(self, tmp_path: Path) -> None:
        world = lab(
            tmp_path, zone=self.CAPACITY.replace("capacity: 500,", "capacity: 500, minimum_healthy: 2,")
        )
        world.state({"down": ["web/a/a1"]})
        assert strength(world.model.pools["z.test/web"], world.world) == (500, 1000)


class TestApi:
    @pytest.fixture
    def guarded(self, api: Api, tmp_path: Path) -> Api:
        world = lab(tmp_path, "{never_pause_together: [a, b], max_paused_capacity: 60%}")
        world.take(Overridden(override(f"pause a{WEB}")))
        api.control.state = world.world
        return api

    async def test_a_refusal_names_the_rules_and_what_would_happen(self, guarded: Api) -> None:
        refused = await guarded("PUT", "/api/v1/overrides/b/pause", {"reason": "x"})
        assert (refused.status, refused.body["code"]) == (409, "breaks-rule")
        assert refused.body["rules"] == [
            {
                "rule": "never-pause-together:z.test/web",
                "detail": "a and b would be out together in pool z.test/web",
                "names": ["www.z.test."],
            }
        ]
        assert refused.body["detail"] == (
            "pausing b is refused: a and b would be out together in pool z.test/web; "
            "make up for it first, or overrule never-pause-together:z.test/web"
        )

    async def test_each_rule_is_overruled_by_its_name_and_no_other(self, guarded: Api) -> None:
        path, rules = "/api/v1/batch", ["never-pause-together:z.test/web", "max-paused-capacity:z.test/web"]
        changes = [{"set": "pause", "subject": "b"}, {"set": "pause", "subject": "c"}]
        for some in (rules[:1], rules[1:], ["leaves-no-region"], ["never-pause-together"]):
            refused = await guarded("POST", path, {"reason": "x", "changes": changes, "overrule": some})
            assert [b["rule"] for b in refused.body["rules"]] == [r for r in rules if r not in some]
        made = await guarded("POST", path, {"reason": "x", "changes": changes, "overrule": rules})
        assert (made.status, made.body["overruled"]) == (200, rules)

    async def test_undoing_may_break_a_rule_as_well(self, api: Api, tmp_path: Path) -> None:
        world = lab(tmp_path, "{at_least: 2}")
        world.state({"down": ["web/a", "web/b", "web/c"], "force": {"a": "up"}})
        api.control.state = world.world
        path = "/api/v1/overrides/a/force"
        assert (await api("DELETE", path)).body["rules"][0]["rule"] == "at-least:z.test/web"
        assert (await api("DELETE", path + "?overrule=at-least:z.test/web")).status == 200
