"""What operators set by hand, and what of it holds for a region of a pool and for each of its endpoints.

A subject is written REGION, REGION:POOL or REGION:POOL:ENDPOINT. A pause holds for all that is inside it; of
weights and forced verdicts the one on the innermost subject decides.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

PAUSE = "pause"
WEIGHT = "weight"
FORCE = "force"
KINDS = (PAUSE, WEIGHT, FORCE)
WHOLE = 100  # percent
UP, DOWN = 1, 0  # values of FORCE


@dataclass(frozen=True, slots=True)
class Override:
    """What an operator set on a subject, by whom, why, and until when (Unix seconds).

    `value` of a weight: an endpoint's weight, or the percent of its clients that a region keeps (1 to 100);
    of a force: UP or DOWN.
    """

    kind: str
    subject: str
    reason: str
    actor: str
    since: float
    until: float | None = None
    value: int = 0


class Subject(NamedTuple):
    """A region; the region of one pool; or one endpoint in it."""

    region: str
    pool: str = ""
    endpoint: str = ""

    @classmethod
    def parse(cls, text: str) -> Subject:
        return cls(*text.split(":", 2))

    def __str__(self) -> str:
        return ":".join(part for part in self if part)


@dataclass(frozen=True, slots=True)
class Own:
    """What is set on one subject."""

    pause: Override | None = None
    weight: Override | None = None
    force: Override | None = None

    def all(self) -> Iterator[Override]:
        yield from (o for o in (self.pause, self.weight, self.force) if o is not None)


@dataclass(frozen=True, slots=True)
class Setting:
    """What holds for a pool's region: set on the region, on it in this pool, and on its endpoints by name."""

    region: Own = Own()
    pool: Own = Own()
    endpoints: Mapping[str, Own] = field(default_factory=dict)

    @property
    def pauses(self) -> tuple[Override, ...]:
        return tuple(own.pause for own in (self.region, self.pool) if own.pause is not None)

    @property
    def share(self) -> int:
        """The percent of its clients that the region keeps."""
        weight = self.pool.weight or self.region.weight
        return WHOLE if weight is None else weight.value

    def paused(self, endpoint: str) -> Override | None:
        own = self.endpoints.get(endpoint)
        return own.pause if own else None

    def weight(self, endpoint: str) -> Override | None:
        own = self.endpoints.get(endpoint)
        return own.weight if own else None

    def force(self, endpoint: str) -> Override | None:
        own = self.endpoints.get(endpoint)
        return (own and own.force) or self.pool.force or self.region.force

    def all(self) -> Iterator[Override]:
        for own in (self.region, self.pool, *self.endpoints.values()):
            yield from own.all()


NOTHING = Setting()
Overrides = Mapping[tuple[str, str], Override]
Settings = Mapping[tuple[str, str], Setting]


def settings_of(overrides: Overrides) -> Settings:
    """By (pool, region) what holds there; by ("", region) what does for pools that are not named."""
    found: defaultdict[Subject, dict[str, Override]] = defaultdict(dict)
    for (kind, on), override in overrides.items():
        found[Subject.parse(on)][kind] = override
    own = {subject: Own(**kinds) for subject, kinds in found.items()}
    endpoints: defaultdict[tuple[str, str], dict[str, Own]] = defaultdict(dict)
    for (region, pool, endpoint), what in own.items():
        if endpoint:
            endpoints[pool, region][endpoint] = what
    return {
        (pool, region): Setting(
            own.get(Subject(region), Own()),
            own.get(Subject(region, pool), Own()) if pool else Own(),
            endpoints.get((pool, region), {}),
        )
        for region, pool, _ in own
    }


def setting_in(settings: Settings, pool: str, region: str) -> Setting:
    return settings.get((pool, region)) or settings.get(("", region)) or NOTHING


def tag(overrides: Iterable[Override]) -> str:
    """A short text that differs where the overrides do: the ETag of a subject's."""
    content = repr(sorted(overrides, key=lambda o: (o.kind, o.subject)))
    return hashlib.blake2b(content.encode(), digest_size=8).hexdigest()


def weight_text(subject: str, value: int) -> str:
    """A weight as people write it: `3` of an endpoint, `40%` of a region."""
    return str(value) if Subject.parse(subject).endpoint else f"{value}%"


def value_text(override: Override) -> str:
    """An override's value as people write it; empty for a pause."""
    if override.kind == WEIGHT:
        return weight_text(override.subject, override.value)
    return ("up" if override.value == UP else "down") if override.kind == FORCE else ""
