"""`/api/v1/overrides`: what operators set on regions, pools in them and endpoints; `/api/v1/batch`: many
at once, all or none.
"""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from geodns.admin.body import answer, bad, duration, flag, mapping, read, stamp, tags, text
from geodns.admin.control import Applied
from geodns.admin.keys import CLOCK, CONTROL
from geodns.admin.prediction import predicted
from geodns.admin.problems import ProblemError
from geodns.core.overrides import DOWN, FORCE, KINDS, PAUSE, UP, Override, Subject, value_text
from geodns.core.verbs import Asked, Change, known, read_weight, require, tag_of
from geodns.core.world import World
from geodns.errors import GeodnsError

MAX_FOR = 365 * 86400.0
MAX_CHANGES = 100
MAX_RULES = 100
DEFAULT_ACTOR = "api"
_ASKED = ("reason", "for", "overrule", "actor", "dry_run")
_CHANGE = ("set", "lift", "subject", "value", "for", "if_match")
_FORCES = {"up": UP, "down": DOWN}


def add_routes(app: web.Application) -> None:
    app.router.add_get("/api/v1/overrides", _list)
    app.router.add_get("/api/v1/overrides/{subject}", _on_subject)
    app.router.add_put("/api/v1/overrides/{subject}/{kind}", _set)
    app.router.add_delete("/api/v1/overrides/{subject}/{kind}", _lift)
    app.router.add_post("/api/v1/batch", _batch)


async def _list(request: web.Request) -> web.Response:
    world = request.app[CONTROL].world()
    return answer({"overrides": [_whole(world, override) for override in world.overrides.values()]})


async def _on_subject(request: web.Request) -> web.Response:
    world, subject = request.app[CONTROL].world(), request.match_info["subject"]
    found = world.set_on(subject)
    if not found:
        require(world, subject)
    response = answer({"subject": subject, "overrides": [_whole(world, override) for override in found]})
    response.headers["ETag"] = f'"{tag_of(world, subject)}"'
    return response


async def _set(request: web.Request) -> web.Response:
    kind, subject = _kind(request), request.match_info["subject"]
    return await set_one(request, kind, subject, {"subject": subject, "kind": kind})


async def _lift(request: web.Request) -> web.Response:
    kind, subject = _kind(request), request.match_info["subject"]
    return await lift_one(request, kind, subject, {"subject": subject, "kind": kind})


async def set_one(request: web.Request, kind: str, subject: str, head: Mapping[str, object]) -> web.Response:
    """Set one override, as the request's body and If-Match say; `head` begins the response."""
    valued = ("value",) if kind != PAUSE else ()
    body = await read(request, *_ASKED, *valued)
    change = _setting(request, kind, subject, body, tags(request.headers.get("If-Match")))
    return await _one(request, _asked(body, (change,)), head)


async def lift_one(request: web.Request, kind: str, subject: str, head: Mapping[str, object]) -> web.Response:
    """Lift one override, as the request's query and If-Match say."""
    asked = Asked(
        (Change(kind, subject, lift=True, match=tags(request.headers.get("If-Match"))),),
        reason=text(request.query, "reason", "-"),
        actor=text(request.query, "actor", DEFAULT_ACTOR, limit=100),
        overrule=_overrule(request.query.getall("overrule", [])),
        dry_run=request.query.get("dry_run", "false") == "true",
    )
    return await _one(request, asked, head)


async def _batch(request: web.Request) -> web.Response:
    body = await read(request, "reason", "overrule", "actor", "dry_run", "changes", deepest=2 * MAX_CHANGES)
    items = body.get("changes")
    if not isinstance(items, list) or not 1 <= len(items) <= MAX_CHANGES:
        raise bad(f"'changes' must be a list of 1 to {MAX_CHANGES} changes")
    changes = tuple(_change(request, mapping(item, "a change", _CHANGE)) for item in items)
    if len({(change.kind, change.subject) for change in changes}) < len(changes):
        raise bad("'changes' has two for one override")
    asked = _asked(body, changes)
    applied = await request.app[CONTROL].change(asked)
    told = [{"subject": c.subject, "kind": c.kind, "set": not c.lift, **_told(applied, c)} for c in changes]
    return answer({"changes": told, **_when(applied, asked)})


