"""A reading made ready to answer while the one before still does: nothing long is left for the swap.

Everything here happens in the event loop, a little between packets, or in a thread.
"""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from geodns.core.compile.ahead import sets_ahead
from geodns.core.compile.bodies import SheetSpec
from geodns.core.compile.sheets import Sheets, Widest
from geodns.core.index import Index
from geodns.core.world import Loaded, Observed, Ttls, World, apply, differing
from geodns.geo.locate import Geography
from geodns.loading import Reading

if TYPE_CHECKING:
    from geodns._native import Classifier
    from geodns.app import Server

MAX_AHEAD = 1 << 16  # answer sets made before anybody asks for them


@dataclass(frozen=True, slots=True)
class Prepared:
    """All that answers come from, for the world as it was when this was begun: see `catch_up`."""

    reading: Reading
    index: Index
    geography: Geography
    places: Classifier | None
    sheets: Sheets
    world: World


async def prepare(server: Server, reading: Reading) -> Prepared:
    """Everything that can be made of a reading before it answers."""
    index = await server.lane.index(reading.built.names)
    for _ in sets_ahead(reading.built.sheets, reading.model.pools, reading.model.policies):
        await asyncio.sleep(0)
    geography = Geography(server.databases.current, reading.lines, reading.model.policies.values())
    limits, widest = server.settings.limits, server.settings.ecs.widest
    world = loaded(server, reading)
    sheets = Sheets(
        reading.built.sheets,
        world,
        array("Q", bytes(8 * len(reading.built.slots))),
        widest=Widest(widest.ipv4, widest.ipv6),
        limit=limits.classes,
    )
    places = await server.lane.places(geography, sheets)
    if places is not None:
        for _ in sheets.ahead(MAX_AHEAD):
            await asyncio.sleep(0)
    return Prepared(reading, index, geography, places, sheets, world)


async def relocate(server: Server) -> None:
    """Take new databases into service."""
    lines, policies = server.reading.lines, server.world.policies.values()
    geography = Geography(server.databases.current, lines, policies)
    places = await server.lane.places(geography, server.sheets)
    if places is not None:
        for made in server.sheets.ahead(MAX_AHEAD):
            server.replay.learn(*made)
            await asyncio.sleep(0)
    server.geography = geography
    server.replay.relocate(places)


def loaded(server: Server, reading: Reading) -> World:
    """The world with a reading's files. Of what was, only facts remain: verdicts and overrides."""
    world, _ = apply(server.world, Loaded(reading.model, reading.steered, ttls_of(reading.built.sheets)))
    tracks = server.monitor.snapshot()
    world, _ = apply(world, Observed({probe: track.health for probe, track in tracks.items()}))
    return world


def ttls_of(specs: Iterable[SheetSpec]) -> Mapping[str, Ttls]:
    """The TTLs of each pool's names."""
    found: dict[str, Ttls] = {}
    for spec in specs:
        known = found.get(spec.pool, Ttls())
        lowered = max(known.lowered, min(spec.ttl, spec.ttl_min))
        found[spec.pool] = Ttls(max(known.longest, spec.ttl), lowered)
    return found


def catch_up(server: Server, prepared: Prepared) -> World:
    """Take into the sheets what happened since they were begun; the world that they are of then."""
    world = loaded(server, prepared.reading)
    prepared.sheets.rebuild(world, differing(prepared.world, world))
    return world
