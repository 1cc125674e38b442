"""The simulator as a specification: what must hold for every seed, and that a run is its seed's and no other.

A failing seed is in the message; `geodns simulate` prints its faults as lines that can be given again.
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from random import Random

import pytest
from core_support import Atlas, read
from readme_support import ROOT

from geodns.cli import run
from geodns.core.failover import worst_case
from geodns.errors import GeodnsError
from geodns.model import Model
from geodns.sim.faults import Fault, invent, parse
from geodns.sim.resolvers import Manner, Resolver, Told
from geodns.sim.simulation import Outcome, Simulation

SEEDS = int(os.environ.get("SEEDS", "1000"))
LENGTH = 120.0
CLIENT = "198.51.100.7"
ZONE = """
zone: z.test
nameservers: {ns1: 203.0.113.53}
ttl: 15s
regions: {a: {}, b: {}, home: {}}
checks: {web: {type: tcp, port: 80, interval: 3s, timeout: 2s, fall: 3, rise: 3}}
policies: {all: [{to: [a, b, home]}]}
pools:
  web:
    check: web
    policy: all
    regions: {a: [{address: 192.0.2.1, weight: 3}, 192.0.2.2], b: [192.0.2.3], home: [192.0.2.4]}
records: {www: {steer: web}}
"""
LOSS = Fault(20.0, 70.0, "a")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return read(tmp_path_factory.mktemp("zones"), {"z.test.yaml": ZONE})


def simulated(model: Model, faults: tuple[Fault, ...], seed: int = 0, length: float = LENGTH) -> Outcome:
    atlas = Atlas({}, {}, model.policies.values())
    return Simulation(model, (CLIENT,), faults, atlas.locate, seed).run(length)


def faults_of(seed: int) -> tuple[Fault, ...]:
    """Faults of a seed: `home` is never touched."""
    return invent(Random(seed), ("a", "b"), LENGTH)


def isolated(fault: Fault) -> bool:
    return not fault.region and not fault.step


def test_the_bound_that_is_told_holds_and_nothing_is_empty(model: Model) -> None:
    """And no verdict turns faster than its check allows: `rise` rounds less what a timeout took."""
    ((steer,),) = ([*zone.steers] for zone in model.zones)
    bound = worst_case(model, steer)
    switched = 0.0
    for seed in range(SEEDS):
        faults = faults_of(seed)
        outcome = simulated(model, faults, seed)
        told = f"seed {seed}: {[fault.line for fault in faults]}"
        assert not any(seen.empty for seen in outcome.seen), told
        last: dict[object, float] = {}
        for flip in outcome.flips:
            assert flip.at - last.get(flip.probe, -1e9) >= 3 * 3 - 2 - 0.001, told
            last[flip.probe] = flip.at
        if not any(map(isolated, faults)):
            (honest,) = (seen for seen in outcome.seen if seen.manner is Manner.HONEST)
            assert honest.wrong <= bound, told
            switched = max(switched, honest.wrong)
    assert switched > bound / 2, "a bound that no seed comes near shows nothing"


def test_a_seed_replays_exactly_and_another_one_differs(model: Model) -> None:
    faults = (Fault(10.0, 60.0, "a", share=0.5),)
    first, again, other = (simulated(model, faults, seed) for seed in (5, 5, 6))
    assert first == again
    assert first.digest != other.digest


def test_a_lost_region_is_left_and_comes_back_after_its_rise(model: Model) -> None:
    (honest, *_) = simulated(model, (LOSS,)).seen
    seconds = [second for (second, region) in honest.told if region == "b"]
    assert 20 + 6 <= min(seconds) <= 20 + 26
    assert 70 + 6 <= max(seconds) <= 70 + 3 * 3 + 15
    assert set(range(min(seconds), max(seconds))) <= set(seconds), "it went back and forth"
    assert 0 < honest.failed.total() <= 26


def test_weights_are_kept(model: Model) -> None:
    (honest, *_) = simulated(model, (), length=60_000.0).seen
    assert set(honest.values) == {"192.0.2.1", "192.0.2.2"}
    assert honest.values["192.0.2.1"] / honest.values.total() == pytest.approx(0.75, abs=0.03)


def test_a_cut_off_prober_empties_nothing_and_fails_no_client(model: Model) -> None:
    outcome = simulated(model, (Fault(10.0, 80.0),))
    assert len(outcome.flips) == 8
    assert [seen.availability for seen in outcome.seen] == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("step", [-3600.0, 3600.0])
def test_a_clock_step_makes_no_verdict_and_moves_no_client(model: Model, step: float) -> None:
    outcome = simulated(model, (Fault(30.0, 30.0, step=step),))
    assert outcome.flips == ()
    assert {region for seen in outcome.seen for _, region in seen.told} == {"a"}


def test_what_resolvers_keep() -> None:
    def told(manner: Manner) -> list[str]:
        count = iter("abcdef")
        resolver = Resolver(manner, lambda: Told((next(count),), 15))
        return [resolver.resolve(now).values[0] for now in (0, 14, 15, 16, 59, 60)]

    assert told(Manner.HONEST) == ["a", "a", "b", "b", "c", "c"]
    assert told(Manner.MINIMUM) == ["a", "a", "a", "a", "a", "b"]
    assert told(Manner.STALE) == ["a", "a", "a", "b", "b", "c"]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("region a down at 60s for 5m", Fault(60, 360, "a")),
        ("region b flaps every 20s at 1m for 5m", Fault(60, 360, "b", every=20)),
        ("region b fails 30% at 0 for 9s", Fault(0, 9, "b", share=0.3)),
        ("prober  isolated at 1m30s for 1m", Fault(90, 150)),
        ("clock steps -30s at 5", Fault(5, 5, step=-30)),
    ],
)
def test_a_fault_is_read_and_written(model: Model, line: str, fault: Fault) -> None:
    assert parse(line, model) == fault
    assert parse(fault.line, model) == fault


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("region a dwn at 60s for 5m", "write 'region R down at T for D'"),
        ("region x down at 60s for 5m", "no region x; there are a, b, home"),
        ("region a down at 60s", "write 'region R down at T for D'"),
        ("region a fails 101% at 60s for 5m", "no more than 100% can fail"),
        ("region a down at 60q for 5m", "'60q' is no duration"),
        ("region a flaps every 0 at 60s for 5m", "a duration of 0 is none"),
    ],
)
def test_a_fault_that_is_none_is_told_with_its_line(model: Model, line: str, why: str) -> None:
    with pytest.raises(GeodnsError) as caught:
        parse(line, model)
    assert line in str(caught.value)
    assert why in str(caught.value)


def test_invented_faults_can_be_given_again(model: Model) -> None:
    for seed in range(200):
        for fault in faults_of(seed):
            again = parse(fault.line, model)
            assert again.line == fault.line
            assert (again.at, again.share, again.step) == (fault.at, fault.share, fault.step)


def test_the_reference_s_example_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = (ROOT / "docs" / "simulate.md").read_text().partition("```sh\n")[2].partition("\n```")[0]
    (tmp_path / "zones").symlink_to(ROOT / "zones")
    monkeypatch.chdir(tmp_path)
    assert run(shlex.split(command)[1:]) == 0
    said = capsys.readouterr().out
    assert "www.gslb.example.com. through honest resolvers" in said
    assert "failed" in (tmp_path / "report.svg").read_text()


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["nowhere"], "there is no zones folder nowhere"),
        (["--for", "soon"], "--for: 'soon' is no duration"),
        (["--for", "0"], "--for: less than a second"),
        (["--for", "300d"], "simulate less time"),
        (["--client", "me"], "client 'me' is no IPv4 or IPv6 address"),
        (["-o", "/nowhere/x.svg"], "/nowhere/x.svg cannot be written"),
    ],
)
def test_what_cannot_be_simulated_is_told_in_one_line(
    arguments: list[str], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [] if arguments == ["nowhere"] else [str(ROOT / "zones")]
    assert run(["simulate", *paths, *arguments]) == 1
    assert why in capsys.readouterr().err
