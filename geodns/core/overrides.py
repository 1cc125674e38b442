"""What operators set by hand, and what of it holds for a region of a pool and for each of its endpoints.

A subject is written REGION, REGION:POOL or REGION:POOL:ENDPOINT. A pause holds for all that is inside it, and
so do drains, ramps and holds; of weights and forced verdicts the one on the innermost subject decides.

A drain whose share is 0 is a pause. A hold is what a failure leaves behind (`core.returns`): its subject
serves only where nothing else is available.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from geodns.core.plans import Plan
from geodns.core.slopes import Slope

PAUSE = "pause"
WEIGHT = "weight"
FORCE = "force"
DRAIN = "drain"
RAMP = "ramp"
HOLD = "hold"
SETTABLE = (PAUSE, WEIGHT, FORCE, DRAIN, RAMP)
KINDS = (*SETTABLE, HOLD)
OUT = (PAUSE, DRAIN, RAMP, HOLD)  # what keeps a subject from serving as usual: `resume` ends it
WHOLE = 100  # percent
UP, DOWN = 1, 0  # values of FORCE


@dataclass(frozen=True, slots=True)
class Override:
    """What an operator set on a subject, by whom, why, and until when (Unix seconds).

    `value` of a weight: an endpoint's weight, or the percent of its clients that a region keeps (1 to 100);
    of a force: UP or DOWN; of a drain or a ramp: the share now, in percent, which its `slope` gives.
    """

    kind: str
    subject: str
    reason: str
    actor: str
    since: float
    until: float | None = None
    value: int = 0
    slope: Slope | None = None

    def next_at(self) -> float | None:
        """When time changes it next: it ends, or its share is another one. None: never."""
        step = self.slope.after(self.since, self.value) if self.slope else None
        return min((at for at in (step, self.until) if at is not None), default=None)


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
    drain: Override | None = None
    ramp: Override | None = None
    hold: Override | None = None
    planned: float | None = None  # when the next one will be set

    @property
    def paused(self) -> Override | None:
        """The pause, or the drain that has come to its end."""
        return self.pause or (self.drain if self.drain and pauses(self.drain) else None)

    @property
    def share(self) -> int:
        """The percent that a drain or a ramp leaves."""
        drained, ramped = (WHOLE if on is None else on.value for on in (self.drain, self.ramp))
        return drained * ramped // WHOLE

    def all(self) -> Iterator[Override]:
        mine = (self.pause, self.weight, self.force, self.drain, self.ramp, self.hold)
        yield from (o for o in mine if o is not None)

    def moments(self) -> Iterator[float]:
        """When time changes any of it."""
        yield from (at for o in self.all() if (at := o.next_at()) is not None)
        if self.planned is not None:
            yield self.planned


@dataclass(frozen=True, slots=True)
class Setting:
    """What holds for a pool's region: set on the region, on it in this pool, and on its endpoints by name."""

    region: Own = Own()
    pool: Own = Own()
    endpoints: Mapping[str, Own] = field(default_factory=dict)

    @property
    def pauses(self) -> tuple[Override, ...]:
        return tuple(paused for own in (self.region, self.pool) if (paused := own.paused) is not None)

    @property
    def share(self) -> int:
        """The percent of its clients that the region keeps."""
        weight = self.pool.weight or self.region.weight
        share = WHOLE if weight is None else weight.value
        for own in (self.region, self.pool):
            share = max(1, share * own.share // WHOLE)
        return share

    @property
    def hold(self) -> Override | None:
        return self.pool.hold or self.region.hold

    def free(self) -> Setting:
        """The same without what failures hold out."""
        region, pool = replace(self.region, hold=None), replace(self.pool, hold=None)
        return Setting(region, pool, {name: replace(own, hold=None) for name, own in self.endpoints.items()})

    def paused(self, endpoint: str) -> Override | None:
        own = self.endpoints.get(endpoint)
        return own.paused if own else None

    def held(self, endpoint: str) -> Override | None:
        own = self.endpoints.get(endpoint)
        return own.hold if own else None

    def kept(self, endpoint: str) -> int:
        """The percent of its weight that an endpoint keeps."""
        own = self.endpoints.get(endpoint)
        return own.share if own else WHOLE

    def weight(self, endpoint: str) -> Override | None:
        own = self.endpoints.get(endpoint)
        return own.weight if own else None

    def force(self, endpoint: str) -> Override | None:
        own = self.endpoints.get(endpoint)
        return (own and own.force) or self.pool.force or self.region.force

    def moments(self) -> Iterator[float]:
        """When time changes any of it."""
        for own in (self.region, self.pool, *self.endpoints.values()):
            yield from own.moments()


NOTHING = Setting()
Overrides = Mapping[tuple[str, str], Override]
Settings = Mapping[tuple[str, str], Setting]


def pauses(override: Override) -> bool:
    """Whether it keeps its subject from being told at all."""
    return override.kind == PAUSE or (override.kind == DRAIN and not override.value)


def settings_of(overrides: Overrides, plans: Iterable[Plan] = ()) -> Settings:
    """By (pool, region) what holds there; by ("", region) what does for pools that are not named."""
    found: defaultdict[Subject, dict[str, Override]] = defaultdict(dict)
    for (kind, subject), override in overrides.items():
        found[Subject.parse(subject)][kind] = override
    begins: dict[Subject, float] = {}
    for plan in plans:
        on = Subject.parse(plan.subject)
        begins[on] = min(begins.get(on, plan.begins), plan.begins)
    own = {on: Own(**found[on], planned=begins.get(on)) for on in found.keys() | begins.keys()}
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


def tag(found: Iterable[Override | Plan]) -> str:
    """A short text that differs where what is set and planned does: the ETag of a subject's."""
    content = repr(sorted(repr(what) for what in found))
    return hashlib.blake2b(content.encode(), digest_size=8).hexdigest()


def weight_text(subject: str, value: int) -> str:
    """A weight as people write it: `3` of an endpoint, `40%` of a region."""
    return str(value) if Subject.parse(subject).endpoint else f"{value}%"


def value_text(override: Override) -> str:
    """An override's value as people write it; empty for a pause and a hold."""
    if override.kind == WEIGHT:
        return weight_text(override.subject, override.value)
    if override.kind == FORCE:
        return "up" if override.value == UP else "down"
    return f"{override.value}%" if override.slope else ""
