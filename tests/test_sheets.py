"""Sheets: what a verdict rebuilds is what a fresh build would make, and nobody moves who need not."""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from random import Random

import core_worlds as worlds
import pytest
from core_support import Lab, Places, Reply, query, read
from hypothesis import given, settings
from hypothesis import strategies as st

from geodns.core.compile.sheets import Sheets
from geodns.core.edns import Subnet
from geodns.core.health import Health, Verdict
from geodns.core.names import from_text
from geodns.core.replay import STREAM
from geodns.core.table import Sheet
from geodns.core.world import Observed, apply, differing
from geodns.model import Model

STEADY = settings(deadline=None, derandomize=True, max_examples=30)
seeds = st.integers(0, 2**32 - 1)

SHARED = """
regions: {south: {at: [23, 113]}, north: {at: [40, 116]}, west: {at: [50, 8]}}
checks: {c: {type: http}}
"""
ZONE = """
zone: z.test
nameservers: {ns: 192.0.2.53}
policies:
  split: [{to: {south: 50, north: 50}}]
  all: [{to: any}]
  china: [{when: {country: CN}, to: south}, {when: {country: DE}, to: west}, {to: north}]
pools:
  web: &web
    check: c
    policy: split
    regions:
      south:
        - {name: s1, address: [192.0.2.1, "2001:db8::1"]}
        - {name: s2, address: [192.0.2.2, "2001:db8::2"], weight: 3}
        - {name: s3, address: [192.0.2.3, "2001:db8::3"]}
      north:
        - {name: n1, address: [192.0.2.11, "2001:db8::11"]}
        - {name: n2, address: [192.0.2.12, "2001:db8::12"]}
  other: {check: c, policy: china, regions: {south: 192.0.2.21, north: 192.0.2.22, west: 192.0.2.23}}
records:
  split: {steer: {pool: web, pick: sticky}}
  all: {steer: {pool: web, policy: all, pick: sticky}}
  other: {steer: other}
  sticky: {steer: {pool: web, policy: china, pick: sticky}}
"""
SOUTH = {"192.0.2.1", "192.0.2.2", "192.0.2.3"}
PLACES: Places = {"10.1.0.0/16": {"country": "CN"}, "10.2.0.0/16": {"country": "DE"}}


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab.of(tmp_path, {"_shared.yaml": SHARED, "z.yaml": ZONE}, PLACES)


def asked(lab: Lab, name: str, rtype: str, subnet: str, chance: int = 5) -> Reply:
    """A reply that no earlier question has a part in: turns always start anew."""
    lab.tally[:] = array("Q", bytes(8 * len(lab.tally)))
    raw = lab.reply(query(name, rtype, subnet=subnet), limit=STREAM, chance=chance)
    assert raw is not None
    return Reply(raw)


class Watched(Lab):
    """A lab that remembers whom it has classified, in which order."""

    def load(self, model: Model) -> None:
        self.seen: list[tuple[int, Subnet]] = []
        super().load(model)

    def classify(self, plan: int, subnet: Subnet) -> tuple[int, int]:
        self.seen.append((plan, subnet))
        return super().classify(plan, subnet)


@STEADY
@given(seeds)
def test_a_rebuilt_sheet_is_the_one_that_a_fresh_build_makes(seed: int) -> None:
    chance = Random(seed)
    lab = Watched(worlds.model(chance), worlds.places(chance))
    for _ in range(12):
        for name, rtype in worlds.questions(lab.model):
            asked(lab, name, rtype, worlds.network(chance))
        lab.take(worlds.event(lab, chance))
    fresh = Sheets(lab.built.sheets, lab.world, array("Q"), widest=lab.widest, limit=4096)
    for plan, subnet in lab.seen:
        numbered = fresh.classify(plan, lab.geography(subnet.ip()), subnet)
        assert numbered == lab.sheets.classify(plan, lab.geography(subnet.ip()), subnet)
    for index, sheet in enumerate(lab.sheets.sheets):
        for number, made in sheet.sets.items():
            assert replace(made, slot=0) == replace(fresh.fill(index, number), slot=0)
            assert lab.sheets.odds(index, number) == fresh.odds(index, number)


