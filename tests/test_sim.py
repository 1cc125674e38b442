"""The simulator as a specification: what it shows of each kind of fault and action, and that a run is its
seed's and no other. What must hold for every seed is in test_sim_seeds.py.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest
from readme_support import ROOT
from sim_support import CLIENT, LENGTH, actions_of, faults_of, model_of, scene, simulated

from geodns.cli import run
from geodns.core.overrides import PAUSE, WEIGHT
from geodns.core.verbs import Change
from geodns.core.world import Loaded, World, apply
from geodns.errors import GeodnsError
from geodns.model import Model
from geodns.sim import actions, faults
from geodns.sim.actions import Action
from geodns.sim.faults import Fault
from geodns.sim.resolvers import Client, Manner, Resolver, Told
from geodns.sim.simulation import Outcome, Simulation

LOSS = Fault(20.0, 70.0, "a")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return model_of(tmp_path_factory.mktemp("zones"))


@pytest.fixture(scope="module")
def world(model: Model) -> World:
    return apply(World(), Loaded(model))[0]


def seconds_of(outcome: Outcome, region: str, manner: Manner = Manner.HONEST) -> list[int]:
    """The seconds in which anybody behind resolvers of a manner was led to a region."""
    (seen,) = (seen for seen in outcome.seen if seen.manner is manner)
    return sorted(second for (second, where) in seen.told if where == region)


def test_a_seed_replays_exactly_and_another_one_differs(model: Model) -> None:
    half = (Fault(10.0, 60.0, "a", share=0.5),)
    first, again, other = (simulated(model, half, seed) for seed in (5, 5, 6))
    assert first == again
    assert first.digest != other.digest


def test_a_seed_replays_to_the_octet_in_every_process(tmp_path: Path) -> None:
    """Whatever the order of Python's sets is there."""
    script = tmp_path / "script.yaml"
    script.write_text(
        "{length: 3m, capacity: {cn-south: 1}, clients: {d: {network: 10.1.0.0/16, country: DE}}}"
    )
    told = set()
    for hashes in ("0", "1", "4711"):
        picture = tmp_path / f"{hashes}.svg"
        command = [str(Path(sys.executable).with_name("geodns")), "simulate", str(ROOT / "zones")]
        done = subprocess.run(
            [*command, "--script", str(script), "--seed", "9", "-o", str(picture)],
            env={**os.environ, "PYTHONHASHSEED": hashes},
            capture_output=True,
            check=True,
            timeout=60,
        )
        told.add((done.stdout, picture.read_bytes()))
    assert len(told) == 1


def test_a_lost_region_is_left_and_comes_back_after_its_rise(model: Model) -> None:
    outcome = simulated(model, (LOSS,))
    seconds = seconds_of(outcome, "b")
    assert 20 + 6 <= min(seconds) <= 20 + 26
    assert 70 + 6 <= max(seconds) <= 70 + 3 * 3 + 15
    assert set(range(min(seconds), max(seconds))) <= set(seconds), "it went back and forth"
    honest = outcome.seen[0]
    assert 0 < honest.failed.total() <= 26 * CLIENT.weight
    (switch,) = honest.switches
    assert (switch.text, switch.of, switch.away) == (LOSS.text, 3, 0)
    assert switch.left == pytest.approx(honest.wrong)
    assert 6 <= switch.first <= switch.last <= 3 * 3 + 15
    assert [later.left for later in (seen.switches[0] for seen in outcome.seen[1:])] > [switch.left]


def test_what_one_carrier_loses_no_probe_sees_and_no_answer_changes_for(model: Model) -> None:
    clients = (Client("here", "10.0.0.1"), Client("there", "10.0.1.1"))
    places = {"10.0.0.0/24": {"asn": 4134}, "10.0.1.0/24": {"asn": 4837}}
    outcome = Simulation(scene(model, (replace(LOSS, asn=4134),), (), clients, places), 1).run(LENGTH)
    assert outcome.flips == ()
    for seen in outcome.seen:
        assert seen.missed == {"here": 50}
        assert seen.tried == {"here": 120, "there": 120}
        assert seen.regions() == ["a"]
        assert (seen.wrong, seen.switches) == (0.0, ())


def test_what_dies_slowly_fails_more_and_more(model: Model) -> None:
    """Half of all is lost half-way, all of it at last: so it is left before all is lost."""
    dying = Fault(0.0, 600.0, "a", rising=400.0)
    assert [dying.loss(at) for at in (0, 100, 200, 400, 500, 600)] == [0, 0.25, 0.5, 1, 1, 0]
    outcome = simulated(model, (dying,), length=700)
    seconds = seconds_of(outcome, "b")
    assert 0 < min(seconds) < 300
    assert set(range(415, 600)) <= set(seconds)
    early, late = (sum(outcome.seen[0].failed[s] for s in range(at, at + 50)) for at in (0, 650))
    assert early > 0 == late


