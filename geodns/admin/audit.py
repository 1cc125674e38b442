"""`/api/v1/log`: what was done, by whom and why, newest first; `…/verify`: whether its chain holds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime

from aiohttp import web

from geodns.admin.body import answer, bad_query, stamp
from geodns.admin.keys import CONTROL
from geodns.core.audit import ACTIONS, Entry, Row, Wanted

MAX_ROWS = 1000
DEFAULT_ROWS = 100
_KEYS = ("action", "actor", "subject", "since", "until", "before", "limit")


def add_routes(app: web.Application) -> None:
    app.router.add_get("/api/v1/log", _log)
    app.router.add_get("/api/v1/log/verify", _verify)


async def _log(request: web.Request) -> web.Response:
    query = _known(request.query, _KEYS)
    limit = _number(query, "limit", MAX_ROWS) or DEFAULT_ROWS
    wanted = Wanted(
        action=_action(query),
        actor=query.get("actor"),
        subject=query.get("subject"),
        since=_moment(query, "since"),
        until=_moment(query, "until"),
        before=_number(query, "before", 2**62),
    )
    page = await request.app[CONTROL].audit(wanted, limit)
    return answer(
        {
            "entries": [_row(row) for row in page.rows],
            "next": page.rows[-1].seq if len(page.rows) == limit else None,
            "dropped": page.dropped,
            "head": _noted(*page.head),
        }
    )


async def _verify(request: web.Request) -> web.Response:
    query = _known(request.query, ("head",))
    proof = await request.app[CONTROL].verify(_head(query))
    return answer(
        {
            "ok": not proof.wrong,
            "wrong": proof.wrong or None,
            "first": proof.first,
            "last": proof.last,
            "head": _noted(proof.last, proof.hash),
        }
    )


def _row(row: Row) -> dict[str, object]:
    return {"seq": row.seq, **told_of(row.entry), "hash": row.hash.hex()}


def told_of(e: Entry) -> dict[str, object]:
    """An entry as the API tells it."""
    return {
        "at": stamp(e.at),
        "action": e.action,
        "subject": e.subject,
        "actor": e.actor,
        "reason": e.reason,
        "before": _told(e.before),
        "after": _told(e.after),
    }


def _told(text: str) -> object:
    """An entry's JSON; one that was cut off is told as the text that is left of it."""
    try:
        return json.loads(text) if text else None
    except ValueError:
        return text


def _noted(seq: int, hash_: bytes) -> str:
    return f"{seq}:{hash_.hex()}"


def _known(query: Mapping[str, str], keys: tuple[str, ...]) -> Mapping[str, str]:
    for key in query:
        if key not in keys:
            raise bad_query(f"unknown parameter '{key[:40]}'; known are {', '.join(keys)}")
    return query


def _action(query: Mapping[str, str]) -> str | None:
    action = query.get("action")
    if action is not None and action not in ACTIONS:
        raise bad_query(f"there is no action '{action[:40]}'; known are {', '.join(ACTIONS)}")
    return action


def _number(query: Mapping[str, str], key: str, most: int) -> int | None:
    text = query.get(key)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 20 and 1 <= int(text) <= most):
        raise bad_query(f"'{key}' must be a number from 1 to {most}")
    return int(text)


def _moment(query: Mapping[str, str], key: str) -> float | None:
    text = query.get(key)
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
        if found.tzinfo is None:
            raise ValueError
        return found.timestamp()
    except (ValueError, OverflowError) as error:
        raise bad_query(f"'{key}' must be a time such as 2026-11-23T05:42:43Z") from error


def _head(query: Mapping[str, str]) -> tuple[int, bytes] | None:
    text = query.get("head")
    if text is None:
        return None
    seq, _, hash_ = text.partition(":")
    if not (seq.isascii() and seq.isdigit() and len(seq) < 19 and len(hash_) == 64):
        raise bad_query("'head' must be the `head` of an earlier answer")
    try:
        return int(seq), bytes.fromhex(hash_)
    except ValueError as error:
        raise bad_query("'head' must be the `head` of an earlier answer") from error