@STEADY
@given(seeds)
def test_sheets_that_were_begun_before_are_caught_up_with_what_happened_since(seed: int) -> None:
    chance = Random(seed)
    lab = worlds.lab(chance)
    for name, rtype in worlds.questions(lab.model):
        asked(lab, name, rtype, worlds.network(chance))
    before = lab.world
    begun = Sheets(lab.built.sheets, before, array("Q"), widest=lab.widest, limit=4096)
    for plan, classes in enumerate(lab.sheets.classes):
        for order in classes.orders:
            begun.classes[plan].number(order)
    assert sum(1 for _ in begun.ahead(1 << 16)) == sum(
        len(begun.classes[s.plan].orders) for s in begun.sheets
    )
    assert not list(begun.ahead(1 << 16))
    for _ in range(chance.randrange(4)):
        lab.take(worlds.event(lab, chance))
    begun.rebuild(lab.world, differing(before, lab.world))
    for index, sheet in enumerate(lab.sheets.sheets):
        for number, made in sheet.sets.items():
            assert replace(made, slot=0) == replace(begun.sheets[index].sets[number], slot=0)


def test_no_more_sets_are_made_ahead_than_are_allowed(lab: Lab) -> None:
    for name in ("split", "all", "other"):
        asked(lab, f"{name}.z.test", "A", "10.1.0.0/24")
        asked(lab, f"{name}.z.test", "A", "10.2.0.0/24")
    begun = Sheets(lab.built.sheets, lab.world, array("Q"), widest=lab.widest, limit=4096)
    begun.classes[0].number(lab.sheets.classes[0].orders[0])
    assert sum(1 for _ in begun.ahead(1)) == 1


@STEADY
@given(seeds)
def test_a_restart_answers_everybody_as_before(seed: int) -> None:
    """The same files and verdicts, asked in another order: classes are numbered anew, answers stay."""
    chance = Random(seed)
    lab = worlds.lab(chance)
    questions = [(n, t, worlds.network(chance)) for n, t in worlds.questions(lab.model) for _ in range(3)]
    for _ in range(5):
        lab.take(worlds.event(lab, chance))
    before = {q: asked(lab, *q) for q in questions}
    again = Lab(lab.model, lab.places)
    again.world = lab.world
    again.replay.publish(again.sheets.rebuild(lab.world, frozenset(lab.model.pools)))
    for q in reversed(questions):
        assert asked(again, *q).raw == before[q].raw


def test_a_verdict_rebuilds_only_the_pools_that_it_touches(lab: Lab) -> None:
    for name in ("split", "all", "other"):
        asked(lab, f"{name}.z.test", "A", "10.1.0.0/24")
    before = lab.sheets.sheets
    lab.state({"down": ["other/south"]})
    lab.state({"down": ["other/south", "web/south/s1/4"]})
    untouched = [i for i, spec in enumerate(lab.sheets.specs) if spec.pool.endswith("other")]
    world = lab.world
    sheets = lab.sheets.sheets
    rebuilt = lab.sheets.rebuild(world, frozenset({"z.test/web"}))
    assert all(rebuilt[i] is sheets[i] for i in untouched)
    assert all(rebuilt[i] is not sheets[i] for i in range(len(sheets)) if i not in untouched)
    assert before is not rebuilt


# sticky, from outside


NETWORKS = [f"10.{b}.{c}.0/24" for b in (1, 2, 9) for c in range(40)]


def choices(lab: Lab, name: str, rtype: str = "A") -> dict[str, str]:
    return {n: asked(lab, f"{name}.z.test", rtype, n).values[0] for n in NETWORKS}