def _change(request: web.Request, item: Mapping[str, object]) -> Change:
    if ("set" in item) == ("lift" in item):
        raise bad("a change has either 'set' or 'lift'")
    lift = "lift" in item
    kind, subject = text(item, "lift" if lift else "set", limit=20), text(item, "subject")
    if kind not in KINDS:
        raise bad(f"there is no override '{kind}'; known are {', '.join(KINDS)}")
    match = tags(text(item, "if_match")) if "if_match" in item else None
    if not lift:
        return _setting(request, kind, subject, item, match)
    if "value" in item or "for" in item:
        raise bad("what is lifted has no 'value' and no 'for'")
    return Change(kind, subject, lift=True, match=match)


def _setting(
    request: web.Request, kind: str, subject: str, body: Mapping[str, object], match: frozenset[str] | None
) -> Change:
    seconds = duration(body, "for", MAX_FOR)
    until = None if seconds is None else request.app[CLOCK]() + seconds
    return Change(kind, subject, value=_value(kind, subject, body), until=until, match=match)


def _value(kind: str, subject: str, body: Mapping[str, object]) -> int:
    value = body.get("value")
    if kind == PAUSE:
        if value is not None:
            raise bad("a pause has no 'value'")
        return 0
    if kind == FORCE:
        if value not in _FORCES:
            raise bad("'value' must be up or down")
        return _FORCES[str(value)]
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise bad("'value' must be a weight: 3 of an endpoint, 40% of a region")
    try:
        return read_weight(subject, str(value))
    except GeodnsError as error:
        raise bad(f"'value': {error}") from error


def _asked(body: Mapping[str, object], changes: tuple[Change, ...]) -> Asked:
    return Asked(
        changes,
        reason=text(body, "reason"),
        actor=text(body, "actor", DEFAULT_ACTOR, limit=100),
        overrule=_overrule(body.get("overrule", [])),
        dry_run=flag(body, "dry_run"),
    )


def _overrule(rules: object) -> frozenset[str]:
    if not isinstance(rules, list) or len(rules) > MAX_RULES or not all(isinstance(r, str) for r in rules):
        raise bad(f"'overrule' must be a list of at most {MAX_RULES} rules, as a refusal names them")
    return frozenset(rules)


async def _one(request: web.Request, asked: Asked, head: Mapping[str, object]) -> web.Response:
    applied = await request.app[CONTROL].change(asked)
    change = asked.changes[0]
    response = answer({**head, **_told(applied, change), **_when(applied, asked)})
    response.headers["ETag"] = (
        f'"{tag_of(applied.before if asked.dry_run else applied.after, change.subject)}"'
    )
    return response


def _told(applied: Applied, change: Change) -> dict[str, object]:
    """What became of a change: the override that is set; or whether one was lifted, and which."""
    world = applied.before if change.lift else applied.after
    override = world.overrides.get((change.kind, change.subject))
    told = told_of(override) if override else {}
    return {"changed": override is not None, **told} if change.lift else told


def _when(applied: Applied, asked: Asked) -> dict[str, object]:
    if not applied.batch.changes:
        return {}
    when = {
        "effective_at": stamp(applied.effective_at),
        "caches_clear_at": stamp(applied.caches_clear_at),
    }
    told: dict[str, object] = (
        {"overruled": list(applied.overruled), **when} if applied.overruled else {**when}
    )
    if applied.prediction is not None:
        told["prediction"] = predicted(applied.prediction)
    return {"dry_run": True, **told} if asked.dry_run else told


def told_of(override: Override) -> dict[str, object]:
    """An override as the API tells it, without its kind and subject."""
    value = {} if override.kind == PAUSE else {"value": value_text(override)}
    return value | {
        "reason": override.reason,
        "actor": override.actor,
        "since": stamp(override.since),
        "until": stamp(override.until),
    }


def _whole(world: World, override: Override) -> dict[str, object]:
    subject = Subject.parse(override.subject)
    return {
        "subject": override.subject,
        "region": subject.region,
        "pool": subject.pool or None,
        "endpoint": subject.endpoint or None,
        "known": known(world, override.subject),
        "kind": override.kind,
        **told_of(override),
    }


def _kind(request: web.Request) -> str:
    kind = request.match_info["kind"]
    if kind not in KINDS:
        raise ProblemError(404, "no-such-resource", f"overrides are {', '.join(KINDS)}")
    return kind
