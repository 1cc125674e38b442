"""Heartbeats as the API hands them over: whose they are, whether they count, and to whom they are told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

from geodns.config.schema.settings import Settings
from geodns.config.secrets import heartbeat_secrets
from geodns.core.health import Health, Outcome
from geodns.core.heartbeats import (
    MAX_APART,
    Heartbeat,
    StaleError,
    UnexpectedError,
    is_signed,
    probes_told,
    require_fresh,
)
from geodns.core.loads import Load
from geodns.core.world import World
from geodns.errors import GeodnsError
from geodns.monitor.schedule import Monitor


class Heartbeats:
    """`results` counts them by what became of them; `started` is when the server did, in Unix seconds.

    `report` takes the load that an endpoint tells, which holds for as long as its silence does not count.
    """

    def __init__(
        self,
        settings: Settings,
        environ: Mapping[str, str],
        monitor: Monitor,
        report: Callable[[Load], None],
        started: float,
    ) -> None:
        self.results: Counter[str] = Counter()
        self._secrets = heartbeat_secrets(settings.heartbeats.keys, environ)
        self._monitor = monitor
        self._report = report
        self._started = started
        self._newest: dict[str, float] = {}  # by subject: `at` of the newest one; those heard last behind

    def signed(self, key: str, signature: str, body: bytes) -> bool:
        """Whether a body was signed with a key that there is."""
        secret = self._secrets.get(key)
        if secret is not None and is_signed(secret, body, signature):
            return True
        self.results["unsigned"] += 1
        return False

    def take(self, world: World, key: str, beat: Heartbeat, now: float) -> Health:
        """Let a heartbeat that was signed with `key` count; the health that its endpoint has then.

        Raises UnknownSubject, UnexpectedError, StaleError, GeodnsError for a load that cannot be.
        """
        try:
            probes = probes_told(world, beat.subject, key)
            require_fresh(beat, now, self._newest.get(beat.subject, 0.0), self._started)
        except GeodnsError as error:
            self.results["stale" if isinstance(error, StaleError) else "unexpected"] += 1
            raise
        if beat.load is not None:
            lasts = max(probe.check.interval * probe.check.fall for probe in probes)
            self._report(Load(beat.subject, beat.load, beat.capacity or None, now, now + lasts))
        self._remember(beat, now)
        said = "draining" if beat.draining else f"heartbeat of {now - beat.at:.1f} s ago"
        outcome = Outcome(not beat.draining, said, draining=beat.draining)
        heard = [self._monitor.heard(probe, outcome) for probe in probes]
        told = [track.health for track in heard if track is not None]
        if not told:
            raise UnexpectedError(f"{beat.subject} is not watched yet")
        self.results["taken"] += 1
        return told[0]

    def _remember(self, beat: Heartbeat, now: float) -> None:
        """What is older than clocks may be apart is refused for that: it need not be known."""
        self._newest.pop(beat.subject, None)
        self._newest[beat.subject] = beat.at
        while self._newest[oldest := next(iter(self._newest))] < now - MAX_APART:
            del self._newest[oldest]
