"""Clients, and their resolvers with caches: honest ones, with a minimum TTL, ones that serve stale data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

MINIMUM = 60  # seconds for which a minimum-TTL resolver keeps everything at least


class Manner(StrEnum):
    HONEST = "honest"
    MINIMUM = "minimum-TTL"
    STALE = "serve-stale"


@dataclass(frozen=True, slots=True)
class Client:
    """Who asks from one address: `weight` clients, evenly behind `resolvers`, each connects once a second."""

    name: str
    address: str
    weight: int = 1
    resolvers: int = 1


@dataclass(frozen=True, slots=True)
class Told:
    """An answer's addresses or targets, and the seconds for which it may be kept."""

    values: tuple[str, ...]
    ttl: int


class Resolver:
    """One question's cache in front of `upstream`. A serve-stale one tells what has expired once more while
    it fetches anew, as unbound's serve-expired does.
    """

    def __init__(self, manner: Manner, upstream: Callable[[float], Told]) -> None:
        self._manner = manner
        self._upstream = upstream
        self._told: Told | None = None
        self._fresh = 0.0
        self.until = 0.0  # true time in seconds until which what was last told may be told

    def resolve(self, now: float) -> Told:
        """What a client is told; `now` is true time in seconds, and is passed on to who is asked upstream."""
        if self._told is not None and now < self._fresh:
            self.until = self._fresh
            return self._told
        before, self._told = self._told, self._upstream(now)
        least = MINIMUM if self._manner is Manner.MINIMUM else 0
        self._fresh = now + max(self._told.ttl, least)
        if before is not None and self._manner is Manner.STALE:
            self.until = now
            return before
        self.until = self._fresh
        return self._told
