"""What failures leave behind and what time changes: holds, returns, ramps, steps. A world, a clock."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from random import Random
from typing import Any

import pytest
from admin_support import NEAREST, NOW, probe_in, with_verdict, world_of

from geodns.core.health import Health, Verdict
from geodns.core.overrides import DRAIN, FORCE, HOLD, PAUSE, RAMP, Override
from geodns.core.plans import Plan
from geodns.core.returns import FAILBACK, begun, course, following, passed, reconsidered
from geodns.core.steer.conditions import Site
from geodns.core.steer.odds import decide, sound
from geodns.core.steer.orders import Group
from geodns.core.verbs import Asked, Change, planned
from geodns.core.world import Dropped, Loaded, Observed, Overridden, Planned, World, apply
from geodns.model import Failback, Model

UP, DOWN = Verdict.UP, Verdict.DOWN
AUTO = Failback()
MANUAL, LATER, SLOWLY = Failback(manual=True), Failback(after=300), Failback(ramp=600)
BOTH = Failback(after=300, ramp=600)


class Story:
    """A world with pool `web` over a and b, all of it up, and its clock."""

    def __init__(self, failback: Failback = AUTO) -> None:
        self.now = NOW
        self.world = world_of("a b", ((NEAREST,), False))
        self.configure(failback)
        self.verdict("a", UP)
        self.verdict("b", UP)

    def configure(self, failback: Failback) -> None:
        """New files."""
        world, pool = self.world, replace(self.world.pools["web"], failback=failback)
        model = Model(world.regions, {}, {"web": pool}, world.policies, ())
        self.world, _ = apply(world, Loaded(model, world.steered, world.ttls))
        self.world, _ = apply(self.world, reconsidered(self.world, self.now))

    def verdict(self, region: str, verdict: Verdict) -> None:
        event = Observed({probe_in(self.world, region): Health(verdict, self.now)})
        after, _ = apply(self.world, event)
        self.world, _ = apply(after, following(self.world, after, event, self.now))

    def wait(self, seconds: float) -> None:
        """Time passes, looked at once at its end: as after a restart."""
        self.now += seconds
        self.world, _ = apply(self.world, passed(self.world, self.now))

    def ask(
        self, kind: str, subject: str, *, lift: bool = False, over: float = 0.0, until: float | None = None
    ) -> None:
        change = Change(kind, subject, lift=lift, over=over, until=until)
        self.world, _ = apply(self.world, planned(self.world, Asked((change,), "why", "ann"), self.now))

    def something(self, chance: Random) -> None:
        """Whatever may happen."""
        region = chance.choice("ab")
        match chance.randrange(6):
            case 0:
                self.verdict(region, chance.choice((UP, UP, DOWN)))
            case 1:
                self.wait(chance.choice((1, 20, 100, 400)))
            case 2:
                self.ask(PAUSE, region, until=chance.choice((None, self.now + 50)))
            case 3:
                self.ask(PAUSE, region, lift=True)
            case _:
                self.ask(chance.choice((DRAIN, RAMP)), region, over=chance.choice((10, 120)))

    @property
    def set(self) -> dict[tuple[str, str], int]:
        return {key: override.value for key, override in self.world.overrides.items()}


HELD = {(HOLD, "a:web"): 0}


class TestFailback:
    def test_auto_leaves_nothing_behind(self) -> None:
        story = Story()
        story.verdict("a", DOWN)
        assert story.set == {}

    def test_manual_stays_out_until_it_is_resumed(self) -> None:
        story = Story(MANUAL)
        story.verdict("a", DOWN)
        story.verdict("a", UP)
        story.wait(1e7)
        assert story.set == HELD
        held = story.world.overrides[HOLD, "a:web"]
        assert (held.actor, held.until) == (FAILBACK, None)
        assert held.reason == "it failed; out until it is resumed"
        story.ask(PAUSE, "a", lift=True)
        assert story.set == {}

    def test_who_is_resumed_while_still_failing_is_not_held_again(self) -> None:
        story = Story(MANUAL)
        story.verdict("a", DOWN)
        story.ask(PAUSE, "a:web", lift=True)
        story.verdict("a", DOWN)
        story.verdict("a", UP)
        assert story.set == {}

    def test_after_so_much_good_health_in_a_row(self) -> None:
        story = Story(LATER)
        story.verdict("a", DOWN)
        story.verdict("a", UP)
        story.wait(299)
        story.verdict("a", DOWN)
        story.wait(1000)
        story.verdict("a", UP)
        story.wait(299)
        assert story.set == HELD
        story.wait(1)
        assert story.set == {}

    def test_slowly(self) -> None:
        story = Story(SLOWLY)
        story.verdict("a", DOWN)
        assert story.set == HELD
        story.verdict("a", UP)
        shares = []
        while story.set:
            shares.append(story.set[RAMP, "a:web"])
            story.wait(200)
        assert shares == [10, 25, 50]

    def test_both(self) -> None:
        story = Story(BOTH)
        story.verdict("a", DOWN)
        story.verdict("a", UP)
        story.wait(300)
        assert story.set == {(RAMP, "a:web"): 10}
        story.verdict("a", DOWN)
        assert story.set == HELD, "its ramp is aborted"
        story.verdict("a", UP)
        story.wait(300)
        assert story.set == {(RAMP, "a:web"): 10}

    def test_a_region_that_was_never_up_did_not_fail(self) -> None:
        story = Story(MANUAL)
        story.world = World()
        story.world = world_of("a b", ((NEAREST,), False))
        story.configure(MANUAL)
        story.verdict("a", DOWN)
        story.verdict("a", UP)
        assert story.set == {}

    def test_a_failure_during_a_pause_is_the_operators(self) -> None:
        story = Story(MANUAL)
        story.ask(PAUSE, "a", until=story.now + 60)
        story.verdict("a", DOWN)
        story.verdict("a", UP)
        story.wait(60)
        assert story.set == {}

    def test_but_not_one_that_outlasts_it(self) -> None:
        story = Story(MANUAL)
        story.ask(PAUSE, "a", until=story.now + 60)
        story.verdict("a", DOWN)
        story.wait(60)
        assert story.set == HELD

    def test_what_operators_force_is_no_failure(self) -> None:
        story = Story(MANUAL)
        story.world, _ = apply(story.world, Overridden(Override(FORCE, "a", "", "ann", NOW)))
        story.verdict("b", UP)
        assert (HOLD, "a:web") not in story.set

    def test_files_that_let_it_return_do(self) -> None:
        story = Story(MANUAL)
        story.verdict("a", DOWN)
        story.configure(AUTO)
        assert story.set == HELD, "it is not healthy"
        story.configure(MANUAL)
        story.verdict("a", UP)
        story.configure(AUTO)
        assert story.set == {}

    def test_who_failed_while_it_was_waited_for_waits_on(self) -> None:
        """The failure was found by another run of the server, which had no verdict before."""
        story = Story(LATER)
        story.verdict("a", DOWN)
        story.verdict("a", UP)
        story.world = with_verdict(story.world, "a", DOWN)
        story.wait(300)
        assert story.set == HELD
        assert story.world.overrides[HOLD, "a:web"].until is None


class TestDrain:
    def test_step_by_step_and_then_paused(self) -> None:
        story = Story()
        story.ask(DRAIN, "a", over=120)
        shares = []
        for _ in range(6):
            shares.append(story.set[DRAIN, "a"])
            story.wait(30)
        assert shares == [80, 60, 40, 20, 0, 0]
        assert story.world.paused("a") is story.world.overrides[DRAIN, "a"]

    def test_asked_for_again_it_goes_on(self) -> None:
        story = Story()
        story.ask(DRAIN, "a", over=120)
        story.wait(60)
        story.ask(DRAIN, "a", over=120)
        assert story.set == {(DRAIN, "a"): 40}
        story.wait(60)
        assert story.set == {(DRAIN, "a"): 0}
        story.ask(DRAIN, "a", over=120)
        assert story.set == {(DRAIN, "a"): 0}

    def test_over_another_time_it_goes_on_from_there(self) -> None:
        story = Story()
        story.ask(DRAIN, "a", over=120)
        story.wait(60)
        story.ask(DRAIN, "a", over=60)
        assert story.set == {(DRAIN, "a"): 27}
        story.wait(60)
        assert story.set == {(DRAIN, "a"): 0}

    def test_of_what_is_paused_changes_nothing(self) -> None:
        story = Story()
        story.ask(PAUSE, "a")
        story.ask(DRAIN, "a", over=120)
        assert story.set == {(DRAIN, "a"): 0}

    def test_a_pause_takes_its_place_and_resuming_ends_it(self) -> None:
        story = Story()
        story.ask(DRAIN, "a", over=120)
        story.ask(PAUSE, "a")
        assert story.set == {(PAUSE, "a"): 0}
        story.ask(DRAIN, "a", over=120)
        story.ask(PAUSE, "a", lift=True)
        assert story.set == {}

    def test_it_tells_when_it_is_over(self) -> None:
        """Before the pause the TTL sinks to 5 s, and the clock is read in whole seconds."""
        story = Story()
        story.ask(DRAIN, "a", over=120)
        assert course(story.world, story.world.overrides[DRAIN, "a"]) == {
            "next_at": NOW + 30,
            "paused_at": NOW + 120,
            "drained_at": NOW + 126,
        }


class TestRamp:
    def test_of_what_is_paused(self) -> None:
        story = Story()
        story.ask(PAUSE, "a")
        story.ask(RAMP, "a", over=90)
        shares = []
        while story.set:
            shares.append(story.set[RAMP, "a"])
            story.wait(30)
        assert shares == [10, 25, 50]

    def test_of_what_serves_changes_nothing(self) -> None:
        story = Story()
        story.ask(RAMP, "a", over=90)
        assert story.set == {}

    def test_asked_for_again_it_goes_on(self) -> None:
        story = Story()
        story.ask(PAUSE, "a")
        story.ask(RAMP, "a", over=90)
        story.wait(30)
        story.ask(RAMP, "a", over=90)
        assert story.set == {(RAMP, "a"): 25}

    def test_takes_a_drain_back_from_where_it_is(self) -> None:
        story = Story()
        story.ask(DRAIN, "a", over=120)
        story.wait(60)
        story.ask(RAMP, "a", over=90)
        assert story.set == {(RAMP, "a"): 50}

    def test_of_what_is_held_out(self) -> None:
        story = Story(MANUAL)
        story.verdict("a", DOWN)
        story.verdict("a", UP)
        story.ask(RAMP, "a", over=90)
        assert story.set == {(RAMP, "a"): 10}

    @pytest.mark.parametrize("subject", ["a", "a:web", "a:web:a-1"])
    def test_ends_where_it_began_when_its_subject_fails(self, subject: str) -> None:
        story = Story()
        story.ask(PAUSE, subject)
        story.ask(RAMP, subject, over=90)
        story.verdict("a", DOWN)
        story.verdict("a", UP)
        story.wait(1e6)
        assert story.set == {(HOLD, subject): 0}
        held = story.world.overrides[HOLD, subject]
        assert (held.actor, held.reason) == (
            "ann",
            "it failed in web during its ramp (why); out until it is resumed",
        )

    def test_waits_for_the_health_of_its_subject(self) -> None:
        story = Story()
        story.verdict("a", DOWN)
        story.ask(PAUSE, "a")
        story.ask(RAMP, "a", over=90)
        story.wait(1000)
        assert story.set == {(RAMP, "a"): 10}
        story.verdict("a", UP)
        story.wait(30)
        assert story.set == {(RAMP, "a"): 25}

    def test_of_another_region_goes_on(self) -> None:
        story = Story()
        story.ask(PAUSE, "a")
        story.ask(RAMP, "a", over=90)
        story.verdict("b", DOWN)
        assert story.set == {(RAMP, "a"): 10}


class TestPlans:
    def plan(self, kind: str = PAUSE, **more: Any) -> Plan:
        return Plan(kind, "a", "why", "ann", NOW + 100, 60, **more)

    def test_a_plan_changes_nothing_but_the_moment_at_which_answers_may_change(self) -> None:
        story = Story()
        story.world, touched = apply(story.world, Planned(self.plan()))
        assert (story.set, touched) == ({}, {"web"})
        assert story.world.next_at == NOW + 100
        pool = story.world.pools["web"]
        odds = decide(pool, (Group((("a", 1),)), Group((("b", 1),))), story.world, 4)
        assert (odds.change_at, odds.shares()) == (NOW + 100, {"a": 1.0})
        story.world, touched = apply(story.world, Dropped(self.plan().id))
        assert (story.world.next_at, story.world.settings, touched) == (inf, {}, {"web"})

    def test_at_its_moment_it_is_as_if_asked_for(self) -> None:
        story = Story()
        (done,) = begun(story.world, self.plan(), NOW + 100.2).changes
        assert done == Overridden(Override(PAUSE, "a", "why", "ann", NOW + 100, NOW + 160))
        (done,) = begun(story.world, self.plan(DRAIN, over=30.0), NOW + 130).changes
        assert isinstance(done, Overridden)
        story.world, _ = apply(story.world, done)
        story.now = NOW + 130
        story.wait(0)
        assert story.set == {(DRAIN, "a"): 0}, "a server that was not there finds it where time says it is"

    def test_one_whose_end_is_over_as_well_is_nothing(self) -> None:
        assert begun(Story().world, self.plan(), NOW + 160).changes == ()

    def test_what_is_planned_twice_is_planned_once(self) -> None:
        story = Story()
        for _ in range(2):
            story.world, _ = apply(story.world, Planned(self.plan()))
        assert list(story.world.plans) == [self.plan().id] == [replace(self.plan(), reason="again").id]
        assert replace(self.plan(), begins=NOW).id != self.plan().id
        weekly = self.plan(every="0 3 * * 6")
        assert replace(weekly, begins=NOW).id == weekly.id, "one that comes again keeps its id"


def test_nothing_is_looked_through_before_its_time() -> None:
    story = Story()
    story.ask(PAUSE, "a", until=NOW + 60)
    assert story.world.next_at == NOW + 60
    assert passed(story.world, NOW + 59.9).changes == ()


ORDER = (Group((("a", 1),)), Group((("b", 1),)))


@pytest.mark.parametrize("failback", [AUTO, MANUAL, LATER, SLOWLY, BOTH])
@pytest.mark.parametrize("seed", range(40))
def test_whatever_happens_somebody_is_told_and_all_return_in_the_end(seed: int, failback: Failback) -> None:
    """Whoever is healthy and not paused by hand is preferred to who is not, held or not."""
    chance, story = Random(seed), Story(failback)
    for _ in range(120):
        story.something(chance)
        pool = story.world.pools["web"]
        told = decide(pool, ORDER, story.world, 4).shares()
        open_ = [r for r in pool.regions if not Site.of(pool, r, story.world).paused]
        well = {r.region for r in open_ if sound(pool, r, story.world)}
        assert bool(told) == bool(open_)
        assert set(told) <= (well or {r.region for r in open_})
    for region in "ab":
        story.verdict(region, UP)
        story.ask(PAUSE, region, lift=True)
    for _ in range(20):
        story.wait(400)
    assert story.set == {}
