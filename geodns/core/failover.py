"""The number people ask for: from a failure to the last resolver that tells the right answer."""

from __future__ import annotations

import math

from geodns.model import Check, Model, Steer


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


def worst_case(model: Model, steer: Steer) -> float:
    """Seconds from an endpoint's failure until no resolver's cache holds it: detection and TTL.

    Infinite when one of the pool's endpoints has no check: its failure is never noticed.
    """
    pool = model.pools[steer.pool]
    slowest = 0.0
    for region in pool.regions:
        for endpoint in region.endpoints:
            if endpoint.check is None:
                return math.inf
            slowest = max(slowest, detection(endpoint.check))
    return slowest + steer.ttl
