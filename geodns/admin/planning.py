"""When an override holds, as a body says it, and `/api/v1/plans/{id}`: what is planned, and dropped again."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from geodns.admin.body import bad, duration, stamp, text
from geodns.admin.schedules import MAX_TEXT, upcoming
from geodns.core.overrides import Override, value_text
from geodns.core.plans import Plan
from geodns.core.world import World
from geodns.errors import GeodnsError

MAX_AHEAD = 365 * 86400.0
KEYS = ("for", "from", "until", "every")


class Span(NamedTuple):
    """From when (None: now) for how long (seconds; None: until it is lifted), and how it comes again."""

    begins: float | None
    length: float | None
    every: str = ""


def span(body: Mapping[str, object], now: float) -> Span:
    """What `for`, `from`, `until` and `every` come to. Raises ProblemError."""
    length = duration(body, "for", MAX_AHEAD)
    if "every" in body:
        if "from" in body or "until" in body or length is None:
            raise bad("'every' goes with 'for', and with neither 'from' nor 'until'")
        every = text(body, "every", limit=MAX_TEXT)
        try:
            begins = upcoming(every, now)
        except GeodnsError as error:
            raise bad(f"'every': {error}") from error
        if begins is None:
            raise bad(f"'every': '{every}' never comes")
        return Span(begins, length, every)
    begins, until = _moment(body, "from", now), _moment(body, "until", now)
    if until is not None:
        if length is not None:
            raise bad("'until' and 'for' say the same: give one of them")
        length = until - (now if begins is None else begins)
        if length < 1:
            raise bad("'until' must come after 'from'")
    return Span(begins, length)


def _moment(body: Mapping[str, object], key: str, now: float) -> float | None:
    if key not in body:
        return None
    written = text(body, key, limit=40)
    try:
        moment = datetime.fromisoformat(written)
        found = moment.timestamp()
    except (ValueError, OverflowError) as error:
        raise bad(f"'{key}' must be a time such as 2026-11-23T05:42:43Z") from error
    if moment.tzinfo is None:
        raise bad(f"'{key}' must be a time with its zone, such as 2026-11-23T05:42:43Z")
    if not now < found <= now + MAX_AHEAD:
        raise bad(f"'{key}' must lie ahead, by a year at most")
    return found


def plan_told(world: World, plan: Plan) -> dict[str, object]:
    """A plan as the API tells it, without its kind and subject."""
    value = value_text(Override(plan.kind, plan.subject, "", "", 0.0, None, plan.value))
    return {
        "id": plan.id,
        **({"value": value} if value else {}),
        **({"over": plan.over} if plan.over else {}),
        "reason": plan.reason,
        "actor": plan.actor,
        "from": stamp(plan.begins),
        "until": stamp(plan.ends),
        "every": plan.every or None,
        "caches_clear_at": stamp(plan.begins + world.ttls_under(plan.subject).lowered + 1),
    }
