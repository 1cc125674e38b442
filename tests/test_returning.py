"""What time and verdicts change is taken at once and written beside it; what is planned is guarded again."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from admin_support import NEAREST, NOW, probe_in, with_paused, with_verdict, world_of

from geodns import returning
from geodns.core.health import Health, Verdict
from geodns.core.overrides import HOLD, PAUSE
from geodns.core.plans import Plan
from geodns.core.world import Loaded, Observed, Planned, World, apply
from geodns.errors import StoreError
from geodns.model import Failback, Model
from geodns.returning import Returns


class Server:
    """As much of one as `Returns` knows; its disk is full while `full`."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.changing = asyncio.Lock()
        self.turn = asyncio.Lock()
        self.journal = self.store = self
        self.entries: list[Any] = []
        self.kept: list[tuple[Any, ...]] = []
        self.full = False
        self.returns = Returns(self)  # type: ignore[arg-type]

    def apply(self, event: Any) -> None:
        self.world, _ = apply(self.world, event)

    def note(self, *entries: Any) -> None:
        self.entries += entries

    def amend(self, batch: Any) -> None:
        pass

    def change_overrides(self, *what: Any) -> None:
        if self.full:
            raise StoreError("the disk is full", full=True)
        self.kept.append(what)

    def tick(self, at: float, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(returning.time, "time", lambda: at)
        self.returns.tick()


PLAN = Plan(PAUSE, "a", "a router", "ann", NOW + 60, 60)


def planned(plan: Plan, *paused: str) -> Server:
    world, _ = apply(with_paused(world_of("a b", ((NEAREST,), False)), *paused), Planned(plan))
    for region in "ab":
        world = with_verdict(world, region, Verdict.UP)
    return Server(world)


async def test_a_plan_begins_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    server = planned(PLAN)
    server.tick(NOW + 59.9, monkeypatch)
    assert server.world.plans
    server.tick(NOW + 60, monkeypatch)
    assert (list(server.world.overrides), server.world.plans) == ([(PAUSE, "a")], {})
    await server.returns.write()
    (put, drop, _, plans) = server.kept[-1]
    assert (put, drop, plans) == ([server.world.overrides[PAUSE, "a"]], [], {PLAN.id: None})
    server.tick(NOW + 120, monkeypatch)
    assert server.world.overrides == {}
    assert [(e.action, e.actor) for e in server.entries] == [("set", "clock"), ("expire", "clock")]


async def test_one_that_comes_again_is_planned_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """2023-11-14 22:13:20 is now, and it was to begin at 22:14."""
    server = planned(replace(PLAN, begins=NOW + 40, every="14 22 * * *"))
    server.tick(NOW + 40, monkeypatch)
    assert [plan.begins for plan in server.world.plans.values()] == [NOW + 40 + 86400]
    assert list(server.world.overrides) == [(PAUSE, "a")]


@pytest.mark.parametrize(
    ("overrule", "noted"),
    [((), ["refuse"]), (("at-least:web",), ["refuse"]), (("leaves-no-region",), ["overrule", "set"])],
)
async def test_a_plan_that_would_leave_nobody_is_not_carried_out_unless_that_is_overruled(
    overrule: tuple[str, ...], noted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = planned(replace(PLAN, overrule=overrule), "b")
    server.tick(NOW + 60, monkeypatch)
    assert ((PAUSE, "a") in server.world.overrides) is ("set" in noted)
    assert [e.action for e in server.entries] == noted
    assert server.world.plans == {}


async def test_a_plan_for_what_the_files_have_lost_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    server = planned(replace(PLAN, subject="of-yore"))
    server.tick(NOW + 60, monkeypatch)
    assert (server.world.overrides, server.world.plans) == ({}, {})
    assert "there is no region 'of-yore'" in server.entries[0].after


async def test_what_a_full_disk_refused_is_written_when_there_is_room() -> None:
    world = world_of("a b", ((NEAREST,), False))
    pool = replace(world.pools["web"], failback=Failback(manual=True))
    model = Model(world.regions, {}, {"web": pool}, world.policies, ())
    world, _ = apply(world, Loaded(model, world.steered, world.ttls))
    server = Server(with_verdict(world, "a", Verdict.UP))
    before = server.world
    failed = Observed({probe_in(before, "a"): Health(Verdict.DOWN, NOW)})
    server.apply(failed)
    server.apply(server.returns.after(before, server.world, failed))
    assert list(server.world.overrides) == [(HOLD, "a:web")], "answers do not wait for the disk"
    server.full = True
    await server.returns.write()
    assert (server.returns.errors, server.kept) == (1, [])
    server.full = False
    await server.returns.write()
    assert [o.kind for o in server.kept[0][0]] == [HOLD]
