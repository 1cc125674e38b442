"""The wiring: one event loop, one writer of the world; owns the clock and chance, introduces the rooms.

A change's way: file, probe or call -> event -> `world.apply` -> sheets of what was touched -> swap.
"""

from __future__ import annotations

import asyncio
import gc
import os
import secrets
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any

import structlog
from watchfiles import awatch

from geodns import doors, loading
from geodns.admin.auth import load_token
from geodns.admin.control import Readiness
from geodns.admin.server import AdminServer
from geodns.agreement import Agreement
from geodns.alarms import Alarms
from geodns.config.schema.settings import Listen, Settings
from geodns.config.secrets import exposed
from geodns.core.compile.sheets import Sheets
from geodns.core.edns import Subnet
from geodns.core.health import Health, Probe
from geodns.core.replay import Hooks, Replay
from geodns.core.table import Sheet
from geodns.core.world import Event, Observed, Overridden, Planned, World, apply, probes
from geodns.errors import ConfigError, DiskError, GeodnsError
from geodns.geo.locate import Geography
from geodns.heartbeats import Heartbeats
from geodns.journal import Journal
from geodns.lanes import chosen
from geodns.loading import Reading, Request
from geodns.observe.aside import Aside
from geodns.observe.log import setup
from geodns.operations import Operations
from geodns.preparing import Prepared, catch_up, prepare, relocate
from geodns.returning import Returns
from geodns.sampling import QueryLog
from geodns.secondaries import Secondaries
from geodns.serve.door import Door, StreamDoor
from geodns.serve.sockets import descriptors, speaks_ipv6
from geodns.serve.tcp import TcpListener
from geodns.store.state import Store
from geodns.verdicts import Verdicts

TICK = 0.25  # seconds between looks at the clock: how late a pause may end, how old `now` may be
FOLLOW = 5.0  # seconds between looks at the database files
OTHER_FILES = 256  # open ones beside TCP connections and probes: sockets, state, databases, the API's clients

log = structlog.get_logger("geodns")

Watcher = Callable[[World, World, Mapping[Probe, Health]], None]


