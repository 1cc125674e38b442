"""What operators ask for, checked against the world and turned into the event that does it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from geodns.core.duration import text as duration_text
from geodns.core.guard import Refused, UnknownSubject
from geodns.core.overrides import (
    DRAIN,
    FORCE,
    HOLD,
    OUT,
    PAUSE,
    RAMP,
    WEIGHT,
    WHOLE,
    Override,
    Subject,
    tag,
    weight_text,
)
from geodns.core.plans import Plan
from geodns.core.rules import Broken
from geodns.core.slopes import down, up
from geodns.core.world import Batch, Done, Dropped, Lifted, Overridden, Planned, World
from geodns.errors import GeodnsError

MAX_WEIGHT = 1_000_000  # of an endpoint, as in the files
MAX_SAID = 3  # changes of a batch that a refusal names


class Change(NamedTuple):
    """One override that is wanted (`lift` False) or not wanted any more.

    `match`: the tags of which the subject's overrides must still have one; None asks nothing. `over`: the
    seconds that a drain or a ramp takes. `plan`: it is not wanted now but as the plan says, or, to lift, not
    planned any more. To lift a pause is to resume: whatever keeps the subject out ends.
    """

    kind: str
    subject: str
    lift: bool = False
    value: int = 0
    until: float | None = None
    match: frozenset[str] | None = None
    over: float = 0.0
    plan: Plan | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """Changes that are made all or none. `overrule`: the rules that they may break. `volatile`: in memory
    only where the disk refuses, until it does not.
    """

    changes: tuple[Change, ...]
    reason: str
    actor: str
    overrule: frozenset[str] = frozenset()
    dry_run: bool = False
    volatile: bool = False


class Moved(GeodnsError):  # noqa: N818 - what was found
    """Somebody was faster: the subject's overrides are not those that the caller has seen."""

    def __init__(self, subject: str, tag: str) -> None:
        super().__init__(f"the overrides of {subject} have changed since you looked; look again")
        self.tag = tag


def planned(world: World, asked: Asked, now: float) -> Batch:
    """The event that makes the changes; what is to be lifted and is not there has no part in it.

    Raises UnknownSubject (an override whose subject the files have lost can be lifted), Moved.
    """
    made: list[Done] = []
    for change in asked.changes:
        if change.plan is not None and change.lift:
            made += [Dropped(change.plan.id)] if change.plan.id in world.plans else []
            continue
        gone = ended_by(world, change)
        if not (change.lift and gone):
            require(world, change.subject)
        tag = tag_of(world, change.subject)
        if change.match is not None and tag not in change.match:
            raise Moved(change.subject, tag)
        if change.plan is not None:
            plan = replace(
                change.plan, reason=asked.reason, actor=asked.actor, overrule=tuple(sorted(asked.overrule))
            )
            made.append(Planned(plan))
            continue
        wanted = None if change.lift else _wanted(world, change, asked, now)
        if change.lift or wanted is not None:
            made += [Lifted(override.kind, override.subject) for override in gone]
        if wanted is not None:
            made.append(Overridden(wanted))
    return Batch(tuple(made))


_ENDED_BY_LIFTING = {PAUSE: OUT}
_ENDED_BY_SETTING = {PAUSE: (DRAIN, RAMP), DRAIN: (PAUSE, RAMP), RAMP: (PAUSE, DRAIN, HOLD)}


def ended_by(world: World, change: Change) -> list[Override]:
    """The overrides that a change ends: those that it lifts, or in whose place it is set."""
    kind, subject = change.kind, change.subject
    kinds = _ENDED_BY_LIFTING.get(kind, (kind,)) if change.lift else _ENDED_BY_SETTING.get(kind, ())
    found = [override for override in world.set_on(subject) if override.kind in kinds]
    if kind in (PAUSE, RAMP) and HOLD in kinds:
        inside = f"{subject}:"
        found += [o for (k, on), o in world.overrides.items() if k == HOLD and on.startswith(inside)]
    return found


def _wanted(world: World, change: Change, asked: Asked, now: float) -> Override | None:
    """The override that a change sets; None for a ramp of what is not out."""
    kind, subject = change.kind, change.subject
    who = Override(kind, subject, asked.reason, asked.actor, now, change.until, change.value)
    if kind not in (DRAIN, RAMP):
        return who
    known = world.overrides.get((kind, subject))
    gone = ended_by(world, change)
    if kind == RAMP and not (known or gone):
        return None
    made = down if kind == DRAIN else up
    slope = made(change.over, world.ttls_under(subject).longest, _share(known, gone))
    if known is not None and known.slope and known.slope.over == slope.over:  # asked for again: it goes on
        return replace(known, reason=who.reason, actor=who.actor, until=who.until)
    return replace(who, value=slope.levels[0], slope=slope)


