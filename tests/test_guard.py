"""A pause is refused where it would leave clients of a steered name without any region, and only there."""

from __future__ import annotations

import pytest
from admin_support import ANY, NEAREST, only, with_paused, with_verdict, world_of

from geodns.core.guard import MAX_NAMES, guard
from geodns.core.health import Verdict
from geodns.core.overrides import DOWN, FORCE, PAUSE, UP, WEIGHT, Override
from geodns.core.rules import Broken
from geodns.core.world import Overridden, World, apply
from geodns.model import Nearest, Split, Step

FREE, FENCED = False, True
SPLIT = Split((("a", 90), ("b", 10)))
ELSEWHERE = Split((("elsewhere", 1),))

ALLOWED: list[tuple[str, str, list[tuple[tuple[Step, ...], bool]], str, str]] = [
    # why, regions of the pool, rules, already paused, to pause
    ("others are left", "a b c", [((NEAREST,), FREE)], "a", "b"),
    ("the rule goes on to nearest", "a b", [((only("a"),), FREE)], "", "a"),
    ("half of a fenced split is left", "a b c", [((SPLIT,), FENCED), ((NEAREST,), FREE)], "", "a"),
    ("the fence holds a second choice", "a b", [((only("a"), only("b")), FENCED)], "", "a"),
    ("the fence holds all regions", "a b", [((ANY,), FENCED)], "", "a"),
    ("the fence holds two nearest ones", "a b c", [((Nearest(2),), FENCED)], "", "a"),
    ("the fence holds the nearest one beside", "a b c", [((only("a"), Nearest(1)), FENCED)], "", "a"),
    ("no pool is in the region", "a b", [((NEAREST,), FREE)], "a", "unused"),
    ("it is paused already", "a", [((NEAREST,), FREE)], "a", "a"),
    ("the fenced rule had nothing before", "a b", [((ELSEWHERE,), FENCED), ((NEAREST,), FREE)], "", "a"),
    ("the starved rule does not lead there", "a b c", [((only("a"),), FENCED), ((ANY,), FREE)], "a", "b"),
]

REFUSED: list[tuple[str, str, list[tuple[tuple[Step, ...], bool]], str, str]] = [
    ("it is the last region", "a b", [((NEAREST,), FREE)], "a", "b"),
    ("it is the only region", "a", [((NEAREST,), FREE)], "", "a"),
    ("it is all that is in the fence", "a b", [((only("a"),), FENCED), ((NEAREST,), FREE)], "", "a"),
    ("the rest of the fence is paused", "a b c", [((SPLIT,), FENCED), ((NEAREST,), FREE)], "a", "b"),
    ("only a later rule starves", "a b", [((NEAREST,), FREE), ((only("b"),), FENCED)], "", "b"),
    ("a fence of all regions ends too", "a b", [((ANY,), FENCED)], "b", "a"),
    ("somebody's nearest one is all they have", "a b c", [((Nearest(1),), FENCED)], "", "a"),
    ("somebody's two nearest ones would be paused", "a b c", [((Nearest(2),), FENCED)], "b", "a"),
    ("first choice and nearest one", "a b c", [((only("a"), Nearest(1)), FENCED)], "a", "b"),
]


def changed(world: World, *overrides: Override) -> Broken | None:
    """The only rule that overrides break which are set one after the other, all at once."""
    after = world
    for override in overrides:
        after, _ = apply(after, Overridden(override))
    broken = guard(world, after)
    assert len(broken) < 2
    return broken[0] if broken else None


def paused(world: World, subject: str) -> Broken | None:
    return changed(world, Override(PAUSE, subject, "why", "who", 0.0))


@pytest.mark.parametrize(("why", "regions", "rules", "before", "region"), ALLOWED, ids=lambda v: str(v)[:40])
def test_allows(
    why: str, regions: str, rules: list[tuple[tuple[Step, ...], bool]], before: str, region: str
) -> None:
    world = with_paused(world_of(regions, *rules), *before.split())
    assert paused(world, region) is None, why


@pytest.mark.parametrize(("why", "regions", "rules", "before", "region"), REFUSED, ids=lambda v: str(v)[:40])
def test_refuses(
    why: str, regions: str, rules: list[tuple[tuple[Step, ...], bool]], before: str, region: str
) -> None:
    world = with_paused(world_of(regions, *rules), *before.split())
    refused = paused(world, region)
    assert refused is not None, why
    assert refused.rule == "leaves-no-region"
    assert refused.names == ("www.example.com.",)
    assert "www.example.com." in refused.detail


def test_a_pool_that_no_name_uses_is_nobodys_loss() -> None:
    world = world_of("a", ((NEAREST,), FREE))
    unused = world.__class__(regions=world.regions, pools=world.pools, policies=world.policies)
    assert paused(unused, "a") is None


def test_many_names_are_told_by_example() -> None:
    names = tuple(f"n{i:02}.example.com." for i in range(30))
    refused = paused(world_of("a", ((NEAREST,), FREE), names=names), "a")
    assert refused is not None
    assert len(refused.names) == MAX_NAMES
    assert "n02.example.com. and 27 more" in refused.detail


@pytest.mark.parametrize(
    ("up", "down", "pause", "refused"),
    [
        ("a", "b", "a", True),  # all clients would be sent to what is down
        ("a b", "", "a", False),
        ("a", "b", "b", False),  # what is down already serves nobody
        ("", "a b", "a", False),
    ],
)
def test_the_last_healthy_region_is_kept_as_well(up: str, down: str, pause: str, refused: bool) -> None:
    world = world_of("a b", ((NEAREST,), FREE))
    for region in up.split():
        world = with_verdict(world, region, Verdict.UP)
    for region in down.split():
        world = with_verdict(world, region, Verdict.DOWN)
    found = paused(world, pause)
    assert (found.rule if found else None) == ("leaves-no-healthy-region" if refused else None)


@pytest.mark.parametrize(
    ("subject", "refused"),
    [
        ("a:web", True),  # a region of the pool is as much as the region to it
        ("a:web:a-1", True),  # and so is the only endpoint in it
        ("a:other", False),
        ("a:web:of-yore", False),
    ],
)
def test_what_is_inside_a_region_may_be_all_that_is_left_of_it(subject: str, refused: bool) -> None:
    world = with_paused(world_of("a b", ((NEAREST,), FREE)), "b")
    assert (paused(world, subject) is not None) is refused


@pytest.mark.parametrize(
    ("override", "refused"),
    [
        (Override(FORCE, "a", "why", "who", 0.0, None, DOWN), True),
        (Override(FORCE, "b", "why", "who", 0.0, None, UP), False),
        (Override(WEIGHT, "a", "why", "who", 0.0, None, 1), False),
    ],
)
def test_a_verdict_by_hand_is_guarded_as_a_pause_is(override: Override, refused: bool) -> None:
    world = with_verdict(world_of("a b", ((NEAREST,), FREE)), "b", Verdict.DOWN)
    world = with_verdict(world, "a", Verdict.UP)
    found = changed(world, override)
    assert (found.rule if found else None) == ("leaves-no-healthy-region" if refused else None)


def test_changes_are_judged_together() -> None:
    """Each alone would do no harm."""
    world = world_of("a b", ((NEAREST,), FREE))
    both = [Override(PAUSE, region, "why", "who", 0.0) for region in "ab"]
    assert [changed(world, one) for one in both] == [None, None]
    assert changed(world, *both) is not None
