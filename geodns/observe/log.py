"""Logging: one event a line on standard error, for people at a terminal, as JSON or logfmt elsewhere.

The traceback of an unexpected exception is a field of its line. At a terminal it is left out, unless the
level is debug: people are told what happened, the field is for those who mend it.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Sequence
from typing import Protocol

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("auto", "console", "json", "logfmt")


class Stream(Protocol):
    """What lines are written to, one by one."""

    def write(self, text: str, /) -> object: ...
    def flush(self) -> object: ...
    def isatty(self) -> bool: ...


def setup(level: str = "info", form: str = "auto", stream: Stream | None = None) -> None:
    """Send everything, the libraries' lines too, to `stream` (standard error). See LEVELS and FORMATS.

    `auto` is `console` where the stream is a terminal, else `logfmt`.
    """
    out = stream or sys.stderr
    if form == "auto":
        form = "console" if out.isatty() else "logfmt"
    threshold = getattr(logging, level.upper())
    before = _before(form, threshold)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *before,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=before,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_renderers(form, out)],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(threshold)
    for talkative in ("asyncio", "aiohttp", "watchfiles"):
        logging.getLogger(talkative).setLevel(max(threshold, logging.WARNING))


def _before(form: str, threshold: int) -> Sequence[Processor]:
    brief = form == "console" and threshold > logging.DEBUG
    return [
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(
            fmt="%H:%M:%S" if form == "console" else "iso", utc=form != "console"
        ),
        _brief_exception if brief else _whole_exception,
    ]


def _renderers(form: str, out: Stream) -> Sequence[Processor]:
    match form:
        case "json":
            return [structlog.processors.JSONRenderer(ensure_ascii=False)]
        case "logfmt":
            return [structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"])]
        case _:
            return [structlog.dev.ConsoleRenderer(colors=out.isatty(), pad_event_to=0)]


def _brief_exception(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    error = _taken(event)
    if error is not None:
        event["error"] = f"{type(error).__name__}: {error}"
    return event


def _whole_exception(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    error = _taken(event)
    if error is not None:
        event["error"] = f"{type(error).__name__}: {error}"
        event["traceback"] = "".join(traceback.format_exception(error))
    return event


def _taken(event: EventDict) -> BaseException | None:
    given = event.pop("exc_info", None)
    if given is True:
        given = sys.exc_info()
    if isinstance(given, tuple):
        given = given[1]
    return given if isinstance(given, BaseException) else None
