"""`/api/v1/overrides`: what operators set on regions, pools in them and endpoints; `/api/v1/batch`: many
at once, all or none.
"""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from geodns.admin.body import answer, bad, bad_query, duration, flag, mapping, read, stamp, tags, text
from geodns.admin.control import Applied, Control
from geodns.admin.keys import CLOCK, CONTROL
from geodns.admin.planning import KEYS, plan_told, span
from geodns.admin.prediction import predicted
from geodns.admin.problems import ProblemError
from geodns.core.overrides import (
    DOWN,
    DRAIN,
    FORCE,
    HOLD,
    KINDS,
    OUT,
    PAUSE,
    RAMP,
    UP,
    WEIGHT,
    Override,
    Subject,
    value_text,
)
from geodns.core.plans import PLAN, Plan
from geodns.core.returns import course
from geodns.core.verbs import Asked, Change, ended_by, known, read_weight, require, tag_of
from geodns.core.world import Lifted, Overridden, World
from geodns.errors import GeodnsError

MAX_CHANGES = 100
MAX_RULES = 100
DEFAULT_ACTOR = "api"
MAX_OVER = 7 * 86400.0
DEFAULT_OVER = 600.0
_ASKED = ("reason", "overrule", "actor", "dry_run", "volatile")
_CHANGE = ("set", "lift", "subject", *KEYS, "value", "over", "if_match")
_KEYS = {
    PAUSE: KEYS,
    WEIGHT: (*KEYS, "value"),
    FORCE: (*KEYS, "value"),
    DRAIN: (*KEYS, "over"),
    RAMP: ("over",),
}
_NO_HOLD = "a hold is what a failure leaves behind: it can be lifted, not set"
_FORCES = {"up": UP, "down": DOWN}


def add_routes(app: web.Application) -> None:
    app.router.add_get("/api/v1/overrides", _list)
    app.router.add_get("/api/v1/overrides/{subject}", _on_subject)
    app.router.add_put("/api/v1/overrides/{subject}/{kind}", _set)
    app.router.add_delete("/api/v1/overrides/{subject}/{kind}", _lift)
    app.router.add_delete("/api/v1/plans/{id}", _drop)
    app.router.add_post("/api/v1/batch", _batch)


async def _list(request: web.Request) -> web.Response:
    control = request.app[CONTROL]
    world = control.world()
    overrides = [_whole(control, override) for override in world.overrides.values()]
    plans = sorted(world.plans.values(), key=lambda plan: (plan.begins, plan.id))
    return answer({"overrides": overrides, "planned": [_whole(control, plan) for plan in plans]})


async def _on_subject(request: web.Request) -> web.Response:
    control, subject = request.app[CONTROL], request.match_info["subject"]
    world = control.world()
    found = world.set_on(subject)
    if not found:
        require(world, subject)
    response = answer({"subject": subject, "overrides": [_whole(control, o) for o in found]})
    response.headers["ETag"] = f'"{tag_of(world, subject)}"'
    return response


async def _set(request: web.Request) -> web.Response:
    kind, subject = _kind(request), request.match_info["subject"]
    return await set_one(request, kind, subject, {"subject": subject, "kind": kind})


async def _lift(request: web.Request) -> web.Response:
    kind, subject = _kind(request), request.match_info["subject"]
    return await lift_one(request, kind, subject, {"subject": subject, "kind": kind})


async def _drop(request: web.Request) -> web.Response:
    id = request.match_info["id"]
    plan = request.app[CONTROL].world().plans.get(id)
    if plan is None:
        return answer({"id": id, "changed": False})
    head = {"subject": plan.subject, "kind": plan.kind}
    return await _one(request, _lifting(request, Change(plan.kind, plan.subject, lift=True, plan=plan)), head)


async def set_one(request: web.Request, kind: str, subject: str, head: Mapping[str, object]) -> web.Response:
    """Set one override, as the request's body and If-Match say; `head` begins the response."""
    if kind == HOLD:
        raise bad_query(_NO_HOLD)
    body = await read(request, *_ASKED, *_KEYS[kind])
    change = _setting(request, kind, subject, body, tags(request.headers.get("If-Match")))
    return await _one(request, _asked(body, (change,)), head)


async def lift_one(request: web.Request, kind: str, subject: str, head: Mapping[str, object]) -> web.Response:
    """Lift one override, as the request's query and If-Match say."""
    match = tags(request.headers.get("If-Match"))
    return await _one(request, _lifting(request, Change(kind, subject, lift=True, match=match)), head)


def _lifting(request: web.Request, change: Change) -> Asked:
    return Asked(
        (change,),
        reason=text(request.query, "reason", "-"),
        actor=text(request.query, "actor", DEFAULT_ACTOR, limit=100),
        overrule=_overrule(request.query.getall("overrule", [])),
        dry_run=request.query.get("dry_run", "false") == "true",
        volatile=request.query.get("volatile", "false") == "true",
    )


