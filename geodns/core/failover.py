"""The number people ask for: from a failure to the last resolver that tells the right answer."""

from __future__ import annotations

import math

from geodns.model import Check, Model, Steer


def detection(check: Check) -> float:
    """Seconds until `fall` probes in a row have failed, the last one by its timeout."""
    return check.interval * check.fall + check.timeout


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
