"""What every resource finds in the application."""

from __future__ import annotations

from typing import Protocol

from aiohttp import web

from geodns.admin.control import Control


class Clock(Protocol):
    """The time now, in Unix seconds."""

    def __call__(self) -> float: ...


CONTROL = web.AppKey("control", Control)
CLOCK = web.AppKey("clock", Clock)
