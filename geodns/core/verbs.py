"""What operators ask for, checked against the world and turned into the event that does it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from geodns.core.guard import Refused, UnknownSubject
from geodns.core.overrides import FORCE, PAUSE, WHOLE, Override, Subject, tag, weight_text
from geodns.core.rules import Broken
from geodns.core.world import Batch, Lifted, Overridden, World
from geodns.errors import GeodnsError

MAX_WEIGHT = 1_000_000  # of an endpoint, as in the files
MAX_SAID = 3  # changes of a batch that a refusal names


class Change(NamedTuple):
    """One override that is wanted (`lift` False) or not wanted any more.

    `match`: the tags of which the subject's overrides must still have one; None asks nothing.
    """

    kind: str
    subject: str
    lift: bool = False
    value: int = 0
    until: float | None = None
    match: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """Changes that are made all or none. `overrule`: the rules that they may break."""

    changes: tuple[Change, ...]
    reason: str
    actor: str
    overrule: frozenset[str] = frozenset()
    dry_run: bool = False


class Moved(GeodnsError):  # noqa: N818 - what was found
    """Somebody was faster: the subject's overrides are not those that the caller has seen."""

    def __init__(self, subject: str, tag: str) -> None:
        super().__init__(f"the overrides of {subject} have changed since you looked; look again")
        self.tag = tag


def planned(world: World, asked: Asked, now: float) -> Batch:
    """The event that makes the changes; what is to be lifted and is not there has no part in it.

    Raises UnknownSubject (an override whose subject the files have lost can be lifted), Moved.
    """
    made: list[Overridden | Lifted] = []
    for change in asked.changes:
        kind, subject, lift, value, until, match = change
        there = (kind, subject) in world.overrides
        if not (lift and there):
            require(world, subject)
        tag = tag_of(world, subject)
        if match is not None and tag not in match:
            raise Moved(subject, tag)
        if not lift:
            made.append(Overridden(Override(kind, subject, asked.reason, asked.actor, now, until, value)))
        elif there:
            made.append(Lifted(kind, subject))
    return Batch(tuple(made))


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
    """The ETag of a subject's overrides."""
    return tag(world.set_on(subject))


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
    if change.lift:
        return f"lifting the {change.kind} of {subject}"
    if change.kind == PAUSE:
        return f"pausing {subject}"
    if change.kind == FORCE:
        return f"forcing {subject} {'up' if change.value else 'down'}"
    return f"setting the weight of {subject} to {weight_text(subject, change.value)}"


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
