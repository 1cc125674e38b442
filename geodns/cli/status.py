"""`geodns status`: what runs, what it serves, what is wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from geodns.cli.common import Output, OutputOption, TokenOption, UrlOption, columns, connect, moment, say
from geodns.core import duration

MAX_LINES = 20


def status(
    url: UrlOption = None, token_file: TokenOption = None, output: OutputOption = Output.TABLE
) -> None:
    """Show the state of the running server."""
    body = connect(url, token_file, output).call("GET", "/api/v1/status")
    if output is Output.JSON:
        say(body.rstrip("\n"))
        return
    say(columns(_rows(json.loads(body))))


def _rows(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "geodns", f"{found.get('version', '?')}, {_lane(found)}"
    yield "started", moment(found.get("started"))
    ready = found.get("ready") or {}
    if ready:
        yield "ready", f"{'yes' if ready.get('ready') else 'no'}: {ready.get('why', '')}"
    yield from _listed("zone", [_zone(zone) for zone in found.get("zones") or []])
    yield "zones read", moment(found.get("loaded_at"))
    yield from _listed("NOT TAKEN", found.get("problem") or [])
    yield from _listed("NOT TAKEN", found.get("database_problem") or [])
    yield from _listed("warning", found.get("warnings") or [])
    alarms = {severity: count for severity, count in (found.get("alarms") or {}).items() if count}
    if alarms:
        counted = ", ".join(f"{count} {severity}" for severity, count in alarms.items())
        yield "ALARMS", f"{counted} (geodns alarms)"
    yield from _listed("FAILING OPEN", found.get("failing_open") or [])
    yield from _listed("paused", [_paused(override) for override in found.get("paused") or []])
    yield from _listed("database", [_database(database) for database in found.get("databases") or []])
    if found.get("synthetic"):
        yield "", "the databases are SYNTHETIC: for trying out, not for real clients"
    failover = found.get("failover")
    if failover:
        yield "worst failover", _failover(failover)
    if found.get("prober_suspected"):
        yield "SUSPECTED", "the prober itself: most checks fail at once, and verdicts are frozen"
    probes = found.get("probes")
    if probes:
        yield "probes", ", ".join(f"{key} {value}" for key, value in probes.items())


def _lane(found: Mapping[str, Any]) -> str:
    lane, threads, why = f"{found.get('lane', '?')} lane", found.get("threads"), found.get("lane_why")
    if threads:
        lane = f"{lane}, {threads} thread{'' if threads == 1 else 's'} on each address"
    return f"{lane}: {why}" if why else lane


def _listed(title: str, lines: list[str]) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(lines[:MAX_LINES]):
        yield title if number == 0 else "", line
    if len(lines) > MAX_LINES:
        yield "", f"… and {len(lines) - MAX_LINES} more (-o json shows all)"


def _zone(zone: Mapping[str, Any]) -> str:
    return f"{zone.get('apex')} serial {zone.get('serial')}, {zone.get('names')} names"


def _paused(override: Mapping[str, Any]) -> str:
    until = f" until {moment(override.get('until'))}" if override.get("until") else ""
    return f"{override.get('subject')}{until} by {override.get('actor')}: {override.get('reason')}"


def _database(database: Mapping[str, Any]) -> str:
    age = float(database.get("age_days") or 0)
    return f"{database.get('kind')} {database.get('type')}, {age:.0f} days old, {database.get('path')}"


def _failover(failover: Mapping[str, Any]) -> str:
    seconds = failover.get("seconds")
    took = "never: an endpoint has no check" if seconds is None else duration.text(float(seconds))
    return f"{took} ({failover.get('name')})"
