"""Explaining without a server: the same files, databases and functions, everything checked taken for up."""

from __future__ import annotations

from array import array
from collections.abc import Mapping

from geodns import loading
from geodns.config.schema.settings import Settings
from geodns.core.compile.sheets import Sheets, Widest
from geodns.core.edns import Subnet
from geodns.core.health import Health, Verdict
from geodns.core.index import Index
from geodns.core.replay import Hooks, Replay
from geodns.core.world import Loaded, Observed, World, apply
from geodns.geo.locate import Geography
from geodns.loading import Request
from geodns.operations import explained


def explain_offline(settings: Settings, name: str, rtype: str, client: str) -> Mapping[str, object]:
    """What a server of these settings would answer if everything that it checks were up.

    Raises ConfigError for the files, GeodnsError for a name, a type or a client that is none.
    """
    databases = loading.databases_of(settings).current
    request = Request(settings.zones, settings.lines, frozenset(databases), settings.limits.zone_bytes)
    reading = loading.read(request, lambda digests: dict.fromkeys(digests, 1))
    world, _ = apply(World(), Loaded(reading.model, reading.steered))
    up = Health(Verdict.UP, reason="taken for up: no server was asked")
    world, _ = apply(world, Observed(dict.fromkeys(world.pools_of, up)))
    geography = Geography(databases, reading.lines, reading.model.policies.values())
    tally = array("Q", bytes(8 * len(reading.built.slots)))
    widest = Widest(settings.ecs.widest.ipv4, settings.ecs.widest.ipv6)
    sheets = Sheets(reading.built.sheets, world, tally, widest=widest, limit=settings.limits.classes)

    def classify(plan: int, subnet: Subnet) -> tuple[int, int]:
        return sheets.classify(plan, geography.locate(subnet.ip()), subnet)

    hooks = Hooks(tally, classify, sheets.fill)
    replay = Replay(
        Index.of(reading.built.names), sheets.sheets, hooks, payload=settings.limits.udp_payload, places=1
    )
    return explained(replay, sheets, geography, (name, rtype, client))
