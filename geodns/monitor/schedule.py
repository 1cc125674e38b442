"""When each probe runs, and what becomes of its result.

Every probe is in exactly one of three states: its timer is set, it is queued because `concurrency` probes run
already, or it runs. So nothing here can grow beyond the number of probes. A round is due on a fixed grid,
`interval` apart from the probe's own phase (a hash of its id), so that neither slow answers nor restarts make
probes drift into step. While results disagree rounds are `retry_interval` apart instead, and the grid waits.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from geodns.core.health import HEARTBEAT, Health, Outcome, Probe, Result, Track, Verdict, fold, gap
from geodns.core.rounds import LATE, following, opening, phase
from geodns.monitor.storm import PATIENCE, Storm, Suspects
from geodns.monitor.timers import Timer, Timers

_log = logging.getLogger(__name__)

Begin = Callable[[Probe, Callable[[Outcome], None]], Callable[[], None] | None]


@dataclass(slots=True)
class Stats:
    """Counters since the start. `late`: rounds begun too late or left out; `errors`: bugs, ours;
    `disbelieved`: bad results that counted for nothing, because the prober itself was suspected.
    """

    rounds: int = 0
    failed: int = 0
    late: int = 0
    errors: int = 0
    disbelieved: int = 0


@dataclass(slots=True, eq=False)
class _Entry:
    probe: Probe
    track: Track
    grid: float  # event loop time of one point of the probe's grid
    due: float = 0.0  # event loop time of the round that comes or runs
    retry: bool = False  # that round is off the grid, because results disagree
    began: float = 0.0  # event loop time of the round that runs
    removed: bool = False
    timer: Timer | None = None
    task: asyncio.Task[None] | None = field(default=None, repr=False)
    cancel: Callable[[], None] | None = None  # ends the probe that runs without a task


class Monitor:
    """Runs probes on their schedule and tells of every change of health, in the event loop, at once.

    `clock` gives Unix seconds for stamps; `probe` does one probe; `on_change` gets
    the probes whose `Health` (verdict or doubt) differs after a result. `suspects` is asked whether many
    failures at once (at least `share` of all) are the prober's own; it gets who fails and who is well.
    `begin` does one probe without a task, where it can (None: it cannot): it returns what cancels the probe,
    and calls back later. All methods belong to one event loop.
    """

    def __init__(
        self,
        on_change: Callable[[Mapping[Probe, Health]], None],
        clock: Callable[[], float],
        probe: Callable[[Probe], Awaitable[Outcome]],
        concurrency: int = 256,
        suspects: Suspects = lambda failing, well: False,
        share: float = 0.0,
        begin: Begin = lambda probe, done: None,
    ) -> None:
        self.stats = Stats()
        self._on_change = on_change
        self._clock = clock
        self._probe = probe
        self._start = begin
        self._concurrency = concurrency
        self._timers = Timers()
        self._storm = Storm(suspects, share)
        self._judging: asyncio.TimerHandle | None = None
        self._entries: dict[Probe, _Entry] = {}
        self._queued: deque[_Entry] = deque()
        self._running = 0
        self._waiting: set[Probe] = set()
        self._settled = asyncio.Event()

    async def set_probes(
        self, probes: frozenset[Probe], remembered: Mapping[str, Health] | None = None
    ) -> Mapping[Probe, Health]:
        """Probe exactly these from now on: kept ones go on undisturbed, removed ones are cancelled.

        A new one starts with the health that `remembered` has under its id, else with that of a removed
        probe at the same address and port (its check was edited: no reason to forget), else unknown.
        Returns the health of all; `on_change` is not called for it.
        """
        gone = [entry for probe, entry in self._entries.items() if probe not in probes]
        heirs = {(e.probe.address, e.probe.port): e.track.health for e in gone}
        ended = self._remove(gone)
        new = {}
        for probe in probes - self._entries.keys():
            health = (remembered or {}).get(probe.id) or heirs.get((probe.address, probe.port), Health())
            new[probe] = replace(health, doubt_until=0.0)
        unknown = sum(health.verdict is Verdict.UNKNOWN for health in new.values())
        for probe, health in new.items():
            self._add(probe, health, opening(probe.check.interval, unknown))
        self._mark_settled()
        healths = {probe: entry.track.health for probe, entry in self._entries.items()}
        await asyncio.gather(*ended, return_exceptions=True)
        return healths

    async def first_round(self) -> None:
        """Returns when every probe has a remembered verdict or one finished result. Give it a timeout."""
        await self._settled.wait()

    @property
    def waiting(self) -> int:
        """How many probes have neither a remembered verdict nor a first result."""
        return len(self._waiting)

    @property
    def suspected(self) -> bool:
        """Whether the prober itself is thought to be the fault: nothing is taken for down meanwhile."""
        return self._storm.suspected

    @property
    def running(self) -> int:
        return self._running

    @property
    def queued(self) -> int:
        """How many probes are due but held back because `concurrency` run already."""
        return len(self._queued)

    def heard(self, probe: Probe, outcome: Outcome) -> Track | None:
        """A result that came by itself, as heartbeats do: the next round is due an interval from now.

        Returns the track; None where the probe is not watched.
        """
        entry = self._entries.get(probe)
        if entry is None:
            return None
        self._take(entry, outcome, 0.0)
        entry.grid = asyncio.get_running_loop().time() + probe.check.interval
        if entry.timer is not None:  # else the round has begun, and the one after it is by the grid
            self._timers.cancel(entry.timer)
            self._arm(entry, entry.grid)
        return entry.track

    def snapshot(self, of: Collection[Probe] | None = None) -> dict[Probe, Track]:
        """Of all, or of those in `of` that are still probed."""
        wanted = self._entries.keys() if of is None else [probe for probe in of if probe in self._entries]
        return {probe: self._entries[probe].track for probe in wanted}

    def certificates(self) -> Iterator[tuple[Probe, float]]:
        """The certificates that were verified last, with the Unix seconds at which they end."""
        for entry in self._entries.values():
            last = entry.track.last
            if last is not None and last.expires is not None:
                yield entry.probe, last.expires

    async def stop(self) -> None:
        """Cancel everything and return when nothing runs any more."""
        if self._judging is not None:
            self._judging.cancel()
        await asyncio.gather(*self._remove(list(self._entries.values())), return_exceptions=True)

    def _add(self, probe: Probe, health: Health, spread: float) -> None:
        """A first round that decides is due within `spread` seconds, any other within the interval."""
        now = asyncio.get_running_loop().time()
        interval = probe.check.interval
        listening = probe.check.kind == HEARTBEAT
        part = 1.0 if listening else phase(probe.id)
        entry = _Entry(probe, Track(health), now + part * interval)
        self._entries[probe] = entry
        if health.verdict is Verdict.UP:
            self._storm.well(probe)
        if health.verdict is Verdict.UNKNOWN:
            self._waiting.add(probe)
            self._arm(entry, entry.grid if listening else now + part * spread)
        else:
            self._arm(entry, entry.grid)

    def _remove(self, entries: list[_Entry]) -> list[asyncio.Task[None]]:
        for entry in entries:
            del self._entries[entry.probe]
            entry.removed = True
            self._waiting.discard(entry.probe)
            self._storm.forget(entry.probe)
            if entry.timer is not None:
                self._timers.cancel(entry.timer)
        self._queued = deque(entry for entry in self._queued if not entry.removed)
        ended = []
        for entry in entries:
            if entry.cancel is not None:
                entry.cancel()
                self._ended(entry)
            if entry.task is not None:
                entry.task.cancel()
                ended.append(entry.task)
        return ended

    def _arm(self, entry: _Entry, due: float) -> None:
        entry.due = due
        entry.timer = self._timers.at(due, partial(self._begin, entry))

    def _begin(self, entry: _Entry) -> None:
        entry.timer = None
        if self._running >= self._concurrency:
            self._queued.append(entry)
            return
        loop = asyncio.get_running_loop()
        entry.began = loop.time()
        if entry.began - entry.due > LATE * entry.probe.check.interval:
            self.stats.late += 1
        self._running += 1
        try:
            entry.cancel = self._start(entry.probe, partial(self._found, entry))
        except Exception:
            self.stats.errors += 1
            _log.exception("probe %s could not begin as it should", entry.probe.id)
        if entry.cancel is None:
            entry.task = loop.create_task(self._round(entry))
            entry.task.add_done_callback(lambda _: self._ended(entry))

    def _ended(self, entry: _Entry) -> None:
        entry.task = entry.cancel = None
        self._running -= 1
        if not entry.removed:
            self._arm(entry, self._next(entry))
        if self._queued:
            self._begin(self._queued.popleft())

    def _next(self, entry: _Entry) -> float:
        check, now = entry.probe.check, asyncio.get_running_loop().time()
        between = gap(entry.track, check)
        due, missed = following(entry.grid, entry.due, check.interval, between, now, retried=entry.retry)
        entry.retry = between < check.interval
        self.stats.late += missed
        return due

    async def _round(self, entry: _Entry) -> None:
        try:
            outcome = await self._probe(entry.probe)
        except Exception as error:  # what a stranger's answer can trigger in us is that endpoint's failure
            self.stats.errors += 1
            _log.exception("probe %s failed unexpectedly", entry.probe.id)
            outcome = Outcome(False, f"probe error: {type(error).__name__}")
        self._take(entry, outcome, self._took(entry))

    def _found(self, entry: _Entry, outcome: Outcome) -> None:
        try:
            self._take(entry, outcome, self._took(entry))
        finally:
            self._ended(entry)

    def _took(self, entry: _Entry) -> float:
        return asyncio.get_running_loop().time() - entry.began

    def _take(self, entry: _Entry, outcome: Outcome, took: float) -> None:
        result = Result(outcome.ok, self._clock(), took, outcome.detail, outcome.expires, outcome.draining)
        self.stats.rounds += 1
        self.stats.failed += not result.ok and not result.draining
        self._note(entry, result)
        if self._storm.suspected and not result.ok and not result.draining:
            self.stats.disbelieved += 1
            entry.track = replace(entry.track, last=result)
        else:
            before = entry.track.health
            entry.track = fold(entry.track, result, entry.probe.check)
            if entry.track.health is not before:
                self._tell({entry.probe: entry.track.health})
        if self._waiting:
            self._waiting.discard(entry.probe)
            self._mark_settled()

    def _note(self, entry: _Entry, result: Result) -> None:
        """Keep the storm, and see to it that it is judged while it is large."""
        loop = asyncio.get_running_loop()
        if result.draining:
            self._storm.forget(entry.probe)
        elif not result.ok:
            self._storm.strike(entry.probe, entry.track, loop.time())
        elif entry.track.last is None or not entry.track.last.ok:
            self._storm.well(entry.probe)
        if self._storm.suspected and not self._storm.large():
            self._storm.pass_over()
            _log.warning("the prober is believed again: verdicts follow the checks")
        elif not self._storm.suspected and self._judging is None and self._storm.large():
            self._judging = loop.call_later(PATIENCE, self._judge)

    def _judge(self) -> None:
        self._judging = None
        if not self._storm.judge(asyncio.get_running_loop().time()):
            return
        told = {}
        for probe, struck in self._storm.struck.items():
            entry = self._entries[probe]
            health = replace(struck.before.health, doubt_until=0.0)
            if entry.track.health != health:
                told[probe] = health
            entry.track = replace(struck.before, health=health, last=entry.track.last)
        failing, known = len(self._storm), self._storm.known
        _log.error("the prober is suspected: %d of %d fail at once, verdicts are frozen", failing, known)
        if told:
            self._tell(told)

    def _tell(self, changes: Mapping[Probe, Health]) -> None:
        try:
            self._on_change(changes)
        except Exception:
            self.stats.errors += 1
            _log.exception("a change of health was not taken: %s", ", ".join(probe.id for probe in changes))

    def _mark_settled(self) -> None:
        if not self._waiting:
            self._settled.set()
