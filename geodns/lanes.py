"""The lanes: who answers packets, and what that one makes of a reading."""

from __future__ import annotations

import asyncio

from geodns.core.index import Index
from geodns.core.replay import Replay
from geodns.core.table import Names


class PythonLane:
    """The reference: everything in the event loop."""

    name = "python"
    replay = Replay

    async def index(self, names: Names) -> Index:
        """The names as this lane looks them up, made between packets."""
        index = Index(names)
        for _ in index.grow():
            await asyncio.sleep(0)
        return index
