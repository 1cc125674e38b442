"""What fails at once, and whether that is to be believed.

An entry joins the storm with the first bad result after good ones, and leaves it with a good one, or when
its failure is older than one interval. While the storm is large enough to ask, it is put to `suspects`, ten
times a second at the most. Suspected, the prober's bad results count for nothing until fewer fail again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from geodns.core.health import Probe, Track

PATIENCE = 0.1  # seconds from a failure to the question whether it is one of many

Suspects = Callable[[Collection[Probe], Collection[Probe]], bool]


@dataclass(frozen=True, slots=True)
class Struck:
    """When (seconds of the monitor's loop) a probe began to fail, and its track before that."""

    at: float
    before: Track


class Storm:
    """`share` (0 to 1; 0: nothing is ever suspected) of what is well must fail to be asked about."""

    def __init__(self, suspects: Suspects, share: float) -> None:
        self.suspected = False
        self.struck: dict[Probe, Struck] = {}
        self._well: set[Probe] = set()
        self._suspects = suspects
        self._share = share

    def __len__(self) -> int:
        return len(self.struck)

    @property
    def known(self) -> int:
        """How many are well or struck: what a share is a share of."""
        return len(self.struck) + len(self._well)

    def well(self, probe: Probe) -> None:
        self.struck.pop(probe, None)
        self._well.add(probe)

    def strike(self, probe: Probe, before: Track, now: float) -> None:
        """A bad result; the first one after good ones makes it one of the storm."""
        if probe in self._well:
            self._well.discard(probe)
            self.struck[probe] = Struck(now, before)

    def forget(self, probe: Probe) -> None:
        self.struck.pop(probe, None)
        self._well.discard(probe)

    def large(self) -> bool:
        return 0 < self._share * self.known <= len(self.struck)

    def judge(self, now: float) -> bool:
        """Whether the prober is suspected from now on; of old failures the storm is rid then."""
        for probe, struck in list(self.struck.items()):
            if now - struck.at > probe.check.interval + probe.check.timeout + PATIENCE:
                del self.struck[probe]
        self.suspected = self.large() and self._suspects(self.struck.keys(), self._well)
        return self.suspected

    def pass_over(self) -> None:
        """The prober is believed again; who still fails does so of its own."""
        self.suspected = False
        self.struck.clear()
