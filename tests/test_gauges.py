"""Gauges of load: coarse steps that neither noise nor their own effect moves."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geodns.core.loads import BAND, STEP, Gauge, step
from geodns.model import Shed

STEADY = settings(deadline=None, derandomize=True, max_examples=60)
SHED = Shed(80, 100, 60.0)


@pytest.mark.parametrize(
    ("use", "used", "keep"),
    [(0, 0, 100), (4.9, 0, 100), (79, 75, 100), (80, 80, 100), (81, 80, 95), (100, 100, 80),
     (150, 150, 55), (1000, 1000, 5), (1e9, 10_000, 5)],
)  # fmt: skip
def test_the_first_report_is_taken_as_it_is(use: float, used: int, keep: int) -> None:
    assert step(None, use, 100.0, SHED, 7.0) == Gauge(100, used, keep, 7.0)


def test_the_share_that_is_kept_leaves_the_load_that_asks_for_it() -> None:
    """1 - keep = (used - low) / (high - low), as far as whole steps go."""
    for demand in range(80, 300):
        keep = step(None, demand, 100.0, SHED, 0.0).keep / 100
        left = demand * keep
        assert left <= 100
        assert abs((1 - keep) - max(0.0, (left - 80) / 20)) * 100 <= STEP * (1 + demand / 20)


@STEADY
@given(st.floats(0, 100), st.integers(0, 2**32))
def test_noise_within_the_band_changes_nothing(use: float, seed: int) -> None:
    chance = Random(seed)
    gauge = step(None, use, 100.0, None, 0.0)
    for at in range(1, 50):
        noisy = max(0.0, use + chance.uniform(-BAND / 2, BAND / 2))
        again = step(gauge, noisy, 100.0, None, at)
        assert again is gauge


def test_a_capacity_that_wavers_is_the_same_capacity() -> None:
    gauge = step(None, 50, 1000.0, SHED, 0.0)
    assert step(gauge, 50, 1049.0, SHED, 1.0) is gauge
    assert step(gauge, 53, 1060.0, SHED, 1.0) == replace(gauge, capacity=1060)


def test_what_is_shed_changes_once_it_must_have_shown_and_not_before() -> None:
    gauge = step(None, 100, 100.0, SHED, 0.0)
    assert (gauge.keep, gauge.since) == (80, 0.0)
    early = step(gauge, 100, 100.0, SHED, 59.0)
    assert early is gauge, "the load is as if nothing had been shed yet"
    late = step(gauge, 100, 100.0, SHED, 60.0)
    assert (late.keep, late.since) == (65, 60.0), "after that it is: more clients have come"
    assert step(late, 40, 100.0, SHED, 120.0).keep == 100


@STEADY
@given(st.integers(50, 300), st.integers(0, 2**32), st.sampled_from([0, 15, 30, 60]))
def test_the_loop_comes_to_rest(demand: int, seed: int, lag: int) -> None:
    """Clients follow their answers after up to `lag` seconds, reports are 1 % off: in ten minutes what is
    shed has changed a few times, in the next twenty hardly, and the region is not over its capacity.
    """
    chance = Random(seed)
    gauge = step(None, demand, 100.0, SHED, 0.0)
    kept, changes = [100] * (lag // 5 + 1), []
    for at in range(5, 1800, 5):
        kept = [*kept[1:], gauge.keep]
        use = demand * (sum(kept) / len(kept)) / 100
        after = step(gauge, use * chance.uniform(0.99, 1.01), 100.0, SHED, float(at))
        changes += [at] if after.keep != gauge.keep else []
        gauge = after
        assert at < 120 or use <= 102
    assert all(b - a >= SHED.settle for a, b in pairwise(changes))
    assert sum(at < 600 for at in changes) <= 4
    assert sum(at >= 600 for at in changes) <= 2
