"""What the admin API asks of the server it administers, and nothing else: app implements `Control`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from geodns.admin.feed import Feed
from geodns.core.audit import Page, Proof, Wanted
from geodns.core.health import Health, Probe, Track
from geodns.core.heartbeats import Heartbeat
from geodns.core.loads import Load
from geodns.core.prediction import Shift
from geodns.core.verbs import Asked
from geodns.core.world import Batch, World


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether answers rest on verdicts yet; `why` is for people: "waiting: 3 of 12 probes answered"."""

    ready: bool
    why: str


@dataclass(frozen=True, slots=True)
class Basis:
    """A prediction by one way of weighing clients: the whole weight, what moves, and how many pairs of pool
    and policy there was no time for.
    """

    weight: float
    shifts: tuple[Shift, ...]
    left_off: int


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a change would do, by the IPv4 addresses that databases know, and by the queries that were counted
    in a `window` of (since, until), Unix seconds.
    """

    networks: Basis
    queries: Basis
    window: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Applied:
    """Changes that are persisted and in the answers; of a dry run, that would be. Times are Unix seconds.

    `before` and `after` are the worlds on both sides. `effective_at`: when the answers had it;
    `caches_clear_at`: when the last resolver has forgotten the old. `overruled`: the rules that it breaks.
    `volatile`: they are not persisted, because the disk refuses. `prediction`: of a dry run.
    """

    before: World
    batch: Batch
    after: World
    effective_at: float
    caches_clear_at: float
    overruled: tuple[str, ...] = ()
    volatile: bool = False
    prediction: Prediction | None = None


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

        Returns when they are in the answers, and persisted unless the disk refuses and they may be volatile.
        Raises UnknownSubject, Moved, Refused (unless overruled), StoreError: nothing has changed then.
        """
        ...

    def signed(self, key: str, signature: str, body: bytes) -> bool:
        """Whether a heartbeat's body was signed with a key that there is."""
        ...

    def heartbeat(self, key: str, beat: Heartbeat, now: float) -> Health:
        """Let a heartbeat count; the health of its endpoint then. Raises UnknownSubject, UnexpectedError,
        StaleError.
        """
        ...

    def volatile(self) -> Collection[tuple[str, str]]:
        """Kind and subject of the overrides that are set or lifted in memory only."""
        ...

    def report(self, load: Load) -> None:
        """Take in a load. It is in the answers when this returns, and forgotten when its time is over or the
        server ends. Raises UnknownSubject, GeodnsError.
        """
        ...

    async def audit(self, wanted: Wanted, limit: int) -> Page:
        """The newest `limit` rows of the audit that are wanted. Raises StoreError."""
        ...

    async def verify(self, known: tuple[int, bytes] | None) -> Proof:
        """Whether the audit's chain holds, and a row that was noted is in it. Raises StoreError."""
        ...

    def feed(self) -> Feed:
        """What happens, as it happens."""
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
