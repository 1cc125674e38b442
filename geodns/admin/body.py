"""Request bodies: one small JSON object, read strictly, and responses of the same kind."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime

from aiohttp import web

from geodns.admin.problems import ProblemError
from geodns.core.duration import BadDurationError, parse

BODY_SECONDS = 5.0
MAX_TEXT = 500
_DEEPEST = 8  # mappings and lists in a body


def stamp(moment: float | None) -> str | None:
    """A Unix time as RFC 3339 text in UTC with milliseconds."""
    if moment is None:
        return None
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def answer(content: Mapping[str, object], status: int = 200) -> web.Response:
    """A JSON response. A number that is not finite (a time that never comes) becomes null."""
    text = json.dumps(_finite(content), indent=2, ensure_ascii=False, allow_nan=False, default=str)
    return web.Response(
        status=status, body=text.encode("utf-8", "backslashreplace") + b"\n", content_type="application/json"
    )


def _finite(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _finite(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


async def read(request: web.Request, *known: str, deepest: int = _DEEPEST) -> dict[str, object]:
    """The JSON object of a request's body; it may only have the `known` keys. Raises ProblemError."""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            raw = await request.read()
    except TimeoutError as error:
        raise ProblemError(408, "too-slow", f"the body was not here after {BODY_SECONDS:g} s") from error
    return mapping(_parse(raw, deepest), "the body", known)


def mapping(value: object, what: str, known: tuple[str, ...]) -> dict[str, object]:
    """A JSON object that may only have the `known` keys. Raises ProblemError."""
    if not isinstance(value, dict):
        raise bad(f"{what} must be a JSON object with {_listed(known)}")
    for key in value:
        if key not in known:
            raise bad(f"unknown key '{key[:40]}'; known are {_listed(known)}")
    return value


def _parse(raw: bytes, deepest: int) -> object:
    if not raw.strip():
        raise bad("the body is empty; it must be a JSON object")
    if raw.count(b"{") + raw.count(b"[") > deepest:
        raise bad("the body is nested too deeply")
    try:
        return json.loads(raw, object_pairs_hook=_unique, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise bad(f"the body is no JSON: {error.msg} at line {error.lineno} column {error.colno}") from error
    except ValueError as error:  # not UTF-8, or a number of thousands of digits
        raise bad("the body is no JSON: not UTF-8 text, or a number out of all bounds") from error


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise bad("the body has a key twice")
    return found


def _no_constant(name: str) -> object:
    raise bad(f"the body is no JSON: {name} is no JSON value")


def text(body: Mapping[str, object], key: str, default: str | None = None, *, limit: int = MAX_TEXT) -> str:
    """A text of the body, stripped; required where there is no default. Raises ProblemError."""
    value = body.get(key, default)
    if value is None:
        raise bad(f"'{key}' is missing")
    if not isinstance(value, str) or not value.strip():
        raise bad(f"'{key}' must be a text that is not empty")
    value = value.strip()
    if len(value) > limit or not value.isprintable():
        raise bad(f"'{key}' must be one line of at most {limit} printable characters")
    return value


def flag(body: Mapping[str, object], key: str) -> bool:
    """A yes or no of the body, no where it is missing. Raises ProblemError."""
    value = body.get(key, False)
    if not isinstance(value, bool):
        raise bad(f"'{key}' must be true or false")
    return value


def duration(body: Mapping[str, object], key: str, most: float) -> float | None:
    """Seconds, as a number or a text such as 30m; None where the key is missing. Raises ProblemError."""
    value = body.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise bad(f"'{key}' must be a duration such as 30m, or a number of seconds")
    bounds = f"'{key}' must be at least 1s and at most {most / 86400:g}d"
    try:
        seconds = parse(value) if isinstance(value, str) else float(value)
    except BadDurationError as error:
        raise bad(f"'{key}': {error}") from error
    except OverflowError as error:
        raise bad(bounds) from error
    if not 1 <= seconds <= most:
        raise bad(bounds)
    return seconds


def tags(text: str | None) -> frozenset[str] | None:
    """The entity tags of an If-Match header (RFC 9110 §13.1.1); None where anything will do."""
    if text is None or text.strip() == "*":
        return None
    return frozenset(part.strip().strip('"') for part in text.split(","))


def dress(response: web.StreamResponse) -> None:
    """Whatever is answered has this in its headers, and a connection of its own."""
    response.headers["Server"] = "geodns"
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.force_close()


def bad(detail: str) -> ProblemError:
    """The problem of a body that cannot be used."""
    return ProblemError(400, "bad-body", detail)


def bad_query(detail: str) -> ProblemError:
    """The problem of a query that cannot be used."""
    return ProblemError(400, "bad-request", detail)


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(f"'{name}'" for name in names)
