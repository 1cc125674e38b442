"""When alarms are looked for, and who hears of them: hooks, the log, the audit, and whoever listens here.

After an event only the pools that it touched are looked at, together with those of the next moment; every
few seconds what time brings. However much happens, looking takes at most a tenth of the loop's time, and
pools are looked at for a few milliseconds in one go.
"""

from __future__ import annotations

import asyncio
import json
import platform
import random
import secrets
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import structlog

from geodns.admin.body import stamp
from geodns.config.schema.settings import AlarmSettings
from geodns.config.secrets import webhook_secrets
from geodns.core.alarms import (
    CLEARED,
    DAY,
    RAISED,
    TEST,
    WELL,
    Alarm,
    Database,
    Facts,
    Limits,
    PoolState,
    Severity,
    Transition,
    failing_kinds,
    found,
    homes_of,
    policies_of,
    state_of,
    turned,
)
from geodns.core.audit import CLEAR, RAISE, WATCH, Entry, text
from geodns.core.health import Probe
from geodns.core.world import World
from geodns.model import Pool
from geodns.observe import program
from geodns.observe.hooks import Hook, Message, Send
from geodns.observe.webhook import Poster, name_of

if TYPE_CHECKING:
    from geodns.app import Server

GATHER = 0.1  # seconds from an event to the look: what belongs together comes together
REST = 9  # times as long as a look took: how long none is taken after it
AT_ONCE = 0.002  # seconds of looking at pools in one go
LATEST = 1.0  # seconds after which what was seen so far is told, although not all is seen
PERIOD = 2.0  # seconds between looks at what time brings
MAX_SHOWN = 10  # subjects in a line of the log

log = structlog.get_logger("geodns.alarms")


