"""The forms of what protects a pool: from operators in haste, and from load."""

# ruff: noqa: RUF012 - pydantic copies defaults

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import Discriminator, Tag

from geodns.config.schema.types import (
    Form,
    Given,
    Id,
    Interval,
    Many,
    Reads,
    one_of,
    read_whole,
    text_of,
    wrong,
)

MAX_CAPACITY = 1_000_000_000

_REGIONS = re.compile(r"(\d+)( +regions?)?", re.ASCII).fullmatch


def _regions(value: Any) -> int:
    """`2`, or `2 regions`."""
    text = text_of(value, "a number of regions")
    match = _REGIONS(text)
    if match is None:
        wrong("not-a-number", f"'{text}' is no number of regions", "write 2 regions")
    return read_whole(match[1], 1, 1000)


def read_percent(value: Any, low: int, high: int) -> int:
    """`40%`: the sign is asked for, so that nobody wonders of what it is a share."""
    text = text_of(value, "a share such as 40%")
    if not text.endswith("%"):
        wrong("not-a-share", f"'{text}' is no share", f"write {text}%" if text.isdigit() else "write 40%")
    return read_whole(text[:-1].strip(), low, high)


def percent(low: int, high: int) -> Reads:
    return Reads(lambda value: read_percent(value, low, high), {"type": "string", "pattern": r"^\d+ *%$"})


class ShedForm(Form):
    low: Annotated[int, percent(1, 200)] = 80
    high: Annotated[int, percent(1, 200)] = 100
    settle: Interval = 60.0


def _shape(value: Any) -> str:
    return "<mapping>" if isinstance(value, dict | ShedForm) else "<name>"


ShedRef = Annotated[
    Annotated[str, one_of("none"), Tag("<name>")] | Annotated[ShedForm, Tag("<mapping>")],
    Discriminator(_shape),
]


class GuardForm(Form):
    at_least: Given[
        Annotated[int, Reads(_regions, {"type": ["integer", "string"], "pattern": r"^\d+( +regions?)?$"})]
    ] = None
    never_pause_together: Many[Id] = []
    max_paused_capacity: Given[Annotated[int, percent(0, 99)]] = None
