"""The native lane: threads of `geodns._native` answer, the event loop does what they leave to it.

Imported only where that library was found fit to be used.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial

import structlog

from geodns import _native
from geodns.config.schema.settings import Listen, Settings
from geodns.core.compile.sheets import Sheets, Widest
from geodns.core.index import Index
from geodns.core.native import NativeIndex, NativeReplay
from geodns.core.replay import Hooks, Replay
from geodns.core.table import Names, Sheet
from geodns.core.terms import Terms
from geodns.errors import GeodnsError
from geodns.geo.compiled import Compiler
from geodns.geo.locate import Geography
from geodns.lanes import PythonLane
from geodns.serve.door import Door
from geodns.serve.native import NativeListener, Tell
from geodns.serve.udp import UdpListener

log = structlog.get_logger("geodns")

WAITING = 1024  # packets that wait for Python, and as many for the log


class NativeLane(PythonLane):
    """So many threads for each address. `tell` is told which packets they answered that the log shows."""

    name = "native"

    def __init__(self, settings: Settings, threads: int, tell: Tell) -> None:
        super().__init__(settings)
        self.threads = threads
        self._tell = tell
        self._slowed = ""
        self._compiler = Compiler(settings.limits.classes)
        self._lane: _native.Lane | None = None
        self._listeners: list[NativeListener] = []
        rate, limits = settings.rate, settings.limits
        if rate.responses:
            self.limiter = _native.Rate(
                rate.responses,
                slip=rate.slip,
                exempt=list(rate.exempt),
                dry_run=rate.dry_run,
                blocks=limits.rate_blocks,
                payload=limits.udp_payload,
            )

    def told(self) -> Mapping[str, object]:
        told: dict[str, object] = {"lane": self.name, "threads": self.threads}
        return told | {"lane_why": self._slowed} if self._slowed else told

    def listeners(self, listen: list[Listen], door: Door) -> list[UdpListener]:
        limit, threads, tell = self.settings.limits.udp_payload, self.threads, self._tell
        self._listeners = [NativeListener(at.host, at.port, door, limit, threads, tell) for at in listen]
        return [*self._listeners]

    async def index(self, names: Names) -> Index:
        try:
            return await asyncio.to_thread(NativeIndex, names)
        except ValueError as error:
            raise GeodnsError(f"this is a bug: {error}") from error

    async def places(self, geography: Geography, sheets: Sheets) -> _native.Classifier | None:
        """None where a database cannot be read as a whole: threads leave what is steered to Python then."""
        plans = [classes.plan for classes in sheets.classes]
        compile_ = partial(self._compiler.compile, plans, geography.databases, geography.lines)
        self._slowed = ""
        try:
            compiled = await asyncio.to_thread(compile_)
        except GeodnsError as error:
            self._slowed = f"steered names are answered by Python: {error}"
            log.error("the native lane does not know where clients are", why=self._slowed)
            return None
        widest = self.settings.ecs.widest
        return compiled.classifier(sheets.classes, Widest(widest.ipv4, widest.ipv6))

    def replay(self, index: Index, sheets: tuple[Sheet, ...], hooks: Hooks, terms: Terms) -> Replay:
        limits, threads = self.settings.limits, self.threads * len(self._listeners)
        payload, places = limits.udp_payload, limits.places
        made = NativeReplay(
            index, sheets, hooks, payload=payload, places=places, terms=terms, threads=threads
        )
        self._lane = made.lane
        return made

    def take_over(self) -> None:
        for number, listener in enumerate(self._listeners):
            listener.hand_over(partial(self._begin, number * self.threads))

    def _begin(self, first: int, descriptors: list[int]) -> _native.UdpService:
        assert self._lane is not None
        rate = self.limiter if isinstance(self.limiter, _native.Rate) else None
        cores, shown = self.settings.cores, self.settings.log.queries
        return self._lane.serve(
            descriptors, first=first, waiting=WAITING, cores=cores, rate=rate, shown=shown
        )
