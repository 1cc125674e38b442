"""Alarms to a program of the operator's: JSON on its standard input; told once it ends with exit code 0."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from geodns import programs
from geodns.errors import printable
from geodns.observe.hooks import Message, Outcome, Send

MAX_DETAIL = 200  # characters


def hook(command: Sequence[str]) -> Send:
    """Runs `command`, a program by its whole path and its arguments."""
    return partial(_run, command)


async def _run(command: Sequence[str], message: Message) -> Outcome:
    try:
        ended = await programs.run(command, {}, message.body)
    except (OSError, ValueError) as error:  # a ValueError is a NUL among the arguments
        return Outcome(False, f"cannot run {command[0]}: {getattr(error, 'strerror', None) or error}")
    detail = f"{ended.how}: {ended.line}" if ended.line else ended.how
    return Outcome(ended.well, printable(detail)[:MAX_DETAIL])
