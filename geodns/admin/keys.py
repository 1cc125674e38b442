"""What every resource finds in the application."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from aiohttp import web

from geodns.admin.control import Control


class Clock(Protocol):
    """The time now, in Unix seconds."""

    def __call__(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Streams:
    """The connections that may live as long as they like."""

    connections: set[object] = field(default_factory=set)


CONTROL = web.AppKey("control", Control)
STREAMS = web.AppKey("streams", Streams)
CLOCK = web.AppKey("clock", Clock)
