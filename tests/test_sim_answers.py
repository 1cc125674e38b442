"""Every answer of a run, held against what the rules say at that moment: nothing else is told, nothing is
empty while something is up, and each endpoint is drawn as often as its weight says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_address
from math import sqrt
from random import Random
from typing import Any

import pytest
from core_support import Reply
from sim_support import LENGTH, actions_of, model_of, scene, steer_of, told

from geodns.core.health import Verdict
from geodns.core.steer.conditions import Site
from geodns.core.steer.odds import decide
from geodns.core.steer.orders import Plan
from geodns.core.world import World
from geodns.model import AllDown, Model
from geodns.sim.faults import invent
from geodns.sim.simulation import Simulation

SEEDS = 150  # of each way of having nothing that is up
MOST = 4.5  # standard deviations; a millionth of all that is fair lies beyond


class Oracle:
    """Stands before the replay, and judges what it answers."""

    def __init__(
        self, simulation: Simulation, drawn: Counter[str], due: Counter[str], spread: Counter[str]
    ) -> None:
        self._simulation = simulation
        self._replay: Any = simulation.replay
        simulation.replay = self  # type: ignore[assignment]
        self.publish = self._replay.publish
        model, steer = simulation.model, steer_of(simulation.model)
        self._pool = model.pools[steer.pool]
        plan = Plan(model.policies[steer.policy], tuple(model.regions[r.region] for r in self._pool.regions))
        (client,) = simulation.scene.clients
        self._order = plan.order(simulation.scene.locate(ip_address(client.address)).place).order
        self._known: tuple[World, Mapping[str, float]] | None = None
        self.drawn, self.due, self.spread = drawn, due, spread
        self.empty = 0

    def answer(self, *asked: Any) -> bytes:
        reply: bytes = self._replay.answer(*asked)
        values = Reply(reply).values
        shares = self._shares()
        if values:
            (value,) = values
            assert value in shares
            self.drawn[value] += 1
            self.due.update(shares)
            self.spread.update({value: share * (1 - share) for value, share in shares.items()})
        else:
            self.empty += 1
            assert not shares
            assert not self._anything_up(), "an empty answer while something is up"
        return reply

    def _shares(self) -> Mapping[str, float]:
        """What may be told now, and how often of one: the decision, taken anew for every world."""
        world = self._simulation.world
        if self._known is None or self._known[0] is not world:
            members = decide(self._pool, self._order, world, 4).members
            total = sum(member.weight for member in members)
            self._known = world, {str(member.value): member.weight / total for member in members}
        return self._known[1]

    def _anything_up(self) -> bool:
        """By the verdicts alone, whatever the rules prefer."""
        world = self._simulation.world
        sites = [Site.of(self._pool, region, world) for region in self._pool.regions]
        return any(
            not site.paused and site.is_open(e) and site.health(e, 4).verdict is Verdict.UP
            for site in sites
            for e in site.here.endpoints
        )


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Mapping[AllDown, Model]:
    model = model_of(tmp_path_factory.mktemp("zones"))
    ((name, pool),) = model.pools.items()
    backup = {AllDown.BACKUP: ("192.0.2.99",)}
    return {
        way: replace(model, pools={name: replace(pool, when_all_down=way, backup=backup.get(way, ()))})
        for way in AllDown
    }


@pytest.mark.parametrize("way", AllDown)
def test_what_is_told_is_what_the_rules_say_and_weights_are_kept(
    models: Mapping[AllDown, Model], way: AllDown
) -> None:
    drawn, due, spread = Counter[str](), Counter[str](), Counter[str]()
    empty = 0
    for seed in range(SEEDS):
        faults = invent(Random(seed), ("a", "b", "home"), LENGTH)
        simulation = Simulation(scene(models[way], faults, actions_of(seed)), seed)
        oracle = Oracle(simulation, drawn, due, spread)
        try:
            simulation.run(LENGTH)
        except AssertionError as error:
            raise AssertionError(f"{error}; {told(seed, faults)}") from error
        empty += oracle.empty
    assert (empty > 0) == (way is AllDown.NODATA), "nothing was ever down altogether"
    off = {v: (drawn[v] - due[v]) / sqrt(spread[v]) for v in due if spread[v] > 1}
    assert len(off) >= 3
    assert drawn["192.0.2.1"] > 2 * drawn["192.0.2.2"] > 1000
    assert all(abs(deviations) < MOST for deviations in off.values()), off


def test_weights_of_3_and_1_are_three_answers_of_four(models: Mapping[AllDown, Model]) -> None:
    simulation = Simulation(scene(models[AllDown.SERVE]), 1)
    oracle = Oracle(simulation, Counter(), Counter(), Counter())
    simulation.run(10_000)
    total, heavy = oracle.drawn.total(), oracle.drawn["192.0.2.1"]
    assert set(oracle.drawn) == {"192.0.2.1", "192.0.2.2"}
    assert abs(heavy - 0.75 * total) < MOST * sqrt(total * 0.75 * 0.25)