def test_one_endpoint_may_fail_alone(model: Model) -> None:
    outcome = simulated(model, (Fault(0.0, 90.0, "a:z.test/web:192.0.2.1"),), length=90)
    assert {flip.probe.address for flip in outcome.flips} == {"192.0.2.1"}
    assert outcome.seen[0].regions() == ["a"]


def test_a_pause_and_its_end_are_seen_within_a_ttl(model: Model) -> None:
    pause = Action(20.0, Change(PAUSE, "a"), 50.0)
    outcome = simulated(model, actions=(pause,))
    for seen in (outcome.seen[0], outcome.seen[2]):
        (switch,) = seen.switches
        assert switch.text == pause.text
        assert 0 < switch.left <= 15 + 1
        assert 0 <= switch.first <= switch.last <= 15 + 1 + (15 if seen.manner is Manner.STALE else 0)
        assert seen.failed.total() == 0


def test_what_is_resumed_by_hand_comes_back_then(model: Model) -> None:
    acts = (Action(20.0, Change(PAUSE, "a")), Action(60.0, Change(PAUSE, "a", lift=True)))
    seconds = seconds_of(simulated(model, actions=acts), "b")
    assert 20 <= min(seconds) <= 36
    assert 59 <= max(seconds) <= 76


def test_a_weight_moves_its_share(model: Model) -> None:
    acts = (Action(0.0, Change(WEIGHT, "a", value=40)),)
    (honest, *_) = simulated(model, actions=acts, length=20_000).seen
    shares = {region: honest.share(region, range(100, 20_000)) for region in honest.regions()}
    assert shares == {"a": pytest.approx(0.4, abs=0.03), "b": pytest.approx(0.6, abs=0.03)}


def test_what_the_guard_refuses_is_not_done_unless_anyway(model: Model) -> None:
    pauses = [Action(float(at), Change(PAUSE, region)) for at, region in enumerate(("a", "b", "home"), 20)]
    outcome = simulated(model, actions=tuple(pauses))
    assert list(outcome.refused) == pauses[2:]
    assert outcome.refused[pauses[2]].startswith("pausing home")
    assert pauses[2].text not in {switch.text for seen in outcome.seen for switch in seen.switches}
    assert not any(seen.empty for seen in outcome.seen)
    outcome = simulated(model, actions=(*pauses[:2], replace(pauses[2], anyway=True)))
    assert not outcome.refused
    assert all(seen.empty for seen in outcome.seen)


def test_what_is_borne_is_what_was_reached(model: Model) -> None:
    """A lost region bears nothing, the one that stands in bears all; a minute is sixty seconds over."""
    stage = replace(scene(model, (LOSS,)), capacities={("z.test/web", "a"): 9.0, ("z.test/web", "b"): 2.0})
    outcome = Simulation(stage, 0).run(LENGTH)
    a, b = (load for load in outcome.loads if load.manner is Manner.HONEST)
    assert (a.region, a.peak, a.over) == ("a", 3 / 9, 0)
    assert a.mean(range(20, 69)) == 0
    assert b.peak == 3 / 2
    full = [second for second, count in b.by_second.items() if count == 3]
    assert b.over == pytest.approx(len(full) / 60)
    assert all(later - before == 1 for before, later in pairwise(sorted(full)))


def test_a_cut_off_prober_empties_nothing_and_fails_no_client(model: Model) -> None:
    outcome = simulated(model, (Fault(10.0, 80.0),))
    assert len(outcome.flips) == 8
    assert [seen.availability for seen in outcome.seen] == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("step", [-3600.0, 3600.0])
def test_a_clock_step_makes_no_verdict_and_moves_no_client(model: Model, step: float) -> None:
    outcome = simulated(model, (Fault(30.0, 30.0, step=step),))
    assert outcome.flips == ()
    assert all(seen.regions() == ["a"] for seen in outcome.seen)


def test_what_resolvers_keep() -> None:
    def told(manner: Manner) -> list[tuple[str, float]]:
        count = iter("abcdef")
        resolver = Resolver(manner, lambda now: Told((next(count),), 15))
        return [(resolver.resolve(now).values[0], resolver.until) for now in (0, 14, 15, 16, 59, 60)]

    assert told(Manner.HONEST) == [("a", 15), ("a", 15), ("b", 30), ("b", 30), ("c", 74), ("c", 74)]
    assert told(Manner.MINIMUM) == [*[("a", 60)] * 5, ("b", 120)]
    assert told(Manner.STALE) == [("a", 15), ("a", 15), ("a", 15), ("b", 30), ("b", 59), ("c", 74)]


