"""Pools that as a whole are not as they should be: told in the log when it begins, and when it is over."""

from __future__ import annotations

import structlog

from geodns.core.steer.odds import available
from geodns.core.steer.strength import panics
from geodns.core.world import World
from geodns.model import Pool

NOTHING_LEFT = "no region is available"
PANIC = "too little is healthy: health is ignored"
MAX_TOLD = 10  # pools named in a line of the log

log = structlog.get_logger("geodns")


class Outages:
    """What was told last, so that only changes are."""

    def __init__(self) -> None:
        self._told: dict[str, str] = {}  # pool id -> what is wrong

    def tell(self, world: World, touched: frozenset[str]) -> None:
        """Log what became of the touched pools: one line for all of whom the same is true."""
        found = {id_: _trouble(pool, world) for id_ in touched if (pool := world.pools.get(id_))}
        news = {id_: trouble for id_, trouble in found.items() if trouble != self._told.get(id_, "")}
        self._told = {
            id_: trouble for id_, trouble in {**self._told, **found}.items() if trouble and id_ in world.pools
        }
        for trouble in (NOTHING_LEFT, PANIC, ""):
            pools = sorted(id_ for id_, what in news.items() if what == trouble)
            about = {"pools": pools[:MAX_TOLD], "more": max(0, len(pools) - MAX_TOLD)}
            if pools and trouble:
                log.error(trouble, **about)
            elif pools:
                log.info("available again", **about)


def _trouble(pool: Pool, world: World) -> str:
    """What is wrong with a pool as a whole; empty where nothing is."""
    if not any(available(pool, region, world) for region in pool.regions):
        return NOTHING_LEFT
    return PANIC if panics(pool, world) else ""
