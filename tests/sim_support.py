"""What the tests of the simulator share: a small world whose check and TTL are chosen, and runs of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from random import Random

from core_support import Atlas, read

from geodns.core.overrides import PAUSE, WEIGHT
from geodns.core.verbs import Change
from geodns.model import Check, Model, Steer
from geodns.sim.actions import Action
from geodns.sim.faults import Fault, invent
from geodns.sim.resolvers import Client
from geodns.sim.simulation import Outcome, Scene, Simulation

LENGTH = 120.0
CLIENT = Client("client", "198.51.100.7", weight=3, resolvers=3)
ZONE = """
zone: z.test
nameservers: {{ns1: 203.0.113.53}}
ttl: {ttl}
regions: {{a: {{}}, b: {{}}, home: {{}}}}
checks: {{web: {{type: tcp, port: 80, {check}}}}}
policies: {{all: [{{to: [a, b, home]}}]}}
pools:
  web:
    check: web
    policy: all
    regions: {{a: [{{address: 192.0.2.1, weight: 3}}, 192.0.2.2], b: [192.0.2.3], home: [192.0.2.4]}}
records: {{www: {{steer: web}}}}
"""
USUAL = "interval: 3s, timeout: 2s, fall: 3, rise: 3"


def model_of(folder: Path, check: str = USUAL, ttl: str = "15s") -> Model:
    """The world: three regions in order, of which `a` has two endpoints, 3 to 1."""
    folder.mkdir(exist_ok=True)
    return read(folder, {"z.test.yaml": ZONE.format(check=check, ttl=ttl)})


def scene(
    model: Model,
    faults: tuple[Fault, ...] = (),
    actions: tuple[Action, ...] = (),
    clients: tuple[Client, ...] = (CLIENT,),
    places: Mapping[str, Mapping[str, object]] | None = None,
) -> Scene:
    atlas = Atlas(places or {}, {}, model.policies.values())
    return Scene(model, clients, atlas.locate, faults, actions)


def simulated(
    model: Model,
    faults: tuple[Fault, ...] = (),
    seed: int = 0,
    length: float = LENGTH,
    actions: tuple[Action, ...] = (),
) -> Outcome:
    return Simulation(scene(model, faults, actions), seed).run(length)


def faults_of(seed: int) -> tuple[Fault, ...]:
    """Faults of a seed, of regions and of one endpoint: `home` is never touched."""
    return invent(Random(seed), ("a", "b", "a:z.test/web:192.0.2.1"), LENGTH)


def actions_of(seed: int) -> tuple[Action, ...]:
    """What operators do meanwhile, in one seed of three."""
    chance = Random(f"actions {seed}")
    if seed % 3:
        return ()
    at, subject = round(chance.uniform(0, LENGTH / 2), 3), chance.choice(("a", "b", "a:z.test/web"))
    lasts = round(chance.uniform(1, LENGTH / 2), 3)
    if chance.random() < 0.5:
        return (Action(at, Change(PAUSE, subject), lasts),)
    return (Action(at, Change(WEIGHT, subject, value=chance.randrange(1, 100)), lasts),)


def told(seed: int, faults: tuple[Fault, ...] | None = None) -> str:
    """What a failing seed says, so that it can be looked at by `geodns simulate`."""
    events: tuple[Fault | Action, ...] = (*(faults or faults_of(seed)), *actions_of(seed))
    return f"seed {seed}: {[event.text for event in events]}"


def check_of(model: Model) -> Check:
    """The check that all endpoints have."""
    (check,) = {e.check for p in model.pools.values() for r in p.regions for e in r.endpoints}
    assert check is not None
    return check


def steer_of(model: Model) -> Steer:
    ((steer,),) = ([*zone.steers] for zone in model.zones)
    return steer
