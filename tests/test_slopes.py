"""How the share of a drain goes down and that of a ramp up: by time alone, at the pace of resolvers."""

from __future__ import annotations

import pytest

from geodns.core.overrides import DRAIN, Override
from geodns.core.slopes import Slope, down, up

SINCE = 1_700_000_000.0


def course(slope: Slope, every: float) -> list[int]:
    """The share at the beginning and each `every` seconds, until the end."""
    return [slope.at(SINCE, SINCE + n * every) for n in range(int(slope.over / every) + 1)]


@pytest.mark.parametrize(
    ("over", "ttl", "shares"),
    [
        (600, 15, [90, 80, 70, 60, 50, 40, 30, 20, 10, 0]),
        (120, 15, [80, 60, 40, 20, 0]),
        (60, 15, [67, 34, 0]),
        (59, 15, [50, 0]),
        (1, 15, [50, 0]),
        (9, 0, [90, 80, 70, 60, 50, 40, 30, 20, 10, 0]),
    ],
)
def test_a_drain_goes_down_evenly_and_no_step_is_shorter_than_two_ttls(
    over: float, ttl: float, shares: list[int]
) -> None:
    slope = down(over, ttl)
    assert course(slope, over / len(slope.levels)) == shares
    assert len(slope.levels) == 1 or over / len(slope.levels) >= 2 * ttl


@pytest.mark.parametrize(
    ("over", "ttl", "shares"),
    [
        (600, 15, [10, 25, 50, 100]),
        (90, 15, [10, 25, 50, 100]),
        (89, 15, [10, 50, 100]),
        (59, 15, [25, 100]),
    ],
)
def test_a_ramp_goes_up_by_10_25_50_and_100_percent(over: float, ttl: float, shares: list[int]) -> None:
    slope = up(over, ttl)
    assert slope.over == over
    assert course(slope, over / len(slope.levels)) == shares


def test_a_ramp_takes_two_ttls_at_least() -> None:
    assert up(1, 15).over == 30


@pytest.mark.parametrize("start", range(0, 101, 7))
def test_nobody_is_put_back_by_a_slope_that_begins_where_another_was(start: int) -> None:
    for over in (1, 60, 100, 600):
        falling, rising = down(over, 15, start), up(over, 15, start)
        assert (falling.levels[0] <= start, rising.levels[0] >= start) == (True, True)
        assert list(falling.levels) == sorted(falling.levels, reverse=True)
        assert list(rising.levels) == sorted(rising.levels)


@pytest.mark.parametrize(
    "slope", [down(600, 15), up(600, 15), down(300, 15, 3), down(60, 15, 0), up(9, 3, 60)]
)
def test_a_share_holds_until_the_moment_that_is_told(slope: Slope) -> None:
    """Going from moment to moment finds every share, and nothing changes between two."""
    share, found = slope.at(SINCE, SINCE), []
    while (moment := slope.after(SINCE, share)) is not None:
        assert slope.at(SINCE, moment - 0.001) == share
        share = slope.at(SINCE, moment)
        found.append(share)
        assert len(found) < 20
    assert share == slope.end == slope.at(SINCE, SINCE + slope.over)


def test_a_clock_that_is_set_back_changes_nothing_before_its_time() -> None:
    slope = down(600, 15)
    assert slope.at(SINCE, SINCE - 1e6) == 90


def test_an_override_changes_with_its_next_step_or_its_end() -> None:
    slope = down(600, 15)
    drain = Override(DRAIN, "a", "", "", SINCE, SINCE + 700, 90, slope)
    assert drain.next_at() == pytest.approx(SINCE + 600 / 9)
    assert Override(DRAIN, "a", "", "", SINCE, SINCE + 700, 0, slope).next_at() == SINCE + 700
    assert Override(DRAIN, "a", "", "", SINCE, None, 0, slope).next_at() is None
