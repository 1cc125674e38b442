"""The simulated prober is the monitor: the real one, on an event loop whose time is virtual, gives the same
verdicts at the same moments, and suspects itself where the simulated one does.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Iterator, Mapping
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from sim_support import LENGTH, faults_of, model_of, scene

from geodns.core.health import Health, Outcome, Probe
from geodns.core.suspicion import bonds, suspicious
from geodns.model import Model
from geodns.monitor.schedule import Monitor
from geodns.monitor.storm import PATIENCE, Storm
from geodns.sim import prober
from geodns.sim.agenda import Agenda
from geodns.sim.faults import Fault
from geodns.sim.prober import ANSWER, Prober
from geodns.sim.simulation import Simulation

SEEDS = 140
SHARE = 0.6
CHECKS = (
    "interval: 3s, timeout: 2s, fall: 3, rise: 3",
    "interval: 4s, timeout: 1s, retry_interval: 1s, fall: 4, rise: 2",
    "interval: 2s, timeout: 1s, fall: 3 of 5, rise: 2 of 3, damping: 1s",
    "interval: 2s, timeout: 3s, fall: 2, rise: 2",
)
APART = """
zone: z.test
nameservers: {ns1: 203.0.113.53}
regions: {a: {}, b: {}, home: {}}
checks: {web: {type: tcp, port: 80, interval: 3s, timeout: 2s, fall: 3, rise: 3}}
policies: {all: [{to: [a, b, home]}]}
pools:
  web: {check: web, policy: all, regions: {a: 192.0.2.1, b: 192.0.2.3, home: 192.0.2.4}}
  api: {check: web, policy: all, regions: {a: 192.0.2.11, b: 192.0.2.13, home: 192.0.2.14}}
records: {www: {steer: web}, api: {steer: api}}
"""

Told = list[tuple[float, dict[str, tuple[str, float]]]]


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time goes on by what would have been waited for; nothing else is ever waited for."""

    def __init__(self) -> None:
        super().__init__(_Skipping(self))
        self.passed = 0.0

    def time(self) -> float:
        return self.passed


class _Skipping(selectors.DefaultSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        self._loop.passed += timeout or 0.0
        return super().select(0)


@pytest.fixture
def loop() -> Iterator[VirtualLoop]:
    loop = VirtualLoop()
    yield loop
    loop.close()


class Twins:
    """The same faults for both. What is told is compared by time and by verdict and doubt of each probe."""

    def __init__(self, model: Model, faults: tuple[Fault, ...], *, suspects: bool) -> None:
        simulation = Simulation(scene(model, faults), 0)
        self.felt = simulation.probed
        self.known = bonds(model.pools)
        self.share = SHARE if suspects else 0.0

    def answers(self, probe: Probe, at: float) -> bool:
        return max((fault.loss(at) for fault in self.felt[probe]), default=0.0) < 1

    def suspects(self, failing: Any, well: Any) -> bool:
        return suspicious(failing, well, self.known, self.share)

    def simulated(self) -> Told:
        told: Told = []
        agenda = Agenda()
        storm = Storm(self.suspects, self.share) if self.share else None
        tell = lambda changes, at: told.append((round(at, 6), _plain(changes)))  # noqa: E731
        Prober(self.felt, agenda, 0.0, self.answers, lambda at: 1e6 + at, tell, storm)
        agenda.run(LENGTH)
        return told

    def real(self, loop: VirtualLoop) -> Told:
        told: Told = []

        async def probe(probe: Probe) -> Outcome:
            ok = self.answers(probe, loop.time())
            await asyncio.sleep(min(ANSWER, probe.check.timeout) if ok else probe.check.timeout)
            return Outcome(ok)

        async def watch() -> None:
            monitor = Monitor(
                lambda changes: told.append((round(loop.time(), 6), _plain(changes))),
                lambda: 1e6 + loop.time(),
                probe,
                suspects=self.suspects,
                share=self.share,
            )
            await monitor.set_probes(frozenset(self.felt))
            await asyncio.sleep(LENGTH)
            await monitor.stop()

        loop.run_until_complete(watch())
        return told


def _plain(changes: Mapping[Probe, Health]) -> dict[str, tuple[str, float]]:
    return {p.address: (h.verdict.value, round(h.doubt_until, 6)) for p, h in changes.items()}


def faults_for(seed: int) -> tuple[Fault, ...]:
    """Without chance and clock steps, which both would meet at other moments; `home` flaps about as fast as
    verdicts are found.
    """
    flaps = Fault(5.0, LENGTH, "home", every=round(Random(seed).uniform(2, 12), 3))
    return (flaps, *(replace(f, share=1.0, rising=0.0) for f in faults_of(seed) if not f.step))


@pytest.mark.parametrize("check", CHECKS)
def test_verdicts_and_doubts_are_the_monitor_s(check: str, loop: VirtualLoop, tmp_path: Any) -> None:
    model = model_of(tmp_path / "zones", check)
    changes = 0
    for seed in range(SEEDS // len(CHECKS)):
        twins = Twins(model, faults_for(seed), suspects=False)
        loop.passed = 0.0
        real = twins.real(loop)
        assert twins.simulated() == real, f"seed {seed}: {[f.text for f in faults_for(seed)]}"
        changes += len(real)
    assert changes > 100


def test_and_so_are_its_doubts_of_itself(loop: VirtualLoop, tmp_path: Any) -> None:
    """A cut-off prober is suspected, and a region that is lost meanwhile is found lost afterwards."""
    from core_support import read

    model = read(tmp_path, {"z.test.yaml": APART})
    downs = 0
    for seed in range(40):
        chance = Random(seed)
        at = round(chance.uniform(20, 40), 3)
        faults = (Fault(at, at + round(chance.uniform(5, 30), 3)), Fault(at + 2, 100.0, chance.choice("ab")))
        twins = Twins(model, faults, suspects=True)
        loop.passed = 0.0
        real = twins.real(loop)
        assert twins.simulated() == real, f"seed {seed}: {[fault.text for fault in faults]}"
        downs += sum(verdict == "down" for _, changes in real for verdict, _ in changes.values())
    assert 0 < downs < 40 * 6, "some were believed to be down, and not all"


def test_the_patience_of_both_is_one() -> None:
    assert prober.PATIENCE == PATIENCE