def _share(known: Override | None, gone: list[Override]) -> int:
    """The percent that a subject has now, of which it has what `known` says, or those that are gone."""
    return min((o.value for o in (known, *gone) if o is not None), default=WHOLE)


def plans_in(batch: Batch) -> dict[str, Plan | None]:
    """The plans that a batch makes, by id; None for one that it drops."""
    found: dict[str, Plan | None] = {}
    for done in batch.changes:
        if isinstance(done, Planned):
            found[done.plan.id] = done.plan
        elif isinstance(done, Dropped):
            found[done.id] = None
    return found


def at_their_end(batch: Batch) -> Batch:
    """The changes with drains that are over and plans that have begun: what a guard must judge."""
    return Batch(tuple(map(_at_its_end, batch.changes)))


def _at_its_end(done: Done) -> Done:
    if isinstance(done, Planned):
        p = done.plan
        done = Overridden(Override(p.kind, p.subject, p.reason, p.actor, p.begins, None, p.value))
    if isinstance(done, Overridden) and done.override.kind == DRAIN:
        return Overridden(replace(done.override, value=0))
    return done


def overruled(asked: Asked, broken: tuple[Broken, ...]) -> tuple[Broken, ...]:
    """The broken rules that are overruled by name. Raises Refused for those that are not."""
    standing = tuple(b for b in broken if b.rule not in asked.overrule)
    if standing:
        raise Refused(_all_said(asked), standing)
    return broken


def _all_said(asked: Asked) -> str:
    words = [said(change) for change in asked.changes]
    return ", ".join(words[:MAX_SAID]) + (f" and {len(words) - MAX_SAID} more" if words[MAX_SAID:] else "")


def tag_of(world: World, subject: str) -> str:
    """The ETag of what is set and planned on a subject; it stays while a share goes its way."""
    there = [replace(o, value=0) if o.slope else o for o in world.set_on(subject)]
    return tag([*there, *(plan for plan in world.plans.values() if plan.subject == subject)])


def require(world: World, subject: str) -> None:
    """Raises UnknownSubject where the files know no such region, pool in it, or endpoint in that."""
    region, pool_id, endpoint = Subject.parse(subject)
    if region not in world.regions:
        raise UnknownSubject("region", region, tuple(sorted(world.regions)))
    if subject == region:
        return
    pool = world.pools.get(pool_id)
    here = pool.region(region) if pool else None
    if here is None:
        held = sorted(p.id for p in world.pools.values() if p.region(region))
        raise UnknownSubject("pool", pool_id, tuple(held), f" in {region}")
    if subject != f"{region}:{pool_id}" and all(e.name != endpoint for e in here.endpoints):
        named = tuple(e.name for e in here.endpoints)
        raise UnknownSubject("endpoint", endpoint, named, f" in {region} of {pool_id}")


def known(world: World, subject: str) -> bool:
    """Whether the files still have a subject."""
    try:
        require(world, subject)
    except UnknownSubject:
        return False
    return True


def said(change: Change) -> str:
    """A change in words: "pausing eu-west"."""
    subject = change.subject
    if change.plan is not None:
        plan = change.plan
        verb = "dropping the plan of" if change.lift else "planning"
        return f"{verb} a {plan.kind} of {plan.subject}"
    if change.lift:
        return f"lifting the {change.kind} of {subject}"
    return {
        PAUSE: f"pausing {subject}",
        FORCE: f"forcing {subject} {'up' if change.value else 'down'}",
        WEIGHT: f"setting the weight of {subject} to {weight_text(subject, change.value)}",
        DRAIN: f"draining {subject} over {duration_text(change.over)}",
        RAMP: f"ramping {subject} up over {duration_text(change.over)}",
    }[change.kind]


def read_weight(subject: str, text: str) -> int:
    """Raises GeodnsError where a text is no weight that the subject can have."""
    inside = bool(Subject.parse(subject).endpoint)
    number = text if inside else text.removesuffix("%")
    if number.isascii() and number.isdigit() and len(number) < 10:
        value = int(number)
        if inside and value <= MAX_WEIGHT:
            return value
        if not inside and number != text and 1 <= value <= WHOLE:
            return value
    raise GeodnsError(
        f"an endpoint's weight is a number from 0 to {MAX_WEIGHT}"
        if inside
        else "a region's weight is a share of its clients, from 1% to 100%; pause it to take it out"
    )