class Server:
    """The running server. Everything but `store` and the reading of files happens in its event loop."""

    def __init__(self, settings: Settings, watcher: Watcher | None = None) -> None:
        self.settings = settings
        self.query_log = QueryLog(self)
        self.lane = chosen(settings, partial(self.query_log.note, "udp"))
        self.started = time.time()
        self.now = int(self.started)
        self.loaded_at = 0.0
        self.problem: list[str] = []
        self.database_problem: list[str] = []
        self.reloads: Counter[str] = Counter()
        self.world = World()
        self.readiness = Readiness(ready=False, why="starting")
        self.changing = asyncio.Lock()
        self.reading: Reading
        self.geography: Geography
        self.sheets: Sheets
        self.replay: Replay
        self._watcher = watcher
        self._loading = asyncio.Lock()
        self._asked = False  # a reload that has not begun to read
        self._found: loading.Found = frozenset()  # the files as they were when last read
        self._stop = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        limits = settings.limits
        self.store = Store(settings.state)
        self.databases = loading.databases_of(settings)
        self.lines_lost: Callable[[], int] = lambda: 0
        self.agreement = Agreement(settings, os.environ, secrets.token_bytes, self.started)
        self.secondaries = Secondaries(settings, os.environ, lambda: self.now)
        for warning in exposed(settings):
            log.warning("settings", problem=str(warning))
        listen = _listen(settings)
        connections = _connections(settings, len(listen))
        self.udp = self.lane.listeners(listen, doors.silence)
        self.tcp = [
            TcpListener(
                at.host,
                at.port,
                doors.silence,
                connections=connections,
                per_address=limits.tcp_per_address,
                idle=limits.tcp_idle,
            )
            for at in listen
        ]
        self.verdicts = Verdicts(self.apply, lambda: self.world, self.store, settings)
        self.monitor = self.verdicts.monitor
        self.journal = Journal(self.store, self.started)
        self.returns = Returns(self)
        self.alarms = Alarms(self, os.environ)
        self.operations = Operations(self)
        report = self.operations.report
        self.heartbeats = Heartbeats(settings, os.environ, self.monitor, report, self.started)
        self.admin = AdminServer(self.operations, load_token(settings.admin.token_file))

    # life

    async def run(self, ready: Callable[[], None] | None = None) -> None:
        """Serve until `stop`; `ready` is called once it answers. Raises GeodnsError where it cannot start."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, lambda: self._spawn(self.reload()))
        try:
            for udp in self.udp:
                udp.bind()
            for tcp in self.tcp:
                tcp.bind()
            for override in self.store.overrides():
                self.world, _ = apply(self.world, Overridden(override))
            for plan in self.store.plans():
                self.world, _ = apply(self.world, Planned(plan))
            self._found = loading.found(self._request())
            reading = loading.read(self._request(), self._serials)
            self._adopt(await prepare(self, reading))
            self.journal.loaded(None, reading)
            await self.admin.start(self.settings.admin.listen.host, self.settings.admin.listen.port)
            async with self._loading:
                await self.verdicts.begin(frozenset(self.world.pools_of))
            for work in (
                self._tick,
                self._follow_files,
                self._follow_databases,
                self._follow_secrets,
                self.verdicts.keep,
                self.journal.keep,
                self.returns.keep,
                *self.alarms.work,
            ):
                self._spawn(self._lasting(work))
            self._open(doors.waiting(self), doors.waiting(self))
            for udp in self.udp:
                udp.start(loop)
            for tcp in self.tcp:
                await tcp.start()
            await self._first_round()
            self.returns.tick()
            if self._stop.is_set():
                return
            self._open(doors.datagrams(self), doors.streams(self))
            self.lane.take_over()
            self.secondaries.begin()
            dns = [*map(str, (*self.udp, *self.tcp))]
            log.info("answering", why=self.readiness.why, dns=dns, **self.lane.told())
            if ready is not None:
                ready()
            await self._stop.wait()
        finally:
            await self._close()

    def _open(self, datagrams: Door, streams: StreamDoor) -> None:
        for udp in self.udp:
            udp.door = self.query_log.watch("udp", datagrams)
        for tcp in self.tcp:
            tcp.door = self.query_log.watch("tcp", streams)

    def stop(self) -> None:
        """Let `run` return."""
        self._stop.set()

    async def _close(self) -> None:
        for udp in self.udp:
            udp.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*(tcp.stop() for tcp in self.tcp), *self._tasks, return_exceptions=True)
        await self.secondaries.notifier.stop()
        await self.admin.stop()
        await self.alarms.close()
        await self.verdicts.close()
        await self.returns.write()
        await self.journal.close()
        self.store.close()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("a background task failed", exc_info=task.exception())

    async def _lasting(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do `work` until it ends by itself: what goes wrong in it once must not end it for good."""
        while True:
            try:
                return await work()
            except Exception as error:
                log.error("a background task failed and begins anew", task=work.__name__, exc_info=error)
                await asyncio.sleep(FOLLOW)

    async def _first_round(self) -> None:
        """Wait for the first round of checks where no earlier verdict is remembered."""
        why = "remembered verdicts" if self.world.pools_of else "nothing is checked"
        if self.monitor.waiting and self.monitor.waiting == len(self.world.pools_of):
            self.readiness = Readiness(ready=False, why="waiting for the first round of checks")
            log.info("not answering yet", why=self.readiness.why, seconds=self.settings.startup_wait)
            ends = [asyncio.ensure_future(end) for end in (self.monitor.first_round(), self._stop.wait())]
            await asyncio.wait(ends, timeout=self.settings.startup_wait, return_when=asyncio.FIRST_COMPLETED)
            for end in ends:
                end.cancel()
            late, of = self.monitor.waiting, len(self.world.pools_of)
            why = "the first round of checks is done"
            if late:
                why = f"startup_wait is over, {late} of {of} probes did not answer"
        self.verdicts.flush()
        self.readiness = Readiness(ready=not self._stop.is_set(), why=why)
        self.alarms.touched(self.world.pools)

    # the query's way

    def _classify(self, plan: int, subnet: Subnet) -> tuple[int, int]:
        places = self.replay.places
        found = places and places.find(plan, subnet.family, subnet.address, subnet.prefix, subnet.shift)
        return found or self.sheets.classify(plan, self.geography.locate(subnet.ip()), subnet)

    # the change's way

    def apply(self, event: Event) -> None:
        """Take an event into the world and the answers: both are new when this returns."""
        before = self.world
        self.world, touched = apply(before, event)
        self.journal.observed(before, event)
        if isinstance(event, Observed) and (returns := self.returns.after(before, self.world, event)).changes:
            self.world, more = apply(self.world, returns)
            touched |= more
        self.sheets.rebuild(self.world, touched, self._publish)
        self.alarms.touched(touched)
        if self._watcher is not None and isinstance(event, Observed):
            self._watcher(before, self.world, event.health)

    def _publish(self, sheets: tuple[Sheet, ...]) -> None:
        self.replay.publish(sheets)
        self.replay.collect()

    # files

    def _request(self) -> Request:
        kinds = frozenset(self.databases.current)
        settings, zones = self.settings, self.secondaries.zones
        powers = loading.powers_of(settings)
        return Request(settings.zones, settings.lines, kinds, settings.limits.zone_bytes, zones, powers)

    def _serials(self, digests: Mapping[str, str]) -> Mapping[str, int]:
        now = time.time()
        try:
            return self.store.serials(digests, now)
        except DiskError as error:  # what is to be answered does not wait for room on it
            log.error("the serials of changed zones are not remembered", why=str(error))
            return self.store.serials(digests, now, keep=False)

    async def reload(self) -> None:
        """Read the files anew and take them into service; files that have errors change nothing.

        One that is asked for while another waits is that one.
        """
        if self._asked:
            return
        self._asked = True
        async with self._loading:
            self._asked = False
            try:
                self._found = loading.found(self._request())
                reading = await asyncio.to_thread(
                    loading.read_aside, self._request(), self._serials, self._stop.is_set
                )
                prepared = await prepare(self, reading)
            except (GeodnsError, OSError) as error:
                if self._stop.is_set():
                    return
                found = error.problems if isinstance(error, ConfigError) else (error,)
                self.problem = [str(problem) for problem in found]
                self.reloads["refused"] += 1
                self.journal.rejected(self.problem)
                for line in self.problem:
                    log.error("reload refused", problem=line)
                self.alarms.touched(())
                return
            await self.monitor.set_probes(frozenset(probes(reading.model.pools)))
            self.journal.loaded(self.reading, reading)
            self._adopt(prepared)
            self.reloads["ok"] += 1
            self.alarms.touched(self.world.pools)
            log.info("reloaded", zones=len(reading.zones), names=sum(zone.names for zone in reading.zones))

    def _adopt(self, prepared: Prepared) -> None:
        """Put a reading into service."""
        world = catch_up(self, prepared)
        sheets = prepared.sheets
        hooks = Hooks(sheets.tally, self._classify, sheets.fill, prepared.places)
        if hasattr(self, "replay"):
            self.replay.reload(prepared.index, sheets.sheets, hooks)
            self.operations.book()
        else:
            self.replay = self.lane.replay(prepared.index, sheets.sheets, hooks, self.agreement.terms)
            self.replay.sign(self.secondaries.signed(self.replay))
        self.world, self.sheets = world, sheets
        self.reading, self.geography = prepared.reading, prepared.geography
        self.secondaries.adopt(self.reading.contents)
        self.returns.reconsider()
        gc.freeze()  # what lives until the next load need not be walked through for cycles
        gc.set_threshold(5_000, 2, 100_000)  # queries leave none behind, and none shall wait for a long walk
        gc.enable()
        self.problem, self.loaded_at = [], time.time()
        for warning in self.reading.warnings:
            log.warning("zones", problem=str(warning))

    # what goes on beside

    async def _tick(self) -> None:
        """Keep the clock of the answers, and let time change what is set."""
        while True:
            await asyncio.sleep(TICK)
            self.now = int(time.time())
            gc.collect(1)  # while old clients are forgotten, the interpreter's own count sees no new ones
            self.returns.tick()
            self.operations.end_reports()
            self.operations.predictor.recent.tick(self, time.time())

    async def _follow_files(self) -> None:
        """Reload when the system tells of a change, and when a look finds one that it did not tell of.

        It tells nothing of a folder that was replaced, of most network file systems, of a carriers file.
        """
        wait = round(FOLLOW * 1000)
        folder, stop = self.settings.zones, self._stop
        watch = awatch(
            folder, recursive=False, step=100, stop_event=stop, rust_timeout=wait, yield_on_timeout=True
        )
        async for told in watch:
            if told or await asyncio.to_thread(loading.found, self._request()) != self._found:
                await self.reload()

    async def _follow_databases(self) -> None:
        while True:
            await asyncio.sleep(FOLLOW)
            if self.databases.changed():
                async with self._loading:
                    found = await asyncio.to_thread(self.databases.reload)
                    await relocate(self)
                self.database_problem = [str(problem) for problem in found]
                for line in self.database_problem:
                    log.error("a geo database was not taken", problem=line)

    async def _follow_secrets(self) -> None:
        told = ""
        while True:
            problem = ""
            try:
                if await asyncio.to_thread(self.agreement.renew, time.time()):
                    self.replay.agree(self.agreement.terms)
            except ConfigError as error:
                problem = str(error)
            if problem and problem != told:
                log.error("the secrets of cookies are not renewed", problem=problem)
            told = problem
            await asyncio.sleep(FOLLOW)