@pytest.mark.parametrize("name", ["split", "all"])
@pytest.mark.parametrize("lost", ["south/s1", "south/s2", "north/n1"])
def test_losing_an_endpoint_moves_only_its_own_clients_and_back(lab: Lab, name: str, lost: str) -> None:
    before = choices(lab, name)
    lab.state({"down": [f"web/{lost}"]})
    after = choices(lab, name)
    gone = {"south/s1": "192.0.2.1", "south/s2": "192.0.2.2", "north/n1": "192.0.2.11"}[lost]
    assert gone in before.values()
    assert gone not in after.values()
    assert {n for n in NETWORKS if before[n] != after[n]} == {n for n in NETWORKS if before[n] == gone}
    lab.state({})
    assert choices(lab, name) == before


def test_losing_a_region_of_a_split_moves_only_its_own_clients(lab: Lab) -> None:
    before = choices(lab, "split")
    lab.state({"paused": ["north"]})
    after = choices(lab, "split")
    moved = {n for n in NETWORKS if before[n] != after[n]}
    assert moved == {n for n in NETWORKS if before[n] in ("192.0.2.11", "192.0.2.12")}


@pytest.mark.parametrize("name", ["sticky", "split"])
def test_a_region_that_gives_up_clients_moves_only_those(lab: Lab, name: str) -> None:
    """In steps, as a drain would: who has moved once stays where he is."""
    moved: set[str] = set()
    whole = choices(lab, name)
    for share in (75, 50, 25):
        lab.state({"weight": {"south": f"{share}%"}})
        now = choices(lab, name)
        gone = {n for n in NETWORKS if now[n] != whole[n]}
        assert all(whole[n] in SOUTH and now[n] not in SOUTH for n in gone)
        assert moved < gone
        moved = gone
    lab.state({"paused": ["south"]})
    assert all(choices(lab, name)[n] not in SOUTH for n in NETWORKS)
    lab.state({})
    assert choices(lab, name) == whole


def test_both_families_give_the_same_endpoint(lab: Lab) -> None:
    fours, sixes = choices(lab, "split"), choices(lab, "split", "AAAA")
    for n in NETWORKS:
        assert int(fours[n].rpartition(".")[2]) == int(sixes[n].rpartition(":")[2])


def test_without_client_subnet_everybody_behind_a_resolver_shares_one_choice(lab: Lab) -> None:
    told = {
        lab.ask("split.z.test", chance=c, source="198.51.100.7").values[0] for c in range(0, 2**32, 2**28)
    }
    assert len(told) == 1
    others = {lab.ask("split.z.test", source=f"198.51.{c}.7").values[0] for c in range(50)}
    assert len(others) == 5


# what is counted


def test_answers_are_booked_to_the_regions_they_came_from(lab: Lab) -> None:
    lab.tally[:] = array("Q", bytes(8 * len(lab.tally)))
    for i in range(30):
        lab.ask("other.z.test", subnet=f"10.1.{i}.0/24")
    for i in range(10):
        lab.ask("other.z.test", subnet=f"10.9.{i}.0/24")
    for i in range(100):
        lab.ask("split.z.test", subnet=f"10.9.{i}.0/24")
    lab.sheets.settle()
    pool = "z.test/other"
    assert dict(lab.sheets.regions) == {
        (pool, "south"): 30,
        (pool, "north"): 10,
        ("z.test/web", "south"): 50,
        ("z.test/web", "north"): 50,
    }
    lab.sheets.settle()
    assert lab.sheets.regions[pool, "south"] == 30
    assert not lab.sheets.open_answers


def test_a_verdict_books_what_was_answered_before_to_where_it_was_answered(lab: Lab) -> None:
    lab.ask("other.z.test", subnet="10.1.0.0/24")
    lab.state({"down": ["other/south"]})
    lab.ask("other.z.test", subnet="10.1.0.0/24")
    lab.sheets.settle()
    assert lab.sheets.regions["z.test/other", "south"] == 1
    assert sum(lab.sheets.regions.values()) == 2


@pytest.mark.parametrize(
    ("state", "opened"),
    [
        ({}, 0),
        ({"down": ["other/south"]}, 0),
        ({"down": ["other"]}, 1),
        ({"unknown": ["other"]}, 1),
        ({"paused": ["south", "north", "west"]}, 0),
    ],
)
def test_answers_that_are_makeshifts_are_counted(lab: Lab, state: dict[str, object], opened: int) -> None:
    lab.state(state)
    lab.ask("other.z.test", subnet="10.1.0.0/24")
    lab.sheets.settle()
    assert sum(lab.sheets.open_answers.values()) == opened


