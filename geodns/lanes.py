"""The lanes: who answers packets, and what that one makes of a reading."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from geodns.config.schema.settings import Listen, Settings
from geodns.core.compile.sheets import Sheets
from geodns.core.index import Index
from geodns.core.replay import Hooks, Replay
from geodns.core.table import Names, Sheet
from geodns.core.terms import Terms
from geodns.geo.locate import Geography
from geodns.native import choose, threads
from geodns.serve.door import Door
from geodns.serve.udp import UdpListener

if TYPE_CHECKING:
    from geodns._native import Classifier, Lane, UdpService
    from geodns.serve.native import NativeListener

WAITING = 1024  # packets that wait for Python


def chosen(settings: Settings) -> PythonLane:
    """The lane that the settings choose. Raises GeodnsError where they ask for what cannot be had."""
    native = choose(settings.lane)
    return NativeLane(settings, threads(settings)) if native.usable else PythonLane(settings, native.why)


class PythonLane:
    """The reference: everything in the event loop. `why` says why it is not the native lane."""

    name = "python"

    def __init__(self, settings: Settings, why: str = "") -> None:
        self.settings = settings
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
        """The server is ready: whoever else answers, from now on."""


class NativeLane(PythonLane):
    """Threads beside the event loop, so many on each address. Only for whom `choose` has let it."""

    name = "native"

    def __init__(self, settings: Settings, threads: int) -> None:
        super().__init__(settings)
        from geodns._native import Classifier  # noqa: PLC0415 - it need not be there
        from geodns.core.native import NativeIndex, NativeReplay  # noqa: PLC0415
        from geodns.geo.compiled import Compiler  # noqa: PLC0415

        self._compiler = Compiler()
        self._classifier = Classifier
        self.threads = threads
        self._index = NativeIndex
        self._replay = NativeReplay
        self._lane: Lane | None = None
        self._listeners: list[NativeListener] = []

    def told(self) -> Mapping[str, object]:
        return {"lane": self.name, "threads": self.threads}

    def listeners(self, listen: list[Listen], door: Door) -> list[UdpListener]:
        from geodns.serve.native import NativeListener  # noqa: PLC0415

        limit = self.settings.limits.udp_payload
        self._listeners = [NativeListener(at.host, at.port, door, limit, self.threads) for at in listen]
        return [*self._listeners]

    async def index(self, names: Names) -> Index:
        return await asyncio.to_thread(self._index, names)

    async def places(self, geography: Geography, sheets: Sheets) -> Classifier | None:
        plans = [classes.plan for classes in sheets.classes]
        compiled = await asyncio.to_thread(self._compiler.compile, geography, plans)
        numbered = [
            (one.places, [classes.number(order) for order in one.orders])
            for one, classes in zip(compiled, sheets.classes, strict=True)
        ]
        widest = self.settings.ecs.widest
        return self._classifier(numbered, widest.ipv4, widest.ipv6)

    def replay(self, index: Index, sheets: tuple[Sheet, ...], hooks: Hooks, terms: Terms) -> Replay:
        limits = self.settings.limits
        payload, places, threads = limits.udp_payload, limits.places, self.threads * len(self._listeners)
        made = self._replay(
            index, sheets, hooks, payload=payload, places=places, terms=terms, threads=threads
        )
        self._lane = made.lane
        return made

    def take_over(self) -> None:
        for number, listener in enumerate(self._listeners):
            listener.hand_over(partial(self._begin, number * self.threads))

    def _begin(self, first: int, descriptors: list[int]) -> UdpService:
        assert self._lane is not None
        return self._lane.serve(
            descriptors, first=first, waiting=WAITING, cores=self.settings.cores, rate=None
        )
