"""The operator's own files and databases, simulated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path
from random import Random

from geodns.config.findings import did_you_mean
from geodns.config.schema.settings import Settings
from geodns.config.script import ClientForm, Script, ScriptFile, load_script
from geodns.core.failover import worst_case
from geodns.core.names import to_text
from geodns.core.place import Located
from geodns.core.suspicion import bonds, suspicious
from geodns.core.verbs import require
from geodns.core.world import Loaded, World, apply
from geodns.errors import GeodnsError
from geodns.geo.lines import by_asn
from geodns.geo.locate import Geography, where_of
from geodns.geo.mmdb import Kind
from geodns.loading import Request, databases_of, read_model
from geodns.model import Line, Model
from geodns.monitor.storm import Storm
from geodns.sim import drawing, report
from geodns.sim.actions import Action, event
from geodns.sim.faults import Fault, invent
from geodns.sim.resolvers import Client, Manner
from geodns.sim.simulation import Scene, Simulation

NOWHERE = Client("nowhere", "192.0.2.1")  # a client whose place no database knows
LENGTH = 600.0
MOST = 5_000_000  # connections that one run makes at most
MOST_EVENTS = 1000

Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line says; it goes before the script, and is added to its clients and events.

    `length` in seconds. Without events some faults are made from the seed; without clients one is nowhere.
    """

    length: float | None = None
    seed: int | None = None
    events: tuple[str, ...] = ()
    clients: tuple[str, ...] = ()
    script: Path | None = None


@dataclass(frozen=True, slots=True)
class _Stage:
    """The files as far as a script can name things in them."""

    model: Model
    world: World
    lines: Mapping[str, Line]
    geography: Geography


def simulate_files(settings: Settings, wanted: Wanted) -> tuple[str, str]:
    """The report as text and as SVG.

    Raises ConfigError for the files, GeodnsError for an event or a client that is none, or too much work.
    """
    script = load_script(wanted.script) if wanted.script else None
    stage = _stage(settings)
    scene = _scene(stage, wanted, script)
    said = script.says if script else ScriptFile()
    seed = (said.seed or 0) if wanted.seed is None else wanted.seed
    length = wanted.length or said.length or LENGTH
    if not scene.faults and not scene.actions:
        scene = replace(scene, faults=invent(Random(seed), tuple(stage.model.regions), length))
    _judge_work(scene, length, settings)
    share = settings.probes.suspect / 100
    if share:
        known = bonds(stage.model.pools)
        storm = Storm(lambda failing, well: suspicious(failing, well, known, share), share)
        scene = replace(scene, storm=storm)
    outcome = Simulation(scene, seed).run(length)
    steers = [steer for zone in stage.model.zones for steer in zone.steers]
    bounds = {to_text(steer.owner): worst_case(stage.model, steer) for steer in steers}
    words = f"seed {seed}\n{report.text(scene, outcome, length, bounds)}"
    return words, drawing.svg(scene, outcome, length)


def _stage(settings: Settings) -> _Stage:
    databases = databases_of(settings).current
    kinds = frozenset(databases) or frozenset(Kind)
    model, lines = read_model(Request(settings.zones, settings.lines, kinds, settings.limits.zone_bytes))
    world, _ = apply(World(), Loaded(model))
    return _Stage(model, world, lines, Geography(databases, lines, model.policies.values()))


def _judge_work(scene: Scene, length: float, settings: Settings) -> None:
    steers = sum(len(zone.steers) for zone in scene.model.zones)
    if not steers:
        raise GeodnsError(f"{settings.zones} steers no name: there is nothing to simulate")
    work = steers * len(Manner) * sum(client.resolvers for client in scene.clients) * length
    if work > MOST:
        raise GeodnsError(
            f"{work:.0f} connections are more than {MOST}: simulate less time or fewer resolvers"
        )


