"""Probes on their grid and their results folded, as the monitor does it; and the prober's doubt of itself."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from math import inf
from typing import Protocol

from geodns.core.health import Health, Probe, Result, Track, fold, gap
from geodns.core.rounds import following, opening, phase
from geodns.sim.agenda import Agenda

ANSWER = 0.02  # seconds that a probe takes where it is answered
PATIENCE = 0.1  # seconds from a failure to the question whether it is one of many, as the monitor has it


class Struck(Protocol):
    @property
    def before(self) -> Track: ...


class Storm(Protocol):
    """What the monitor's storm does."""

    suspected: bool

    @property
    def struck(self) -> Mapping[Probe, Struck]: ...

    def well(self, probe: Probe) -> None: ...
    def strike(self, probe: Probe, before: Track, now: float) -> None: ...
    def large(self) -> bool: ...
    def judge(self, now: float) -> bool: ...
    def pass_over(self) -> None: ...


@dataclass(slots=True)
class _Watch:
    """A probe, and its round that was `due` last: it will be, or was, `ok`."""

    probe: Probe
    grid: float
    due: float = 0.0
    retry: bool = False
    ok: bool = False
    track: Track = field(default_factory=Track)


class Prober:
    """`answers` says whether a probe that begins at a moment will be answered; `wall` what the clock shows
    then; `tell` gets what changed. The first rounds begin at `start`. Without a `storm` nothing is suspected;
    `suspicions` are from when until when the prober suspected itself, infinite where it does still.
    """

    def __init__(
        self,
        probes: Collection[Probe],
        agenda: Agenda,
        start: float,
        answers: Callable[[Probe, float], bool],
        wall: Callable[[float], float],
        tell: Callable[[Mapping[Probe, Health], float], None],
        storm: Storm | None,
    ) -> None:
        self._agenda = agenda
        self._answers = answers
        self._wall = wall
        self._tell = tell
        self._storm = storm
        self._judging = False
        self.suspicions: list[tuple[float, float]] = []
        self._watches: dict[Probe, _Watch] = {}
        for probe in probes:
            interval, part = probe.check.interval, phase(probe.id)
            watch = self._watches[probe] = _Watch(probe, start + part * interval)
            watch.due = start + part * opening(interval, len(probes))
            agenda.at(watch.due, partial(self._begin, watch))

    @property
    def suspected(self) -> bool:
        return self._storm is not None and self._storm.suspected

    def _begin(self, watch: _Watch, at: float) -> None:
        watch.ok = self._answers(watch.probe, at)
        timeout = watch.probe.check.timeout
        self._agenda.at(at + (min(ANSWER, timeout) if watch.ok else timeout), partial(self._end, watch))

    def _end(self, watch: _Watch, at: float) -> None:
        self._take(watch, Result(watch.ok, self._wall(at), 0.0), at)
        check = watch.probe.check
        between = gap(watch.track, check)
        watch.due, _ = following(watch.grid, watch.due, check.interval, between, at, retried=watch.retry)
        watch.retry = between < check.interval
        self._agenda.at(max(at, watch.due), partial(self._begin, watch))

    def _take(self, watch: _Watch, result: Result, at: float) -> None:
        if self._storm is not None:
            self._note(self._storm, watch, at)
        if self.suspected and not watch.ok:
            watch.track = replace(watch.track, last=result)
            return
        before = watch.track.health
        watch.track = fold(watch.track, result, watch.probe.check)
        if watch.track.health != before:
            self._tell({watch.probe: watch.track.health}, at)

    def _note(self, storm: Storm, watch: _Watch, at: float) -> None:
        if watch.ok:
            storm.well(watch.probe)
        else:
            storm.strike(watch.probe, watch.track, at)
        if storm.suspected and not storm.large():
            storm.pass_over()
            self.suspicions[-1] = (self.suspicions[-1][0], at)
        elif not storm.suspected and not self._judging and storm.large():
            self._judging = True
            self._agenda.at(at + PATIENCE, partial(self._judge, storm))

    def _judge(self, storm: Storm, at: float) -> None:
        self._judging = False
        if not storm.judge(at):
            return
        self.suspicions.append((at, inf))
        told = {}
        for probe, struck in storm.struck.items():
            watch = self._watches[probe]
            health = replace(struck.before.health, doubt_until=0.0)
            if watch.track.health != health:
                told[probe] = health
            watch.track = replace(struck.before, health=health, last=watch.track.last)
        if told:
            self._tell(told, at)
