"""`geodns check [PATH]`: everything that is wrong with the files, and how long a failover would take."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from geodns.cli.common import ConfigOption, Output, OutputOption, columns, say, settings_from
from geodns.core import duration
from geodns.errors import ConfigError, GeodnsError, Position, Problem, Severity

if TYPE_CHECKING:
    from geodns.config.schema.settings import Settings
    from geodns.geo.mmdb import Database, Kind
    from geodns.model import Model

MAX_ROWS = 30


@dataclass(frozen=True, slots=True)
class _Failover:
    """How long a steered name may be answered wrongly; infinite where a failure is never noticed."""

    name: str
    pool: str
    noticed: float
    ttl: int
    position: Position

    @property
    def seconds(self) -> float:
        return self.noticed + self.ttl


def check(
    path: Annotated[
        Path | None,
        typer.Argument(
            metavar="PATH", help="A zones folder, or a geodns.yaml; default: what `serve` would load."
        ),
    ] = None,
    config: ConfigOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Check zone files as `serve` would load them. Exit 1 where something is wrong."""
    problems: list[Problem] = []
    failovers: list[_Failover] = []
    settings: Settings | None = None
    try:
        settings = _settings(path, config)
        problems += [*_lane(settings), *_secrets(settings)]
        opened = _databases(settings, problems)
        model = _load(settings, opened, alone=config is None and path is not None and path.is_dir())
        failovers = _failovers(model)
        problems += [*model.problems, *_over(failovers, settings.failover_budget)]
    except ConfigError as error:
        problems += error.problems
    budget = settings.failover_budget if settings else 0.0
    if output is Output.JSON:
        say(json.dumps(_plain(problems, failovers, budget), indent=2, ensure_ascii=False))
    else:
        _tell(problems, failovers, budget)
    if any(problem.severity is Severity.ERROR for problem in problems):
        raise typer.Exit(1)


def _settings(path: Path | None, config: Path | None) -> Settings:
    if path is not None and not path.exists():
        raise GeodnsError(f"there is no {path}: name a zones folder or a geodns.yaml")
    if path is None or path.is_dir():
        return settings_from(config, {"zones": str(path)} if path else {})
    if config is not None:
        raise GeodnsError(f"{path} is a file, and --config names another one: name a zones folder, or one")
    return settings_from(path, {})


def _lane(settings: Settings) -> list[Problem]:
    """Whether the lane that the settings ask for can be had here."""
    from geodns.native import choose, threads

    try:
        if choose(settings.lane).usable:
            threads(settings)
    except GeodnsError as error:
        return [Problem("lane", str(error), Position("settings"))]
    return []


def _secrets(settings: Settings) -> list[Problem]:
    """What is wrong with the secrets that the settings name."""
    from geodns.agreement import Agreement
    from geodns.config.secrets import exposed, heartbeat_secrets, tsig_secrets, webhook_secrets

    found = exposed(settings)
    for read in (
        lambda: tsig_secrets(settings.transfer.keys, os.environ),
        lambda: heartbeat_secrets(settings.heartbeats.keys, os.environ),
        lambda: Agreement(settings, os.environ, bytes, 0.0),
        lambda: webhook_secrets(settings.alarms.webhooks, os.environ),
    ):
        try:
            read()
        except ConfigError as error:
            found += error.problems
    return found


def _databases(settings: Settings, problems: list[Problem]) -> Mapping[Kind, Database] | None:
    """The databases opened; None, and a problem for each that is not to be had, where that fails."""
    from geodns.loading import databases_of

    try:
        return databases_of(settings).current
    except GeodnsError as error:
        problems += [Problem("database", line, Position("databases")) for line in str(error).splitlines()]
        return None


def _load(settings: Settings, databases: Mapping[Kind, Database] | None, *, alone: bool) -> Model:
    """What `serve` loads and compiles. A folder checked `alone`, without settings, needs no databases, and
    its checks may do everything; nor is a database asked for that could not be opened: that has been told.
    """
    from geodns.core.compile.build import build
    from geodns.geo.mmdb import Kind
    from geodns.geo.needs import unknown_values
    from geodns.loading import Request, powers_of, read_model

    kinds = frozenset(Kind) if databases is None or (alone and not databases) else frozenset(databases)
    powers = None if alone else powers_of(settings)
    request = Request(settings.zones, settings.lines, kinds, settings.limits.zone_bytes, powers=powers)
    model, _ = read_model(request)
    build(model.zones, model.pools, {zone.apex: 1 for zone in model.zones})
    return replace(model, problems=(*model.problems, *unknown_values(model, databases or {})))


def _over(failovers: list[_Failover], budget: float) -> list[Problem]:
    """A warning for each steered name whose failover takes longer than `failover_budget` allows."""
    return [
        Problem(
            "failover-budget",
            f"a failure behind {f.name} may be told for {duration.text(f.seconds)}, "
            f"the budget is {duration.text(budget)}",
            f.position,
            "probe more often, lower the ttl, or raise failover_budget",
            Severity.WARNING,
        )
        for f in failovers
        if isfinite(f.seconds) and f.seconds > budget
    ]


def _failovers(model: Model) -> list[_Failover]:
    """Every steered record's number, the slowest first."""
    from geodns.core.failover import noticed
    from geodns.core.names import to_text

    known = {pool.id: noticed(pool) for pool in model.pools.values()}
    found = [
        _Failover(to_text(steer.owner), steer.pool, known[steer.pool], steer.ttl, steer.position)
        for zone in model.zones
        for steer in zone.steers
    ]
    return sorted(found, key=lambda f: (-f.seconds, f.name))


def _tell(problems: Iterable[Problem], failovers: list[_Failover], budget: float) -> None:
    errors = warnings = 0
    for problem in problems:
        say(str(problem))
        errors += problem.severity is Severity.ERROR
        warnings += problem.severity is Severity.WARNING
    if failovers:
        rows = [(f.name, f.pool, _took(f, budget)) for f in failovers[:MAX_ROWS]]
        say(columns([("STEERED NAME", "POOL", "WORST CASE UNTIL ALL CLIENTS ARE ELSEWHERE"), *rows]))
        if len(failovers) > MAX_ROWS:
            say(f"… and {len(failovers) - MAX_ROWS} names that are no slower (-o json lists all)")
    say(f"{_count(errors, 'error')}, {_count(warnings, 'warning')}")


def _took(f: _Failover, budget: float) -> str:
    if not isfinite(f.seconds):
        return "never: an endpoint has no check"
    parts = f"noticed after {duration.text(f.noticed)}, TTL {duration.text(f.ttl)}"
    over = f", over the budget of {duration.text(budget)}" if f.seconds > budget else ""
    return f"{duration.text(f.seconds)}{over}: {parts}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _finite(seconds: float) -> float | None:
    return seconds if isfinite(seconds) else None


def _plain(problems: list[Problem], failovers: list[_Failover], budget: float) -> dict[str, object]:
    return {
        "ok": not any(problem.severity is Severity.ERROR for problem in problems),
        "problems": [
            {
                "file": problem.position.file,
                "line": problem.position.line,
                "column": problem.position.column,
                "severity": problem.severity.value,
                "code": problem.code,
                "message": problem.message,
                "hint": problem.hint,
            }
            for problem in problems
        ],
        "failover_budget": budget,
        "failover": [
            {
                "name": f.name,
                "pool": f.pool,
                "seconds": _finite(f.seconds),
                "detection": _finite(f.noticed),
                "ttl": f.ttl,
            }
            for f in failovers
        ],
    }
