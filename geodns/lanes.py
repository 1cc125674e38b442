"""The lanes: who answers packets, and what that one makes of a reading. This is the Python lane."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

from geodns.config.schema.settings import Listen, Settings
from geodns.core.compile.sheets import Sheets
from geodns.core.index import Index
from geodns.core.limit import Limiter
from geodns.core.replay import Hooks, Replay
from geodns.core.table import Names, Sheet
from geodns.core.terms import Terms
from geodns.geo.locate import Geography
from geodns.native import choose, threads
from geodns.serve.door import Door
from geodns.serve.native import Tell
from geodns.serve.udp import UdpListener

if TYPE_CHECKING:
    from geodns._native import Classifier, Rate


def chosen(settings: Settings, tell: Tell) -> PythonLane:
    """The lane that the settings choose. Raises GeodnsError where they ask for what cannot be had.

    `tell`: see the native lane's.
    """
    native = choose(settings.lane)
    if not native.usable:
        return PythonLane(settings, native.why)
    from geodns.threads import NativeLane  # noqa: PLC0415 - what it imports need not be there

    return NativeLane(settings, threads(settings), tell)


class PythonLane:
    """The reference: everything in the event loop. `why` says why it is not the native lane."""

    name = "python"

    def __init__(self, settings: Settings, why: str = "") -> None:
        self.settings = settings
        self.limiter: Limiter | Rate | None = None
        self.why = why

    def told(self) -> Mapping[str, object]:
        """What log and status say of the lane."""
        return {"lane": self.name, "lane_why": self.why}

    def listeners(self, listen: list[Listen], door: Door) -> list[UdpListener]:
        """Those of the addresses to listen on, not yet bound."""
        limit = self.settings.limits.udp_payload
        return [UdpListener(at.host, at.port, door, limit) for at in listen]

    async def index(self, names: Names) -> Index:
        """The names as this lane looks them up, made between packets."""
        index = Index(names)
        for _ in index.grow():
            await asyncio.sleep(0)
        return index

    async def places(self, geography: Geography, sheets: Sheets) -> Classifier | None:
        """Where all clients are, if this lane wants to know; their classes are numbered in `sheets` then."""
        return None

    def replay(self, index: Index, sheets: tuple[Sheet, ...], hooks: Hooks, terms: Terms) -> Replay:
        """What answers packets."""
        limits = self.settings.limits
        payload, places = limits.udp_payload, limits.places
        return Replay(index, sheets, hooks, payload=payload, places=places, terms=terms)

    def take_over(self) -> None:
        """The server is ready: whoever is to answer beside the event loop does so from now on."""