async def _batch(request: web.Request) -> web.Response:
    body = await read(
        request, "reason", "overrule", "actor", "dry_run", "volatile", "changes", deepest=2 * MAX_CHANGES
    )
    items = body.get("changes")
    if not isinstance(items, list) or not 1 <= len(items) <= MAX_CHANGES:
        raise bad(f"'changes' must be a list of 1 to {MAX_CHANGES} changes")
    changes = tuple(_change(request, mapping(item, "a change", _CHANGE)) for item in items)
    if len({(_slot(c.kind), c.subject, c.plan and c.plan.id) for c in changes}) < len(changes):
        raise bad("'changes' has two for one override")
    asked = _asked(body, changes)
    applied = await request.app[CONTROL].change(asked)
    told = [{"subject": c.subject, "kind": c.kind, "set": not c.lift, **_told(applied, c)} for c in changes]
    return answer({"changes": told, **_when(applied, asked)})


def _slot(kind: str) -> str:
    """Of a pause, a drain and a ramp a subject has at most one."""
    return PAUSE if kind in OUT else kind


def _change(request: web.Request, item: Mapping[str, object]) -> Change:
    if ("set" in item) == ("lift" in item):
        raise bad("a change has either 'set' or 'lift'")
    lift = "lift" in item
    kind, subject = text(item, "lift" if lift else "set", limit=20), text(item, "subject")
    if kind not in KINDS:
        raise bad(f"there is no override '{kind}'; known are {', '.join(KINDS)}")
    match = tags(text(item, "if_match")) if "if_match" in item else None
    if not lift and kind == HOLD:
        raise bad(_NO_HOLD)
    for key in (*KEYS, "value", "over"):
        if key in item and (lift or key not in _KEYS[kind]):
            raise bad(f"what is lifted has no '{key}'" if lift else f"a {kind} has no '{key}'")
    if not lift:
        return _setting(request, kind, subject, item, match)
    return Change(kind, subject, lift=True, match=match)


def _setting(
    request: web.Request, kind: str, subject: str, body: Mapping[str, object], match: frozenset[str] | None
) -> Change:
    now = request.app[CLOCK]()
    begins, length, every = span(body, now)
    until = None if length is None else now + length
    value, over = 0, 0.0
    if kind in (DRAIN, RAMP):
        over = duration(body, "over", MAX_OVER) or DEFAULT_OVER
        if length is not None and length <= over:
            raise bad("it must last longer than 'over'")
    elif kind != PAUSE:
        value = _value(kind, subject, body)
    plan = None if begins is None else Plan(kind, subject, "", "", begins, length, value, over, every)
    return Change(kind, subject, value=value, until=until, match=match, over=over, plan=plan)


def _value(kind: str, subject: str, body: Mapping[str, object]) -> int:
    value = body.get("value")
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
        volatile=flag(body, "volatile"),
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
    if change.plan is not None:
        plan = (applied.before if change.lift else applied.after).plans.get(change.plan.id)
        told = {"planned": not change.lift, **plan_told(applied.after, plan)} if plan else {}
        return {"changed": plan is not None, **told} if change.lift else told
    if change.lift:
        ended = ended_by(applied.before, change)
        return {"changed": bool(ended), **(told_of(applied.before, ended[0]) if ended else {})}
    override = applied.after.overrides.get((change.kind, change.subject))
    return told_of(applied.after, override) if override else {"changed": False}


def _when(applied: Applied, asked: Asked) -> dict[str, object]:
    if not any(isinstance(done, Overridden | Lifted) for done in applied.batch.changes):
        return {"dry_run": True} if asked.dry_run and applied.batch.changes else {}
    when = {
        "effective_at": stamp(applied.effective_at),
        "caches_clear_at": stamp(applied.caches_clear_at),
    }
    told: dict[str, object] = (
        {"overruled": list(applied.overruled), **when} if applied.overruled else {**when}
    )
    if applied.prediction is not None:
        told["prediction"] = predicted(applied.prediction)
    if asked.dry_run:
        return {"dry_run": True, **told}
    return told | ({"volatile": applied.volatile} if asked.volatile else {})


def told_of(world: World, override: Override) -> dict[str, object]:
    """An override as the API tells it, without its kind and subject."""
    value = {"value": shown} if (shown := value_text(override)) else {}
    return {
        **value,
        "reason": override.reason,
        "actor": override.actor,
        "since": stamp(override.since),
        "until": stamp(override.until),
        **{key: stamp(at) for key, at in course(world, override).items()},
    }


def _whole(control: Control, what: Override | Plan) -> dict[str, object]:
    world, subject = control.world(), Subject.parse(what.subject)
    key = (PLAN, what.id) if isinstance(what, Plan) else (what.kind, what.subject)
    return {
        "subject": what.subject,
        "region": subject.region,
        "pool": subject.pool or None,
        "endpoint": subject.endpoint or None,
        "known": known(world, what.subject),
        "kind": what.kind,
        **(plan_told(world, what) if isinstance(what, Plan) else told_of(world, what)),
        "volatile": key in control.volatile(),
    }


def _kind(request: web.Request) -> str:
    kind = request.match_info["kind"]
    if kind not in KINDS:
        raise ProblemError(404, "no-such-resource", f"overrides are {', '.join(KINDS)}")
    return kind
