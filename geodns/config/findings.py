"""What one reading of the files found, collected so that a person gets all of it at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from difflib import get_close_matches

from geodns.errors import Position, Problem, Severity, printable

LIMIT = 1000
LONGEST = 400  # letters of a message


class Findings:
    """Problems in the order of the files; more than `LIMIT` errors, or warnings, are counted, not kept."""

    def __init__(self) -> None:
        self._kept: dict[tuple[Position, str], Problem] = {}
        self._told: Counter[Severity] = Counter()
        self.failed = False

    def error(self, code: str, message: str, position: Position, hint: str = "") -> None:
        self.failed = True
        self._add(Problem(code, _one_line(message), position, _one_line(hint)))

    def warning(self, code: str, message: str, position: Position, hint: str = "") -> None:
        self._add(Problem(code, _one_line(message), position, _one_line(hint), Severity.WARNING))

    def _add(self, problem: Problem) -> None:
        key = (problem.position, problem.message)
        if key in self._kept:
            return
        self._told[problem.severity] += 1
        if self._told[problem.severity] <= LIMIT:
            self._kept[key] = problem

    def sorted(self) -> tuple[Problem, ...]:
        found = sorted(self._kept.values(), key=lambda p: p.position)
        for severity, told in self._told.items():
            if told > LIMIT:
                more = f"and {told - LIMIT} more {severity.value}s"
                found.append(Problem("too-many", more, Position(""), "mend these first", severity))
        return tuple(found)


def _one_line(text: str) -> str:
    return printable(text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint that names the nearest known word, or else all of them while they are few."""
    words = sorted(set(known))
    close = get_close_matches(word, words, n=1, cutoff=0.6)
    if close:
        return f"did you mean '{close[0]}'?"
    return f"known: {', '.join(words)}" if 0 < len(words) <= 12 else ""