class Alarms:
    """`held` are the alarms that hold, by key; `left_out` counts those beyond the bound. `raised` counts by
    kind, since the start. `listeners` are called with every transition, in the event loop; they may not wait.
    """

    def __init__(self, server: Server, environ: Mapping[str, str]) -> None:
        """Raises ConfigError where a webhook's secret cannot be had."""
        settings = server.settings.alarms
        self.held: Mapping[str, Alarm] = {}
        self.left_out = 0
        self.raised: Counter[str] = Counter()
        self.listeners: list[Callable[[Transition], None]] = []
        self._server = server
        self._limits = Limits(settings.certificate, settings.database_age, settings.override_ends)
        self._name = server.settings.identity.server or platform.node()
        self._poster = Poster(time.time)
        self.hooks = _hooks(settings, self._poster, webhook_secrets(settings.webhooks, environ))
        self._touched: dict[str, None] = {}  # pools to look at, in order
        self._states: dict[str, PoolState] = {}
        self._certificates: dict[Probe, float] = {}  # those whose end is near
        self._failing: Mapping[str, int] = {}
        self._pools: Mapping[str, Pool] = {}  # those that the following is of
        self._policies: Mapping[str, list[str]] = {}
        self._homes: Counter[str] = Counter()
        self._kinds: Counter[str] = Counter()
        self._look: asyncio.Handle | None = None
        self._not_before = 0.0
        self._concluded = 0.0

    @property
    def work(self) -> list[Callable[[], Coroutine[Any, Any, None]]]:
        """What goes on for ever beside answering."""
        return [self._keep, *(hook.keep for hook in self.hooks)]

    def touched(self, pools: Iterable[str]) -> None:
        """Look at these pools soon, and at all that is no pool's."""
        self._touched.update(dict.fromkeys(pools))
        if self._look is None and self._server.readiness.ready:
            loop = asyncio.get_running_loop()
            self._look = loop.call_at(max(loop.time() + GATHER, self._not_before), self._see)

    async def _keep(self) -> None:
        while True:
            if self._server.readiness.ready:
                self._time_brings()
                self.touched(())
            await asyncio.sleep(PERIOD)

    async def close(self) -> None:
        if self._look is not None:
            self._look.cancel()
        await self._poster.close()

    async def test(self) -> list[dict[str, object]]:
        """Send every hook an alarm that is none, whatever kinds it wants; what came of it."""
        now = time.time()
        alarm = Alarm(TEST, TEST, TEST, Severity.WARNING, "this is only a test", now)
        message = self._message(Transition(TEST, alarm, now))
        outcomes = await asyncio.gather(*(hook.test(message) for hook in self.hooks))
        return [
            {"hook": hook.name, "ok": outcome.ok, "detail": outcome.detail}
            for hook, outcome in zip(self.hooks, outcomes, strict=True)
        ]

    def told(self) -> dict[str, object]:
        """What holds, the gravest and oldest first, and who is told of it; fit for JSON."""
        hooks = [
            {"hook": hook.name, "waiting": hook.waiting, **hook.results, "last": hook.last or None}
            for hook in self.hooks
        ]
        held = sorted(self.held.values(), key=lambda a: (a.severity is not Severity.CRITICAL, a.since, a.key))
        return {"alarms": [_shown(alarm) for alarm in held], "left_out": self.left_out, "hooks": hooks}

    def counts(self) -> dict[str, int]:
        """How many hold, by severity."""
        found = Counter(alarm.severity for alarm in self.held.values())
        return {severity.value: found[severity] for severity in Severity}

    # looking

    def _see(self) -> None:
        """Look at some of the pools that were touched, and, once no more are left, at what it comes to."""
        loop, world = asyncio.get_running_loop(), self._server.world
        began, self._look = loop.time(), None
        self._prepare(world)
        while self._touched and loop.time() - began < AT_ONCE:
            id_ = next(iter(self._touched))
            del self._touched[id_]
            pool = world.pools.get(id_)
            state = state_of(world, pool, self._policies.get(id_, ())) if pool else WELL
            if state == WELL:
                self._states.pop(id_, None)
            else:
                self._states[id_] = state
        if not self._touched or began - self._concluded > LATEST:
            self._concluded = began
            self._conclude(world)
        now = loop.time()
        self._not_before = now + REST * (now - began)
        if self._touched:
            self._look = loop.call_at(self._not_before, self._see)

    def _prepare(self, world: World) -> None:
        """What follows from the files."""
        if world.pools is self._pools:
            return
        self._pools = world.pools
        self._policies, self._homes = policies_of(world), homes_of(world)
        self._kinds = Counter(probe.check.kind for probe in world.pools_of)
        self._states = {id_: state for id_, state in self._states.items() if id_ in world.pools}

    def _conclude(self, world: World) -> None:
        now = time.time()
        alarms = found(world, self._states, self._homes, self._facts(now), self._limits, now)
        self.held, transitions, self.left_out = turned(self.held, alarms, now)
        for transition in transitions:
            self._tell(transition)
        self._log(transitions)

    def _time_brings(self) -> None:
        """Certificates whose end is near are remembered: a check that fails verifies none."""
        self._failing = failing_kinds(self._server.world.health, self._kinds)
        near = time.time() + self._limits.certificate
        watched = self._server.world.pools_of
        self._certificates = {probe: ends for probe, ends in self._certificates.items() if probe in watched}
        for probe, ends in self._server.monitor.certificates():
            if ends < near:
                self._certificates[probe] = ends
            elif self._certificates:
                self._certificates.pop(probe, None)

    def _facts(self, now: float) -> Facts:
        server = self._server
        refused = {"zones": server.problem, "databases": server.database_problem}
        unwritten = {"audit": server.journal.refused, "verdicts": server.verdicts.problem}
        return Facts(
            server.monitor.suspected,
            self._certificates,
            self._failing,
            tuple(
                Database(d.kind.value, d.age_days * DAY, d.synthetic) for d in server.geography.describe(now)
            ),
            {what: problems[0] for what, problems in refused.items() if problems},
            {what: why for what, why in unwritten.items() if why},
        )

    # telling

    def _tell(self, transition: Transition) -> None:
        event, alarm, at = transition
        self.raised[alarm.kind] += event == RAISED
        told = text({"alarm": alarm.kind, "severity": alarm.severity.value})
        before, after = ("", told) if event == RAISED else (told, "")
        action = RAISE if event == RAISED else CLEAR
        self._server.journal.note(Entry(at, action, alarm.subject, WATCH, alarm.text, before, after))
        message = self._message(transition)
        for hook in self.hooks:
            hook.post(message)
        for listener in self.listeners:
            try:
                listener(transition)
            except Exception as error:  # a bug in one must not keep it from the others
                log.error("a listener to alarms failed", exc_info=error)

    def _log(self, transitions: Iterable[Transition]) -> None:
        """One line for all of a kind that begin or end together."""
        alike: defaultdict[tuple[str, str], list[Alarm]] = defaultdict(list)
        for event, alarm, _ in transitions:
            alike[event, alarm.kind].append(alarm)
        for (event, kind), alarms in alike.items():
            more = max(0, len(alarms) - MAX_SHOWN)
            about = {"kind": kind, "subjects": [alarm.subject for alarm in alarms[:MAX_SHOWN]], "more": more}
            if event == CLEARED:
                log.info("alarm cleared", **about)
            elif any(alarm.severity is Severity.CRITICAL for alarm in alarms):
                log.error("alarm", **about, text=alarms[0].text)
            else:
                log.warning("alarm", **about, text=alarms[0].text)

    def _message(self, transition: Transition) -> Message:
        event, alarm, at = transition
        content = {
            "id": secrets.token_hex(8),
            "event": event,
            "at": stamp(at),
            "server": self._name,
            "alarm": _shown(alarm),
        }
        return Message(str(content["id"]), alarm.kind, json.dumps(content).encode())


def _hooks(settings: AlarmSettings, poster: Poster, keys: Sequence[bytes | None]) -> list[Hook]:
    def hook(name: str, send: Send, kinds: Iterable[str] = ()) -> Hook:
        return Hook(name, send, frozenset(kinds), settings.timeout, random.random)

    found = [
        hook(name_of(form.url), poster.hook(form.url, key), form.kinds)
        for form, key in zip(settings.webhooks, keys, strict=True)
    ]
    if settings.command:
        found.append(hook(settings.command[0], program.hook(settings.command)))
    return found


def _shown(alarm: Alarm) -> dict[str, object]:
    return {**asdict(alarm), "since": stamp(alarm.since)}