def _listen(settings: Settings) -> list[Listen]:
    """Where to listen. "All of IPv6", which is among the defaults, means nothing to a kernel without it."""
    wanted = settings.listen.dns
    found = [at for at in wanted if at.host != "::" or speaks_ipv6()]
    if found != wanted and found:
        log.warning("this machine has no IPv6", not_listening=[str(at) for at in wanted if at not in found])
    return found or wanted


def _connections(settings: Settings, listeners: int) -> int:
    """TCP connections for each listener: those of the settings, as far as the system allows open files."""
    wanted, others = settings.limits.tcp_connections, settings.limits.probes + OTHER_FILES
    room = (descriptors(others + listeners * wanted) - others) // listeners
    if room < wanted:
        log.warning("too few open files are allowed for limits.tcp_connections", connections=max(1, room))
    return max(1, min(room, wanted))


def serve(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM. Raises GeodnsError where it cannot start."""
    closed = sys.stderr is None  # `2>&-`
    out = Aside(os.open(os.devnull, os.O_WRONLY) if closed else sys.stderr.fileno())
    setup(settings.log.level, settings.log.format, out)
    try:
        asyncio.run(_serve(settings, out))
    finally:
        out.close()


async def _serve(settings: Settings, out: Aside) -> None:
    server = Server(settings)
    server.lines_lost = lambda: out.lost
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, server.stop)
    await server.run()
