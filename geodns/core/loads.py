"""Load as it is reported, and what of it answers depend on: coarse steps that noise does not change.

A report is a fact about a region, about it in one pool, or about an endpoint; it holds for a bounded time. A
gauge is what reports come to for a pool's region: how much of its capacity is in use, and which share of its
clients it keeps. Between the pool's marks that share falls as the use rises, so that at rest

    1 - keep = (used - low) / (high - low)

`used` being what is left after the shedding. It is found in one step, from the load that there would be with
all clients, and then left alone until that must have shown in the load: a loop without a memory would swing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from geodns.core.overrides import WHOLE, Subject
from geodns.model import PoolRegion, Shed

STEP = 5  # percent
BAND = 2  # percent beyond a step before it is left for another
MOST = 10_000  # percent of a capacity in use; more is as much


@dataclass(frozen=True, slots=True)
class Load:
    """What was reported of a subject: `load` in units, `capacity` (None: what the files say) in the same.

    It holds from `at` to `until` (Unix seconds).
    """

    subject: str
    load: float
    capacity: float | None
    at: float
    until: float


@dataclass(frozen=True, slots=True)
class Gauge:
    """A pool's region under load: how many percent of its `capacity` are `used`, in whole steps; how many of
    its clients it `keep`s, and since when (Unix seconds).
    """

    capacity: int
    used: int
    keep: int
    since: float

    @property
    def spare(self) -> int:
        """What it could bear beside, in hundredths of a unit."""
        return self.capacity * max(0, WHOLE - self.used)


def told(region: PoolRegion, pool: str, loads: Mapping[str, Load]) -> tuple[float, float] | None:
    """Load and capacity of a pool's region: reported of itself, else of its endpoints, else of the whole
    region. None where either is not known.
    """
    for found in (
        _one(loads.get(str(Subject(region.region, pool))), region.capacity),
        _sum(_endpoints(region, pool, loads), region.capacity),
        _one(loads.get(region.region), region.capacity),
    ):
        if found is not None:
            return found
    return None


def _one(load: Load | None, declared: int | None) -> tuple[float, float] | None:
    capacity = None if load is None else load.capacity or declared
    return None if load is None or capacity is None else (load.load, float(capacity))


def _endpoints(region: PoolRegion, pool: str, loads: Mapping[str, Load]) -> Iterator[Load]:
    for endpoint in region.endpoints:
        load = loads.get(str(Subject(region.region, pool, endpoint.name)))
        if load is not None:
            yield load


def _sum(loads: Iterator[Load], declared: int | None) -> tuple[float, float] | None:
    """Endpoints that tell their capacities stand for those that tell nothing."""
    known = list(loads)
    if not known:
        return None
    load = sum(one.load for one in known)
    own = [one.capacity for one in known if one.capacity is not None]
    if len(own) < len(known):
        return None if declared is None else (load, float(declared))
    whole = sum(own) if declared is None else float(declared)
    return load * whole / sum(own), whole


def step(before: Gauge | None, load: float, capacity: float, shed: Shed | None, at: float) -> Gauge:
    """The gauge after a report; the very same one where nothing changes. `shed` None: it sheds nothing."""
    use = min(100 * load / capacity, MOST)
    if before is None:
        keep = _floor(_aim(use, shed))
        return Gauge(max(1, round(capacity)), _floor(use), max(STEP, keep), at)
    units, used, keep = before.capacity, before.used, before.keep
    if abs(capacity - units) * 100 > STEP * units:
        units = max(1, round(capacity))
    if not used - BAND <= use < used + STEP + BAND:
        used = _floor(use)
    aim = _aim(use * WHOLE / keep, shed)
    settled = shed is None or at - before.since >= shed.settle
    if settled and not keep - BAND <= aim < min(keep + STEP + BAND, WHOLE):
        keep = max(STEP, _floor(aim))
    after = replace(before, capacity=units, used=used, keep=keep)
    if after == before:
        return before
    return after if keep == before.keep else replace(after, since=at)


def _aim(demand: float, shed: Shed | None) -> float:
    """The percent of clients to keep when all of them would use `demand` percent of the capacity."""
    if shed is None or demand <= shed.low:
        return WHOLE
    return WHOLE * shed.high / (shed.high - shed.low + demand)


def _floor(percent: float) -> int:
    return int(percent // STEP) * STEP