def _scene(stage: _Stage, wanted: Wanted, script: Script | None) -> Scene:
    """What the command line and the script ask for. Raises GeodnsError; ConfigError for the script."""
    told = [_event(line, stage) for line in wanted.events]
    clients = {address: Client(str(address), str(address)) for address in map(_address, wanted.clients)}
    places: dict[Address, Located] = {}
    capacity = capacities(stage.model)
    if script is not None:
        if len(script.says.events) > MOST_EVENTS:
            script.wrong("too-many", f"more than {MOST_EVENTS} events", ("events", MOST_EVENTS))
            script.judge()
        for number, line in enumerate(script.says.events):
            try:
                told.append(_event(line, stage))
            except GeodnsError as error:
                script.wrong("bad-event", str(error), ("events", number))
        for name, form in script.says.clients.items():
            _add_client(name, form, stage, script, clients, places)
        capacity |= _capacity(stage, script)
        script.judge()

    def locate(address: Address) -> Located:
        return places.get(address) or stage.geography.locate(address)

    faults = tuple(one for one in told if isinstance(one, Fault))
    actions = tuple(one for one in told if isinstance(one, Action))
    return Scene(stage.model, tuple(clients.values()) or (NOWHERE,), locate, faults, actions, capacity)


def _event(line: str, stage: _Stage) -> Fault | Action:
    found = event(line, stage.world)
    if isinstance(found, Fault) and found.line and found.line not in stage.lines:
        hint = did_you_mean(found.line, stage.lines)
        raise GeodnsError(f"'{line}': there is no line {found.line}" + (f"; {hint}" if hint else ""))
    return found


def _address(text: str) -> Address:
    try:
        return ip_address(text)
    except ValueError:
        raise GeodnsError(f"client '{text[:60]}' is no IPv4 or IPv6 address") from None


def _add_client(
    name: str,
    form: ClientForm,
    stage: _Stage,
    script: Script,
    clients: dict[Address, Client],
    places: dict[Address, Located],
) -> None:
    """A script's client asks from the first address of its network, from where the script says it is."""
    here = ("clients", name)
    network = ip_network(form.network)
    address = network.network_address + (network.num_addresses > 1)
    if address in clients:
        script.wrong(
            "two-clients", f"{clients[address].name} asks from {form.network}, too", here, at_key=True
        )
    if form.line is not None and form.line not in stage.lines:
        hint = did_you_mean(form.line, stage.lines)
        script.wrong("unknown-reference", f"there is no line {form.line}", (*here, "line"), hint)
    if form.weight < form.resolvers:
        few = f"{form.weight} clients are less than {form.resolvers} resolvers"
        script.wrong("out-of-range", few, (*here, "resolvers"))
    clients[address] = Client(name, str(address), form.weight, form.resolvers)
    places[address] = _placed(stage.geography.locate(address), form, stage.lines)


def _placed(located: Located, form: ClientForm, lines: Mapping[str, Line]) -> Located:
    """Where the databases have an address, and what a script says instead."""
    place = located.place
    if form.asn is not None:
        place = replace(place, asn=form.asn, lines=by_asn(lines.values()).get(form.asn, frozenset()))
    if form.line is not None:
        place = replace(place, lines=frozenset({form.line}))
    if form.country is not None or form.subdivision is not None:
        land, _, part = (form.subdivision or "").partition("-")
        parts = [{"iso_code": part}] if part else []
        record = {"country": {"iso_code": form.country or land}, "subdivisions": parts}
        place = replace(place, **where_of(record)._asdict())
    return replace(located, place=place)


def capacities(model: Model) -> dict[tuple[str, str], float]:
    """What the files say that each pool's regions bear, in connections a second."""
    held = ((pool.id, region) for pool in model.pools.values() for region in pool.regions)
    return {(pool, here.region): float(here.capacity) for pool, here in held if here.capacity}


def _capacity(stage: _Stage, script: Script) -> dict[tuple[str, str], float]:
    """What the script says: of a region in every pool, or in one."""
    found: dict[tuple[str, str], float] = {}
    for subject, capacity in sorted(script.says.capacity.items(), key=lambda item: item[0].count(":")):
        try:
            require(stage.world, subject)
        except GeodnsError as error:
            script.wrong("unknown-reference", str(error), ("capacity", subject), at_key=True)
        region, _, only = subject.partition(":")
        held = (pool.id for pool in stage.model.pools.values() if pool.region(region))
        found |= {(pool, region): float(capacity) for pool in held if only in ("", pool)}
    return found
