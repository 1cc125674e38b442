"""The operator's own files and databases, simulated."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from random import Random

from geodns.config.schema.settings import Settings
from geodns.core.failover import worst_case
from geodns.core.names import to_text
from geodns.errors import GeodnsError
from geodns.geo.locate import Geography
from geodns.geo.mmdb import Kind
from geodns.loading import Request, databases_of, read_model
from geodns.sim import report
from geodns.sim.faults import invent, parse
from geodns.sim.resolvers import Manner
from geodns.sim.simulation import Simulation

NOWHERE = "192.0.2.1"  # a client whose place no database knows
MOST = 5_000_000  # connections that one run makes at most


@dataclass(frozen=True, slots=True)
class Wanted:
    """`length` in seconds; without `faults` some are made from the seed; without `clients` one is nowhere."""

    length: float
    seed: int
    faults: tuple[str, ...]
    clients: tuple[str, ...]


def simulate_files(settings: Settings, wanted: Wanted) -> tuple[str, str]:
    """The report as text and as SVG.

    Raises ConfigError for the files, GeodnsError for a fault or a client that is none, or too much work.
    """
    databases = databases_of(settings).current
    kinds = frozenset(databases) or frozenset(Kind)
    model, lines = read_model(Request(settings.zones, settings.lines, kinds, settings.limits.zone_bytes))
    chance = Random(wanted.seed)
    told = tuple(parse(line, model) for line in wanted.faults)
    faults = told or invent(chance, tuple(model.regions), wanted.length)
    clients = tuple(_client(text) for text in wanted.clients) or (NOWHERE,)
    steers = [steer for zone in model.zones for steer in zone.steers]
    if not steers:
        raise GeodnsError(f"{settings.zones} steers no name: there is nothing to simulate")
    work = len(steers) * len(Manner) * len(clients) * wanted.length
    if work > MOST:
        raise GeodnsError(f"{work:.0f} connections are more than {MOST}: simulate less time or fewer clients")
    geography = Geography(databases, lines, model.policies.values())
    outcome = Simulation(model, clients, faults, geography.locate, wanted.seed).run(wanted.length)
    bounds = {to_text(steer.owner): worst_case(model, steer) for steer in steers}
    happened = "\n".join(f"fault: {fault.line}" for fault in faults)
    words = f"seed {wanted.seed}\n{happened}\n{report.text(outcome, wanted.length, bounds)}"
    return words, report.svg(outcome, wanted.length)


def _client(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        raise GeodnsError(f"client '{text[:60]}' is no IPv4 or IPv6 address") from None
