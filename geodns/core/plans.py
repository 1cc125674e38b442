"""Overrides that are to be set at a moment, once or again and again."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

PLAN = "plan"  # where an override has its kind; its subject is the plan's id


@dataclass(frozen=True, slots=True)
class Plan:
    """An override as it will be asked for at `begins` (Unix seconds), for `length` seconds (None: until it is
    lifted). `every`: when it begins again, a cron expression; empty: never. `overrule`: rules that it may
    break.
    """

    kind: str
    subject: str
    reason: str
    actor: str
    begins: float
    length: float | None = None
    value: int = 0
    over: float = 0.0
    every: str = ""
    overrule: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """What it is known by: the same for what is planned twice."""
        what = repr((self.kind, self.subject, self.every or self.begins))
        return hashlib.blake2b(what.encode(), digest_size=4).hexdigest()

    @property
    def ends(self) -> float | None:
        return None if self.length is None else self.begins + self.length
