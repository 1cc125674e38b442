"""What a decision asks of the world: the health that probes found, and what operators set over it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from geodns.core.health import Health, Verdict
from geodns.core.overrides import NOTHING, WHOLE, Override, Setting
from geodns.core.world import ALWAYS_UP
from geodns.model import Endpoint, Pool, PoolRegion


class Conditions(Protocol):
    """What a decision asks of the world."""

    def health_of(self, endpoint: Endpoint, family: int) -> Health: ...

    def setting(self, pool: str, region: str) -> Setting: ...


class AllUp:
    """Conditions under which nothing is down and nothing is set: what depends on the files alone."""

    def health_of(self, endpoint: Endpoint, family: int) -> Health:
        return ALWAYS_UP

    def setting(self, pool: str, region: str) -> Setting:
        return NOTHING


@dataclass(slots=True)
class Site:
    """A pool's region as it stands: what operators set goes before what probes found and files say."""

    here: PoolRegion
    setting: Setting
    conditions: Conditions

    @classmethod
    def of(cls, pool: Pool, region: PoolRegion, conditions: Conditions) -> Site:
        return cls(region, conditions.setting(pool.id, region.region), conditions)

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

    def is_free(self, endpoint: Endpoint) -> bool:
        """Whether an endpoint serves as usual, and not only where nothing else does."""
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
