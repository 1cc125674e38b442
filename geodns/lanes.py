"""The lanes: who answers packets, and what that one makes of a reading. This is the Python lane."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from geodns.config.schema.settings import Listen, Settings
from geodns.core.compile.sheets import Sheets
from geodns.core.index import Index
from geodns.core.limit import Limiter
from geodns.core.replay import Hooks, Replay
from geodns.core.table import Names, Sheet
from geodns.core.terms import Terms
from geodns.geo.locate import Geography
from geodns.serve.door import Door
from geodns.serve.udp import UdpListener

if TYPE_CHECKING:
    from geodns._native import Classifier, Rate


class PythonLane:
    """The reference: everything in the event loop."""

    name = "python"
    threads = 1

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.limiter: Limiter | Rate | None = None

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
        """Where all clients are, if this lane wants that known; their classes are numbered in `sheets` then.

        Raises GeodnsError where a database cannot be read.
        """
        return None

    def replay(self, index: Index, sheets: tuple[Sheet, ...], hooks: Hooks, terms: Terms) -> Replay:
        """What answers packets."""
        limits = self.settings.limits
        payload, places = limits.udp_payload, limits.places
        return Replay(index, sheets, hooks, payload=payload, places=places, terms=terms)

    def take_over(self) -> None:
        """The server is ready: whoever is to answer beside the event loop does so from now on."""