def test_queries_are_counted_by_zone_type_and_rcode(lab: Lab) -> None:
    lab.tally[:] = array("Q", bytes(8 * len(lab.tally)))
    for name, rtype in (("other", "A"), ("other", "A"), ("other", "AAAA"), ("gone", "A"), ("other", "MX")):
        lab.ask(f"{name}.z.test", rtype)
    counted = Counter(
        {(s.zone, s.rtype, s.rcode): lab.tally[i] for i, s in enumerate(lab.built.slots) if lab.tally[i]}
    )
    assert counted == {
        ("z.test.", "A", 0): 2,
        ("z.test.", "AAAA", 0): 1,
        ("z.test.", "other", 3): 1,
        ("z.test.", "other", 0): 1,
    }


def test_explaining_counts_nothing_and_may_be_the_first_to_ask(lab: Lab) -> None:
    lab.ask("other.z.test", subnet="10.1.0.0/24")
    before = lab.tally[:]
    for subnet in ("10.1.0.0/24", "10.2.0.0/24", "10.9.0.0/24"):
        raw = lab.replay.rehearse(query("other.z.test", "A", subnet=subnet), "192.0.2.1", lab.now)
        assert Reply(raw).rcode == "NOERROR"
    assert lab.tally[: len(before)] == before
    assert not any(lab.tally[len(before) :])
    assert lab.ask("other.z.test", subnet="10.9.0.0/24").values == ["192.0.2.22"]


# bounds


def test_classes_are_bounded_and_what_falls_over_is_counted(lab: Lab) -> None:
    sheets = Sheets(lab.built.sheets, lab.world, array("Q"), widest=lab.widest, limit=2)
    plan = next(
        s.plan for s, spec in zip(sheets.sheets, sheets.specs, strict=True) if spec.pool.endswith("other")
    )
    numbers = []
    for n in ("10.1.0.0/24", "10.2.0.0/24", "10.9.0.0/24", "10.1.0.0/24"):
        network = ip_network(n)
        subnet = Subnet(4, int(network.network_address), 24)
        numbers.append(sheets.classify(plan, lab.geography(subnet.ip()), subnet)[0])
    assert numbers == [0, 1, 0, 0]
    assert len(sheets.classes[plan].orders) == 2
    assert sheets.classes[plan].overflows == 1


def test_names_on_one_pool_share_their_sheets(tmp_path: Path) -> None:
    records = "".join(f"  n{i}: {{steer: other}}\n" for i in range(50))
    model = read(tmp_path, {"_shared.yaml": SHARED, "z.yaml": ZONE + records})
    lab = Lab(model, PLACES)
    specs = [s for s in lab.sheets.specs if s.pool == "z.test/other"]
    assert sorted(s.rtype for s in specs) == [1, 28]
    assert lab.ask("n7.z.test", subnet="10.2.0.0/24").values == ["192.0.2.23"]
    assert lab.replay.look_up(from_text("n7.z.test."), 1) is lab.replay.look_up(from_text("n8.z.test."), 1)


def test_what_is_answered_until_the_swap_is_booked_to_the_region_that_it_was_answered_from(lab: Lab) -> None:
    asked(lab, "other.z.test", "A", "10.1.0.0/24")
    (set_,) = (set_ for sheet in lab.sheets.sheets for set_ in sheet.sets.values())
    health = {probe: Health(Verdict.DOWN) for probe in lab.probes("other/south")}
    world, touched = apply(lab.world, Observed(health))

    def publish(sheets: tuple[Sheet, ...]) -> None:
        lab.tally[set_.slot] += 10

    lab.sheets.rebuild(world, touched, publish)
    assert lab.sheets.regions == {("z.test/other", "south"): 11}
    lab.tally[set_.slot] += 5
    lab.sheets.settle()
    assert lab.sheets.regions["z.test/other", "south"] == 11
    assert sum(lab.sheets.regions.values()) == 16
