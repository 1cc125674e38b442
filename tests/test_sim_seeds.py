"""What must hold for every seed of faults, in worlds that differ in their checks, and with nothing to spare.

`SEEDS` says how many; `make simulate N=10000` tells how near the worst came to what `check` prints. A
failing seed is in the message with its events, as lines that `geodns simulate --event` takes.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import ceil
from random import Random

import pytest
from sim_support import (
    USUAL,
    actions_of,
    check_of,
    faults_of,
    model_of,
    scene,
    simulated,
    steer_of,
    told,
)

from geodns.core.failover import detection, worst_case
from geodns.core.health import MOST_HELD, Probe, Result, Track, Verdict, fold
from geodns.core.rounds import phase
from geodns.model import Check, Model
from geodns.sim import prober
from geodns.sim.faults import Fault
from geodns.sim.resolvers import Manner
from geodns.sim.simulation import SETTLE, Flip, Outcome, Simulation

SEEDS = int(os.environ.get("SEEDS", "2100"))
AIMED = 160  # seeds of each world in which a loss begins just after a probe
PACES = 40  # of flaps, in each world
NEAR = 0.98  # of a bound that the worst of these comes to at least
WORLDS = {  # check and TTL; 5 s is the least TTL, which no doubt lowers
    "usual": (USUAL, "15s"),
    "short TTL": (USUAL, "5s"),
    "one": ("interval: 3s, timeout: 2s, fall: 1, rise: 2", "15s"),
    "fast": ("interval: 1s, timeout: 1s, fall: 3, rise: 3, damping: 2s", "5s"),
    "retries": ("interval: 6s, timeout: 1s, retry_interval: 1s, fall: 3, rise: 2", "5s"),
    "window": ("interval: 2s, timeout: 1s, fall: 3 of 5, rise: 2 of 3", "5s"),
    "slow answers": ("interval: 2s, timeout: 3s, fall: 2, rise: 2", "5s"),
}


def isolated(fault: Fault) -> bool:
    return not fault.subject and not fault.step


def sharpest(model: Model) -> float:
    """How long honest resolvers may tell of what is lost, to the second: before the round that decides, a
    doubt has lowered the TTL; `check` prints what holds without that.
    """
    check, steer = check_of(model), steer_of(model)
    ttl_min = model.zones[0].ttl_min
    if check.fall == 1:
        return detection(check) + steer.ttl
    before = detection(replace(check, fall=check.fall - 1))
    return max(before + steer.ttl, detection(check) + min(ttl_min, steer.ttl))


@dataclass(slots=True)
class Shown:
    """What all seeds of one world showed: the longest that anything wrong was told, the shortest stays of
    verdicts, and the least that was waited beyond a hold-down.
    """

    model: Model
    wrong: float = 0.0
    stay: dict[Verdict, float] = field(default_factory=lambda: defaultdict(lambda: float("inf")))
    held: int = 0
    beyond: float = float("inf")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Model]:
    folder = tmp_path_factory.mktemp("worlds")
    return {name: model_of(folder / name, *world) for name, world in WORLDS.items()}


@pytest.fixture(scope="module")
def shown(models: dict[str, Model]) -> dict[str, Shown]:
    """All seeds, the worlds in turn; what must hold of each is asserted on the way."""
    found = {name: Shown(model) for name, model in models.items()}
    for seed in range(SEEDS):
        world = found[list(WORLDS)[seed % len(WORLDS)]]
        judge(seed, simulated(world.model, faults_of(seed), seed, actions=actions_of(seed)), world)
    return found


def judge(seed: int, outcome: Outcome, world: Shown) -> None:
    assert not any(seen.empty for seen in outcome.seen), f"an empty answer; {told(seed)}"
    judge_flips(seed, outcome.flips, world)
    if not any(map(isolated, faults_of(seed))):
        wrong = wrong_of(outcome)
        if any(fault.step for fault in faults_of(seed)):  # the moment that a doubt names is by the clock
            printed = worst_case(world.model, steer_of(world.model))
            assert wrong <= printed, f"told for {wrong} s; {told(seed)}"
            return
        assert wrong <= sharpest(world.model) + 1e-6, f"told for {wrong} s; {told(seed)}"
        world.wrong = max(world.wrong, wrong)


def wrong_of(outcome: Outcome) -> float:
    (honest,) = (seen for seen in outcome.seen if seen.manner is Manner.HONEST)
    return honest.wrong


def judge_flips(seed: int, flips: tuple[Flip, ...], world: Shown) -> None:
    """No verdict turns before its rounds can be over, and none is up again before its hold-down is."""
    check = check_of(world.model)
    last: dict[Probe, Flip] = {}
    holds: dict[Probe, Hold] = defaultdict(Hold)
    for flip in flips:
        before, hold = last.get(flip.probe), holds[flip.probe]
        if before is not None:
            stay = flip.at - before.at
            assert stay >= quickest(check, flip.verdict) - 1e-6, f"{flip} after {stay} s; {told(seed)}"
            world.stay[flip.verdict] = min(world.stay[flip.verdict], stay)
        if flip.verdict is Verdict.DOWN:
            hold.fall(flip.wall, check)
        elif hold.until:
            assert flip.wall >= hold.until, f"{flip} before {hold.until}; {told(seed)}"
            world.held, world.beyond = world.held + 1, min(world.beyond, flip.wall - hold.until)
        hold.up_since = flip.wall
        last[flip.probe] = flip


@dataclass(slots=True)
class Hold:
    """Damping as docs/zones.md tells it: the second fall is held for `damping`, each further one for twice as
    long, for 32 times `damping` at most; as long a stay makes up for a fall.
    """

    falls: int = 0
    up_since: float = 0.0
    until: float = 0.0

    def fall(self, wall: float, check: Check) -> None:
        forgiven = max(0, int((wall - self.up_since) / (MOST_HELD * check.damping))) if self.falls else 0
        self.falls = max(0, self.falls - forgiven) + 1
        held = min(2.0 ** (self.falls - 2), MOST_HELD) * check.damping if self.falls > 1 else 0.0
        self.until = wall + held if held else 0.0


def quickest(check: Check, verdict: Verdict) -> float:
    """Seconds from one flip to the next, to `verdict`, that rounds on their grid need at the least.

    A round that follows a retry may come at once.
    """
    retried = check.retry_interval is not None
    between = check.retry_interval or check.interval
    if verdict is Verdict.UP:
        rounds = -(-check.timeout // check.interval) * check.interval  # until the one after the last bad one
        first = 0.0 if retried else rounds - check.timeout
        return first + (check.rise - 1) * between + prober.ANSWER
    apart = max(between, check.timeout) if retried else max(1, -(-check.timeout // between)) * between
    first = 0.0 if retried else check.interval - prober.ANSWER
    return first + (check.fall - 1) * apart + check.timeout


def test_nothing_lost_is_told_for_longer_than_what_check_prints(shown: dict[str, Shown]) -> None:
    for world in shown.values():
        assert world.wrong <= sharpest(world.model) <= worst_case(world.model, steer_of(world.model))
    nearest = {name: w.wrong / worst_case(w.model, steer_of(w.model)) for name, w in shown.items()}
    print("worst of the bound:", {name: f"{share:.1%}" for name, share in nearest.items()})


@pytest.mark.parametrize("name", WORLDS)
def test_nor_is_anything_to_spare(models: dict[str, Model], name: str) -> None:
    """A bound that is a fiftieth less does not hold; what is printed has a round to spare where a doubt may
    lower the TTL, and none elsewhere.
    """
    model = models[name]
    worst, sharp, printed = aimed(model), sharpest(model), worst_case(model, steer_of(model))
    print(f"{name}: {worst:.2f} s of {sharp:g} s, {printed:g} s printed")
    assert NEAR * sharp <= worst <= sharp
    assert printed - sharp == (check_of(model).interval if name == "usual" else 0)


def slower(track: Track, result: Result, check: Check) -> Track:
    """Falls a round later. Where one probe decides that costs nothing: a doubt announces the second."""
    return fold(track, result, replace(check, fall=check.fall + 1, fall_of=0))


def silent(track: Track, result: Result, check: Check) -> Track:
    """Keeps its doubts to itself, which matters where the TTL is more than the least."""
    folded = fold(track, result, check)
    return replace(folded, health=replace(folded.health, doubt_until=0.0))


@pytest.mark.parametrize(
    ("broken", "name"),
    [*((slower, name) for name in WORLDS if name != "one"), (silent, "usual")],
    ids=lambda part: getattr(part, "__name__", part),
)
def test_a_round_more_is_caught(
    models: dict[str, Model], name: str, broken: Callable[..., Track], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prober, "fold", broken)
    assert aimed(models[name]) > sharpest(models[name])


def aimed(model: Model) -> float:
    """The longest that an endpoint is told of that is lost just after a probe of it began."""
    return max(wrong_of(simulated(model, (loss(model),), seed, 70.0)) for seed in range(AIMED))


def loss(model: Model) -> Fault:
    (probe,) = (probe for probe in Simulation(scene(model), 0).probed if probe.address == "192.0.2.1")
    interval = probe.check.interval
    first = phase(probe.id) * interval - SETTLE
    return Fault(first + ceil(SETTLE / interval) * interval + 0.001, 70.0, "a:z.test/web:192.0.2.1")


@pytest.fixture(scope="module")
def flapping(models: dict[str, Model]) -> dict[str, Shown]:
    """Runs in which a region goes and comes all the time, each at a pace of its own."""
    found = {name: Shown(model) for name, model in models.items()}
    for world in found.values():
        for seed in range(PACES):
            pace = round(Random(seed).uniform(2, 25), 3)
            outcome = simulated(world.model, (Fault(0.0, 280.0, "a", every=pace),), seed, 300.0)
            judge_flips(seed, outcome.flips, world)
    return found


def test_verdicts_turn_no_faster_than_their_rounds_and_some_as_fast(flapping: dict[str, Shown]) -> None:
    for name, world in flapping.items():
        check = check_of(world.model)
        for verdict in (Verdict.UP, Verdict.DOWN) if check.retry_interval is None else ():
            assert world.stay[verdict] == pytest.approx(quickest(check, verdict), abs=1e-3), (name, verdict)


def test_what_keeps_falling_is_held_down_and_for_no_longer(flapping: dict[str, Shown]) -> None:
    for name, world in flapping.items():
        assert world.held > 30, name
        assert 0 <= world.beyond < check_of(world.model).interval, name


def test_what_damping_does_not_hold_is_caught(
    models: dict[str, Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    def undamped(track: Track, result: Result, check: Check) -> Track:
        return replace(fold(track, result, check), held_until=0.0)

    monkeypatch.setattr(prober, "fold", undamped)
    world = Shown(models["fast"])
    with pytest.raises(AssertionError, match="before"):
        for seed in range(200):
            judge_flips(seed, simulated(world.model, faults_of(seed), seed).flips, world)
