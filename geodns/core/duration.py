"""Durations as people write them, to seconds and back: `20`, `20s`, `30m`, `1h30m`, `7d`."""

from __future__ import annotations

import re

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"([0-9]{1,10}(?:\.[0-9]{1,3})?)(ms|s|m|h|d)?")


class BadDurationError(ValueError):
    """A text that is no duration; the message says how one is written."""


def parse(text: str) -> float:
    """Seconds. A bare number is seconds; parts with units may follow each other. Raises BadDurationError."""
    parts = [(m[1], m[2]) for m in _PART.finditer(text.strip())]
    whole = "".join(number + (unit or "") for number, unit in parts)
    bare = any(not unit for _, unit in parts)
    if not parts or whole != text.strip() or (bare and len(parts) > 1):
        raise BadDurationError(f"'{text[:40]}' is no duration: write 20, 20s, 30m, 1h30m or 7d")
    return sum(float(number) * _UNITS[unit or "s"] for number, unit in parts)


def text(seconds: float) -> str:
    """The two largest parts, for people: `26 s`, `1 min 30 s`, `2 h 5 min`, `3 d 4 h`."""
    left = max(0, round(seconds))
    found: list[str] = []
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count or (unit == "s" and not found):
            found.append(f"{count} {unit}")
    return " ".join(found[:2])
