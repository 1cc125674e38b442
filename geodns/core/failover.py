"""The number people ask for: from a failure to the last resolver that tells the right answer."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass

from geodns.core.names import to_text
from geodns.model import Check, Model, Pool, Steer

MAX_EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class Failover:
    """What steered records of one pool and TTL have in common, in seconds.

    `detection` is infinite where one of the endpoints has no check: its failure is never noticed. What lies
    between verdict and answers (a tenth of a second) is not counted. `examples` are some of the `names`.
    """

    pool: str
    ttl: int
    detection: float
    names: int
    examples: tuple[str, ...]

    @property
    def seconds(self) -> float:
        """From an endpoint's failure until no honest resolver's cache holds it."""
        return self.detection + self.ttl


def detection(check: Check) -> float:
    """Seconds until `fall` probes in a row have failed, the last one by its timeout.

    What is gone fails every probe, so a window (`fall: 3 of 5`) takes no longer than as many in a row.
    Of several checks the slowest may be the only one that notices.
    """
    if check.of:
        return max(map(detection, check.of))
    return check.interval + (check.fall - 1) * _apart(check) + check.timeout


def _apart(check: Check) -> float:
    """Seconds between the beginnings of two probes that time out."""
    if check.retry_interval is not None and check.retry_interval < check.interval:
        return max(check.retry_interval, check.timeout)
    return check.interval * max(1, math.ceil(check.timeout / check.interval))


def failovers(model: Model) -> tuple[Failover, ...]:
    """Of all steered records, the slowest first."""
    found: defaultdict[tuple[str, int], list[bytes]] = defaultdict(list)
    for zone in model.zones:
        for steer in zone.steers:
            found[steer.pool, steer.ttl].append(steer.owner)
    every = [
        Failover(pool, ttl, noticed(model.pools[pool]), len(owners), _examples(owners))
        for (pool, ttl), owners in found.items()
    ]
    return tuple(sorted(every, key=lambda f: (-f.seconds, f.examples)))


def worst_case(model: Model, steer: Steer) -> float:
    """`Failover.seconds` of one steered record."""
    return noticed(model.pools[steer.pool]) + steer.ttl


def noticed(pool: Pool) -> float:
    """Seconds until the failure of whichever endpoint is noticed."""
    checks = [endpoint.check for region in pool.regions for endpoint in region.endpoints]
    return max((math.inf if check is None else detection(check) for check in checks), default=0.0)


def _examples(owners: list[bytes]) -> tuple[str, ...]:
    return tuple(to_text(owner).rstrip(".") for owner in owners[:MAX_EXAMPLES])
