"""What clients saw: connections that failed, where they were led, how soon they left what was lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import inf, isfinite

from geodns.core.overrides import PAUSE, Subject
from geodns.sim.actions import Action
from geodns.sim.faults import Fault, within
from geodns.sim.resolvers import Manner

Capacities = Mapping[tuple[str, str], float]  # by (pool, region): connections a second


@dataclass(frozen=True, slots=True)
class Outage:
    """A subject that nobody should be told of from one moment to another: lost or dying, or paused."""

    text: str
    subject: str
    begins: float
    ends: float

    def holds(self, endpoint: Subject) -> bool:
        return within(self.subject, endpoint)


def outages(faults: Iterable[Fault], actions: Iterable[Action]) -> tuple[Outage, ...]:
    """Those that have one beginning and one end, in the order of their beginnings."""
    found = [
        Outage(fault.text, fault.subject, fault.at, fault.until)
        for fault in faults
        if fault.subject and fault.share == 1 and not fault.every and not fault.partial
    ]
    acts = sorted(actions, key=lambda action: action.at)
    for action in acts:
        if action.change.kind == PAUSE and not action.change.lift:
            lifted = (a.at for a in acts if a.change.lift and a.change[:2] == action.change[:2])
            ends = action.at + action.lasts if action.lasts else inf
            ends = min(ends, next((at for at in lifted if at >= action.at), inf))
            found.append(Outage(action.text, action.change.subject, action.at, ends))
    return tuple(sorted(found, key=lambda outage: outage.begins))


@dataclass(slots=True)
class Turnover:
    """One resolver's clients and one outage, in seconds: `left` after its beginning, `back` after its end.

    None: it never was told what was lost (`left`), it did not tell it again (`back`).
    """

    left: float | None = None
    back: float | None = None

    def note(self, outage: Outage, inside: bool, now: float, until: float) -> None:
        """What was told at `now` may be told until `until`."""
        if inside and now < outage.ends and until > outage.begins:
            self.left = max(0.0, min(until, outage.ends) - outage.begins)
        elif inside and now >= outage.ends and self.back is None:
            self.back = now - outage.ends


@dataclass(frozen=True, slots=True)
class Switch:
    """An outage as the clients behind resolvers of one manner saw it, in seconds.

    `left`: until the last one was led elsewhere, infinite where one never was; `first`, `last`: from the end
    until the first and the last were led there again, infinite where none was. `away` of `of` resolvers had
    not been when all was over, unless the outage was not.
    """

    text: str
    left: float
    first: float
    last: float
    away: int
    of: int


def switch(outage: Outage, turns: Iterable[Turnover], length: float) -> Switch | None:
    """None where nobody was led to what was lost."""
    met = [(turn.left, turn.back) for turn in turns if turn.left is not None]
    if not met:
        return None
    left = max(left for left, _ in met)
    backs = [back for _, back in met if back is not None]
    stayed = left >= min(outage.ends, length) - outage.begins
    first, last = (min(backs), max(backs)) if backs else (inf, inf)
    away = len(met) - len(backs) if outage.ends < length else 0
    return Switch(outage.text, inf if stayed else left, first, last, away, len(met))


@dataclass(slots=True)
class Seen:
    """What the clients of one name, behind resolvers of one manner, saw.

    Counts are of clients' connections: `connections` and `failed` by second, `told` and `served` (those that
    did not fail) by second and region, `tried` and `missed` by client. `wrong`: the longest, in seconds, for
    which they were sent to an endpoint that was lost whole while another one, open to them, was there.
    """

    name: str
    pool: str
    manner: Manner
    empty: int = 0
    wrong: float = 0.0
    connections: Counter[int] = field(default_factory=Counter)
    failed: Counter[int] = field(default_factory=Counter)
    told: Counter[tuple[int, str]] = field(default_factory=Counter)
    served: Counter[tuple[int, str]] = field(default_factory=Counter)
    values: Counter[str] = field(default_factory=Counter)
    tried: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)
    switches: tuple[Switch, ...] = ()

    @property
    def availability(self) -> float:
        total = self.connections.total()
        return 1 - self.failed.total() / total if total else 1.0

    def regions(self) -> list[str]:
        """Those that anybody was led to; an empty name stands for backup addresses."""
        return sorted({region for _, region in self.told})

    def share(self, region: str, span: range) -> float:
        """Of the connections in these seconds, those that were led to a region."""
        return sum(self.told[second, region] for second in span) / self._in(span)

    def loss(self, span: range) -> float:
        """Of the connections in these seconds, those that failed."""
        return sum(self.failed[second] for second in span) / self._in(span)

    def _in(self, span: range) -> int:
        return sum(self.connections[second] for second in span) or 1


@dataclass(frozen=True, slots=True)
class Load:
    """A pool's region behind resolvers of one manner: connections by second, against `capacity` a second."""

    manner: Manner
    pool: str
    region: str
    capacity: float
    by_second: Mapping[int, int]

    @property
    def peak(self) -> float:
        """The most that it bore, as a share of its capacity."""
        return max(self.by_second.values(), default=0) / self.capacity

    def mean(self, span: range) -> float:
        """What it bore in these seconds, as a share of its capacity."""
        return sum(self.by_second.get(second, 0) for second in span) / len(span) / self.capacity

    @property
    def over(self) -> float:
        """Minutes in which it bore more than its capacity."""
        return sum(count > self.capacity for count in self.by_second.values()) / 60


def loads(seen: Iterable[Seen], capacities: Capacities) -> tuple[Load, ...]:
    """Of every pool's region that has a capacity: all names of the pool together."""
    every = list(seen)
    found = []
    for manner in Manner:
        for (pool, region), capacity in capacities.items():
            counts: Counter[int] = Counter()
            mine = [one for one in every if one.manner is manner and one.pool == pool]
            for one in mine:
                for (second, where), count in one.served.items():
                    if where == region:
                        counts[second] += count
            if mine and isfinite(capacity):
                found.append(Load(manner, pool, region, capacity, counts))
    return tuple(found)


def spans(length: float, count: int) -> list[range]:
    """The seconds of a run, in at most `count` spans."""
    total = max(1, int(length))
    count = min(count, total)
    return [range(total * i // count, total * (i + 1) // count) for i in range(count)]
