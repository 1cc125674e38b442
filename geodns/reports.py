"""What endpoints report of themselves beside their health: load and capacity."""

from __future__ import annotations

from collections.abc import Mapping

from geodns.core.heartbeats import Report

MAX_REPORTS = 50_000  # endpoints of which the last report is kept


class Reports:
    """The last report of each endpoint; `dropped` counts those for which there was no room."""

    def __init__(self, most: int = MAX_REPORTS) -> None:
        self.dropped = 0
        self._most = most
        self._held: dict[str, Report] = {}  # those reported last behind

    def reported(self, subject: str, load: float | None, capacity: float | None, at: float) -> None:
        """Take in what an endpoint reports; the oldest falls out where there are too many."""
        self._held.pop(subject, None)
        self._held[subject] = Report(load, capacity, at)
        if len(self._held) > self._most:
            del self._held[next(iter(self._held))]
            self.dropped += 1

    def all(self) -> Mapping[str, Report]:
        return dict(self._held)
