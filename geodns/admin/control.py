"""What the admin API asks of the server it administers, and nothing else: app implements `Control`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from geodns.core.audit import Page, Proof, Wanted
from geodns.core.health import Probe, Track
from geodns.core.verbs import Asked
from geodns.core.world import Batch, World


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether answers rest on verdicts yet; `why` is for people: "waiting: 3 of 12 probes answered"."""

    ready: bool
    why: str


@dataclass(frozen=True, slots=True)
class Applied:
    """Changes that are persisted and in the answers; of a dry run, that would be. Times are Unix seconds.

    `before` and `after` are the worlds on both sides. `effective_at`: when the answers had it;
    `caches_clear_at`: when the last resolver has forgotten the old. `overruled`: the rules that it breaks.
    """

    before: World
    batch: Batch
    after: World
    effective_at: float
    caches_clear_at: float
    overruled: tuple[str, ...] = ()


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

    async def change(self, asked: Asked) -> Applied:
        """Set and lift overrides, all or none; an override replaces another of its kind and subject.

        Returns when they are persisted and in the answers. Raises UnknownSubject, Moved, Refused (unless
        overruled), StoreError: nothing has changed then.
        """
        ...

    async def audit(self, wanted: Wanted, limit: int) -> Page:
        """The newest `limit` rows of the audit that are wanted. Raises StoreError."""
        ...

    async def verify(self, known: tuple[int, bytes] | None) -> Proof:
        """Whether the audit's chain holds, and a row that was noted is in it. Raises StoreError."""
        ...

    def alarms(self) -> Mapping[str, object]:
        """The whole of `GET /api/v1/alarms`, fit for JSON."""
        ...

    async def test_alarms(self) -> list[dict[str, object]]:
        """Send every hook a test alarm; what came of it."""
        ...

    def metrics(self) -> bytes:
        """The metrics in the Prometheus text format."""
        ...
