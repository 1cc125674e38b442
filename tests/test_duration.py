"""Durations are written the same everywhere: a number of seconds, or parts with units."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geodns.core.duration import BadDurationError, parse, text


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("20", 20),
        ("20s", 20),
        ("1.5s", 1.5),
        ("250ms", 0.25),
        ("30m", 1800),
        ("1h30m", 5400),
        (" 7d ", 604800),
    ],
)
def test_reads(written: str, seconds: float) -> None:
    assert parse(written) == seconds


@pytest.mark.parametrize(
    "written", ["", "m", "-5s", "5 s", "5x", "1h30", "30m later", "1e3", "٣s", "99999999999"]
)
def test_refuses(written: str) -> None:
    with pytest.raises(BadDurationError, match="is no duration: write 20, 20s, 30m, 1h30m or 7d"):
        parse(written)


@given(st.text("019.smhd x-٣", max_size=12))
def test_any_text_is_a_duration_or_refused(written: str) -> None:
    try:
        assert parse(written) >= 0
    except BadDurationError as error:
        assert "\n" not in str(error) or "\n" in written


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0 s"), (26, "26 s"), (90, "1 min 30 s"), (7500, "2 h 5 min"), (90061, "1 d 1 h")],
)
def test_shows_the_two_largest_parts(seconds: float, shown: str) -> None:
    assert text(seconds) == shown
