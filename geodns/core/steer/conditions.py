"""What a decision asks of the world: the health that probes found, and what operators set over it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from geodns.core.health import Health, Verdict
from geodns.core.loads import Gauge
from geodns.core.observations import ALWAYS_UP
from geodns.core.overrides import DOWN, NOTHING, WHOLE, Override, Setting
from geodns.model import Endpoint, Minimum, Pool, PoolRegion


class Conditions(Protocol):
    """What a decision asks of the world."""

    def health_of(self, endpoint: Endpoint, family: int) -> Health: ...

    def setting(self, pool: str, region: str) -> Setting: ...

    def gauge(self, pool: str, region: str) -> Gauge | None: ...


class AllUp:
    """Conditions under which nothing is down, set or reported: what depends on the files alone."""

    def health_of(self, endpoint: Endpoint, family: int) -> Health:
        return ALWAYS_UP

    def setting(self, pool: str, region: str) -> Setting:
        return NOTHING

    def gauge(self, pool: str, region: str) -> Gauge | None:
        return None


@dataclass(frozen=True, slots=True)
class Heedless:
    """Conditions with what operators set, and without regard to what was found out or reported."""

    conditions: Conditions

    def health_of(self, endpoint: Endpoint, family: int) -> Health:
        return ALWAYS_UP

    def setting(self, pool: str, region: str) -> Setting:
        found = self.conditions.setting(pool, region)
        return found if found is NOTHING else found.free()

    def gauge(self, pool: str, region: str) -> Gauge | None:
        return None


@dataclass(slots=True)
class Site:
    """A pool's region as it stands: what operators set goes before what probes found and files say."""

    here: PoolRegion
    setting: Setting
    conditions: Conditions
    gauge: Gauge | None = None

    @classmethod
    def of(cls, pool: Pool, region: PoolRegion, conditions: Conditions) -> Site:
        where = pool.id, region.region
        return cls(region, conditions.setting(*where), conditions, conditions.gauge(*where))

    @property
    def share(self) -> int:
        """The percent of its clients that the region keeps: what operators set, less what it sheds."""
        share = self.setting.share
        return share if self.gauge is None else max(1, share * self.gauge.keep // WHOLE)

    @property
    def paused(self) -> bool:
        """Whether nothing here may be told: a region is paused with the last endpoint that decides for it."""
        setting, endpoints = self.setting, self.here.endpoints
        if setting.pauses or not setting.endpoints:
            return bool(setting.pauses)
        deciding = [e for e in endpoints if e.ipv4 is not None or e.target is not None] or endpoints
        return all(setting.paused(e.name) for e in deciding)

    def is_open(self, endpoint: Endpoint) -> bool:
        """Whether an endpoint of a region that is not paused may be told."""
        return not self.setting.endpoints or self.setting.paused(endpoint.name) is None

    def is_left(self, endpoint: Endpoint) -> bool:
        """Whether no operator took an endpoint out: no pause holds for it, and it is not forced down."""
        if self.setting is NOTHING:
            return True
        force = self.setting.force(endpoint.name)
        return not self.setting.pauses and self.is_open(endpoint) and (force is None or force.value != DOWN)

    def is_free(self, endpoint: Endpoint) -> bool:
        """Whether an endpoint of a region that is not held serves as usual, and not only where nothing else
        does.
        """
        return not self.setting.endpoints or self.setting.held(endpoint.name) is None

    def health(self, endpoint: Endpoint, family: int) -> Health:
        force = None if self.setting is NOTHING else self.setting.force(endpoint.name)
        return self.conditions.health_of(endpoint, family) if force is None else _forced(force)

    def weight(self, endpoint: Endpoint) -> int:
        own = self.setting.weight(endpoint.name) if self.setting.endpoints else None
        return endpoint.weight if own is None else own.value

    def kept(self, endpoint: Endpoint) -> int:
        """The percent of its weight that an endpoint keeps."""
        return self.setting.kept(endpoint.name) if self.setting.endpoints else WHOLE

    def moments(self) -> list[float]:
        """When time changes what is set here, as far as it does."""
        if self.setting is NOTHING:
            return []
        return list(self.setting.moments())


def _forced(force: Override) -> Health:
    verdict = Verdict.UP if force.value else Verdict.DOWN
    return Health(verdict, force.since, 0.0, f"forced {verdict.value} by {force.actor}: {force.reason}")


def deciding_family(region: PoolRegion) -> int:
    """Whose health decides whether a region is available: IPv4 where it has any, else IPv6; 0 for targets."""
    if any(e.target is not None for e in region.endpoints):
        return 0
    return 4 if any(e.ipv4 is not None for e in region.endpoints) else 6


def value_of(endpoint: Endpoint, family: int) -> str | bytes | None:
    """What is told of an endpoint: its address of a family, or its target's wire name (family 0)."""
    return endpoint.target if family == 0 else endpoint.ipv4 if family == 4 else endpoint.ipv6


def needs(minimum: Minimum, total: int) -> int:
    """How many of `total` endpoints must be healthy; at least one."""
    if minimum.percent is None:
        return max(1, minimum.count)
    return max(1, -(-total * minimum.percent // 100))