@pytest.mark.parametrize(
    ("line", "event"),
    [
        ("region a down at 60s for 5m", Fault(60, 360, "a")),
        ("region b flaps every 20s at 1m for 5m", Fault(60, 360, "b", every=20)),
        ("region b fails 30% at 0 for 9s", Fault(0, 9, "b", share=0.3)),
        ("region b dies over 2m at 1m for 5m", Fault(60, 360, "b", rising=120)),
        ("region a down from line telecom at 1s for 2s", Fault(1, 3, "a", line="telecom")),
        ("region a fails 5% from AS4134 at 1s for 2s", Fault(1, 3, "a", share=0.05, asn=4134)),
        ("region a:z.test/web down at 1s for 2s", Fault(1, 3, "a:z.test/web")),
        ("region a:z.test/web:192.0.2.1 down at 1s for 2s", Fault(1, 3, "a:z.test/web:192.0.2.1")),
        ("prober  isolated at 1m30s for 1m", Fault(90, 150)),
        ("clock steps -30s at 5", Fault(5, 5, step=-30)),
        ("pause a at 1m", Action(60, Change(PAUSE, "a"))),
        ("pause a:z.test/web at 1m for 5s anyway", Action(60, Change(PAUSE, "a:z.test/web"), 5, True)),
        ("resume a at 90", Action(90, Change(PAUSE, "a", lift=True))),
        ("weight a 40% at 1s for 9s", Action(1, Change(WEIGHT, "a", value=40), 9)),
        (
            "weight a:z.test/web:192.0.2.1 7 at 1",
            Action(1, Change(WEIGHT, "a:z.test/web:192.0.2.1", value=7)),
        ),
        ("force b down at 1s", Action(1, Change("force", "b"))),
        ("force b up at 1s", Action(1, Change("force", "b", value=1))),
        ("lift weight a at 1s", Action(1, Change(WEIGHT, "a", lift=True))),
    ],
)
def test_an_event_is_read_and_written(world: World, line: str, event: Fault | Action) -> None:
    assert actions.event(line, world) == event
    assert actions.event(event.text, world) == event


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("region a dwn at 60s for 5m", "write 'region R down at T for D'"),
        ("region x down at 60s for 5m", "there is no region 'x'; known regions: a, b, home"),
        ("region a:web down at 60s for 5m", "there is no pool 'web' in a; known pools: z.test/web"),
        ("region a down at 60s", "write 'region R down at T for D'"),
        ("region a fails 101% at 60s for 5m", "no more than 100% can fail"),
        ("region a down at 60q for 5m", "'60q' is no duration"),
        ("region a flaps every 0 at 60s for 5m", "a duration of 0 is none"),
        ("region a flaps every 1ms at 60s for 5m", "more than 10000 comings and goings"),
        ("region a dies over 0 at 60s for 5m", "a duration of 0 is none"),
        ("pause a", "'pause a' is no action: write 'pause S at T for D'"),
        ("pause a at 1 for 0", "a duration of 0 is none"),
        ("pause x at 1", "there is no region 'x'"),
        ("resume a at 1 for 5", "what is lifted has no duration"),
        ("weight a 40 at 1", "a share of its clients, from 1% to 100%"),
        ("force a sideways at 1", "is no action"),
    ],
)
def test_an_event_that_is_none_is_told(world: World, line: str, why: str) -> None:
    with pytest.raises(GeodnsError, match=r".") as caught:
        actions.event(line, world)
    assert why in str(caught.value)


def test_events_of_a_seed_can_be_given_again(world: World) -> None:
    for seed in range(200):
        for fault in faults_of(seed):
            again = faults.parse(fault.text, world)
            assert again.text == fault.text
            assert (again.at, again.share, again.step) == (fault.at, fault.share, fault.step)
        for action in actions_of(seed):
            assert actions.parse(action.text, world) == action


def test_the_reference_s_examples_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    paper = (ROOT / "docs" / "simulate.md").read_text()
    commands = paper.partition("```sh\n")[2].partition("\n```")[0].splitlines()
    (tmp_path / "faults.yaml").write_text(paper.partition("```yaml\n")[2].partition("\n```")[0])
    (tmp_path / "zones").symlink_to(ROOT / "zones")
    monkeypatch.chdir(tmp_path)
    assert len(commands) == 2
    for command in commands:
        assert run(shlex.split(command)[1:]) == 0
        assert "www.gslb.example.com. through honest resolvers" in capsys.readouterr().out
        picture = ElementTree.fromstring((tmp_path / "report.svg").read_text())
        words = [element.text for element in picture.iter() if element.text]
        assert {"cn-south", "failed", "region cn-south down at 60s for 180s"} <= set(words)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["nowhere"], "there is no zones folder nowhere"),
        (["--for", "soon"], "--for: 'soon' is no duration"),
        (["--for", "0"], "--for: less than a second"),
        (["--for", "300d"], "simulate less time"),
        (["--client", "me"], "client 'me' is no IPv4 or IPv6 address"),
        (["-o", "/nowhere/x.svg"], "/nowhere/x.svg cannot be written"),
        (["--event", "region cn-south down from line telecon at 1s for 2s"], "did you mean 'telecom'?"),
        (["--script", "/nowhere.yaml"], "/nowhere.yaml: cannot be read"),
    ],
)
def test_what_cannot_be_simulated_is_told_in_one_line(
    arguments: list[str], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [] if arguments == ["nowhere"] else [str(ROOT / "zones")]
    assert run(["simulate", *paths, *arguments]) == 1
    assert why in capsys.readouterr().err
