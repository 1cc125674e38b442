"""What can be wrong with what people wrote: a code, where it stands, what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in a file; line and column count from 1, 0 means the whole file."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding about a file. `code` is stable and greppable (`unknown-key`), `hint` says what to do."""

    code: str
    message: str
    position: Position
    hint: str = ""
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        kind = "warning: " if self.severity is Severity.WARNING else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.position}: {kind}{self.message}{hint}"


class GeodnsError(Exception):
    """Anything that is told to a user in one line, never as a traceback."""


class ConfigError(GeodnsError):
    """Files that cannot be served; carries every problem that one reading found."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(p) for p in problems))
        self.problems = problems


class StoreError(GeodnsError):
    """State that cannot be read or written; `full` where the cause is a full disk or a reached bound."""

    def __init__(self, message: str, *, full: bool = False) -> None:
        super().__init__(message)
        self.full = full


class DiskError(StoreError):
    """The disk refused, for want of room (`full`) or otherwise: the same may be asked of it again."""


def printable(text: str) -> str:
    """What is quoted may hold anything; what is told fits a line of a terminal or a log."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
