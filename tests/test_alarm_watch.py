"""When alarms are looked for: soon, together, no more than is good for answers, and never not at all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from core_support import Lab

from geodns import alarms
from geodns.alarms import Alarms
from geodns.app import Server
from geodns.config.settings import Settings
from geodns.core import alarms as core
from geodns.core.alarms import PoolState, Transition
from geodns.core.health import Probe
from geodns.core.world import World
from geodns.model import Check, Pool

MANY = 20
FILES = {
    "_shared.yaml": "regions: {south: {}, north: {}}\n",
    "z.test.yaml": "zone: z.test\nnameservers: {ns: 192.0.2.53}\npools:\n"
    + "".join(
        f"  p{n}: {{check: {{type: http}}, regions: {{south: 192.0.2.{n}, north: 192.0.2.{n + 100}}}}}\n"
        for n in range(MANY)
    )
    + "records: {www: {steer: p0}}\n",
}


class Watched:
    """An `Alarms` over a server that is a world and what else is asked of it; `heard` are its transitions."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.certificates: list[tuple[Probe, float]] = []
        self.noted: list[Any] = []
        self.server = SimpleNamespace(
            settings=Settings(),
            world=lab.world,
            readiness=SimpleNamespace(ready=True),
            problem=[],
            database_problem=[],
            journal=SimpleNamespace(refused="", note=self.noted.append),
            verdicts=SimpleNamespace(problem=""),
            monitor=SimpleNamespace(suspected=False, certificates=lambda: self.certificates),
            geography=SimpleNamespace(describe=lambda now: []),
        )
        self.alarms = Alarms(cast("Server", self.server), {})
        self.heard: list[Transition] = []
        self.alarms.listeners.append(self.heard.append)

    def state(self, **told: Any) -> None:
        self.lab.state(told)
        self.server.world = self.lab.world
        self.alarms.touched(self.lab.world.pools)

    @property
    def said(self) -> list[tuple[str, str]]:
        return [(event, alarm.key) for event, alarm, _ in self.heard]


@pytest.fixture
async def watched(tmp_path: Path) -> Any:
    made = Watched(Lab.of(tmp_path, FILES))
    yield made
    await made.alarms.close()


async def until(what: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not what():  # noqa: ASYNC110 - there is no event for whoever tests it
            await asyncio.sleep(0.01)


async def test_what_happens_together_is_looked_at_once(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []

    def state_of(world: World, pool: Pool, policies: list[str]) -> PoolState:
        looked.append(pool.id)
        return core.state_of(world, pool, policies)

    monkeypatch.setattr(alarms, "state_of", state_of)
    for number in range(MANY):
        watched.state(down=[f"p{n}/south" for n in range(number + 1)])
    assert watched.heard == [], "whoever tells of an event does not wait"
    await until(lambda: watched.heard)
    assert watched.said == [("raised", "region-out:south")]
    assert watched.heard[0].alarm.severity == "critical"
    assert sorted(looked) == sorted(watched.lab.world.pools)
    watched.state()
    await until(lambda: len(watched.heard) == 2)
    assert [(entry.action, entry.subject) for entry in watched.noted] == [
        ("raise", "south"),
        ("clear", "south"),
    ]


async def test_not_before_answers_rest_on_verdicts(watched: Watched) -> None:
    watched.server.readiness.ready = False
    watched.state(down=["p0"])
    await asyncio.sleep(0.3)
    assert watched.heard == []
    watched.server.readiness.ready = True
    watched.alarms.touched(())
    await until(lambda: ("raised", "pool-failing-open:z.test/p0") in watched.said)


async def test_looking_takes_a_tenth_of_the_time_whatever_happens(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what was seen is told at last, although there is always more to see."""
    spent = 0.0
    longest = 0.0

    def slow(world: World, pool: Pool, policies: list[str]) -> PoolState:
        nonlocal spent
        time.sleep(0.001)
        spent += 0.001
        return core.state_of(world, pool, policies)

    monkeypatch.setattr(alarms, "state_of", slow)
    monkeypatch.setattr(alarms, "LATEST", 0.3)
    began = before = time.monotonic()
    while not watched.heard:
        watched.state(down=["p0"])
        await asyncio.sleep(0.001)
        now = time.monotonic()
        longest, before = max(longest, now - before), now
        assert now - began < 10
    assert spent < 0.15 * (time.monotonic() - began) + 0.01


async def test_what_a_room_says_of_itself_is_an_alarm_while_it_does(watched: Watched) -> None:
    watched.server.journal.refused = watched.server.verdicts.problem = "the disk is full"
    watched.server.problem = ["z.test.yaml:1:1: no zone", "z.test.yaml:2:1: nor here"]
    watched.server.monitor.suspected = True
    watched.alarms.touched(())
    keys = {
        "state-not-written:audit",
        "state-not-written:verdicts",
        "reload-refused:zones",
        "prober-suspected:prober",
    }
    await until(lambda: {key for _, key in watched.said} == keys)
    watched.server.journal.refused, watched.server.problem = "", []
    watched.alarms.touched(())
    await until(lambda: len(watched.said) > len(keys))
    assert set(watched.said[len(keys) :]) == {
        ("cleared", "state-not-written:audit"),
        ("cleared", "reload-refused:zones"),
    }


async def test_a_certificate_stays_told_of_when_its_check_fails(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alarms, "PERIOD", 0.05)
    probe = next(iter(watched.lab.world.pools_of))
    stranger = Probe(Check("https"), "192.0.2.250", 443)
    keeping = asyncio.create_task(watched.alarms.work[0]())
    soon, key = time.time() + 86400, f"certificate-ends:{probe.id}"
    watched.certificates = [(probe, soon)]
    await until(lambda: watched.said == [("raised", key)])
    watched.certificates = []  # it fails, so there is none that was verified
    await asyncio.sleep(0.4)
    assert watched.said == [("raised", key)]
    watched.certificates = [(probe, soon + 90 * 86400), (stranger, soon + 90 * 86400)]
    await until(lambda: watched.said == [("raised", key), ("cleared", key)])
    keeping.cancel()


async def test_a_listener_that_fails_keeps_nothing_from_the_others(watched: Watched) -> None:
    watched.alarms.listeners.insert(0, lambda transition: 1 / 0)  # type: ignore[arg-type]
    watched.state(down=["p0/south", "p1/north"])
    await until(lambda: len(watched.heard) == 2)
    watched.state()
    await until(lambda: len(watched.heard) == 4)
