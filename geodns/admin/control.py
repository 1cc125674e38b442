"""What the admin API asks of the server it administers, and nothing else: app implements `Control`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from geodns.core.health import Probe, Track
from geodns.core.world import Override, World


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether answers rest on verdicts yet; `why` is for people: "waiting: 3 of 12 probes answered"."""

    ready: bool
    why: str


@dataclass(frozen=True, slots=True)
class Applied:
    """A change that is persisted and in the answers. Times are Unix seconds.

    `effective_at`: when the answers had it; `caches_clear_at`: when the last resolver has forgotten the old.
    """

    override: Override
    effective_at: float
    caches_clear_at: float


class Control(Protocol):
    """Everything is called in the event loop; what is not `async` returns at once."""

    def world(self) -> World: ...

    def ready(self) -> Readiness: ...

    def status(self) -> Mapping[str, object]:
        """The whole of `GET /api/v1/status`, fit for JSON."""
        ...

    def tracks(self) -> Mapping[Probe, Track]: ...

    def explain(self, name: str, rtype: str, client: str) -> Mapping[str, object]:
        """How a client's answer comes about. Raises GeodnsError for a bad name, type or client."""
        ...

    async def pause(
        self, region: str, *, reason: str, actor: str, until: float | None, force: bool
    ) -> Applied:
        """Pause a region; a second pause replaces the first. Returns when persisted and in the answers.

        Raises UnknownRegion, Refused (unless forced), StoreError (nothing has changed then).
        """
        ...

    async def resume(self, region: str, *, actor: str) -> Applied | None:
        """Undo a pause; None where there was none. Raises UnknownRegion, StoreError."""
        ...

    def metrics(self) -> bytes:
        """The metrics in the Prometheus text format."""
        ...
