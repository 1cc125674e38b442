"""`geodns status`: what runs, what it serves, what is wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from geodns.cli.common import Output, OutputOption, TokenOption, UrlOption, columns, connect, moment, say
from geodns.cli.overrides import course
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
    yield from _listed("NOT WRITTEN", _unwritten(found.get("unwritten") or {}))
    alarms = {severity: count for severity, count in (found.get("alarms") or {}).items() if count}
    if alarms:
        counted = ", ".join(f"{count} {severity}" for severity, count in alarms.items())
        yield "ALARMS", f"{counted} (geodns alarms)"
    yield from _listed("FAILING OPEN", found.get("failing_open") or [])
    yield from _listed("paused", [_paused(override) for override in found.get("paused") or []])
    yield from _listed("returning", [_moving(o) for o in found.get("overrides") or [] if _moves(o)])
    yield from _listed("database", [_database(database) for database in found.get("databases") or []])
    if found.get("synthetic"):
        yield "", "the databases are SYNTHETIC: for trying out, not for real clients"
    failover = found.get("failover") or {}
    yield from _listed("failover", [_failover(each, failover) for each in failover.get("records") or []])
    if found.get("prober_suspected"):
        yield "SUSPECTED", "the prober itself: most checks fail at once, and verdicts are frozen"
    heartbeats = found.get("heartbeats")
    if heartbeats:
        yield "heartbeats", ", ".join(f"{key} {value}" for key, value in heartbeats.items())
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


def _unwritten(what: Mapping[str, Any]) -> list[str]:
    """What the disk has not taken."""
    if not what:
        return []
    done = [
        f"{change['kind']} of {change['subject']} {'set' if change['set'] else 'lifted'} in memory only"
        for change in what.get("overrides") or []
    ]
    return [str(what.get("why")), *done, f"{what.get('log_rows')} rows of the log wait"]


def _paused(override: Mapping[str, Any]) -> str:
    until = f" until {moment(override.get('until'))}" if override.get("until") else ""
    return f"{override.get('subject')}{until} by {override.get('actor')}: {override.get('reason')}"


def _moves(override: Mapping[str, Any]) -> bool:
    """Whether it is a drain that is not over, a ramp or a hold."""
    return override.get("kind") in ("ramp", "hold") or bool(
        override.get("kind") == "drain" and override["value"]
    )


def _moving(override: Mapping[str, Any]) -> str:
    words = {"hold": "is held out", "drain": "is drained", "ramp": "is ramped up"}[override["kind"]]
    share = f", {override.get('value')}% now" if override["kind"] != "hold" else ""
    until = f" until {moment(override['until'])}" if override.get("until") else ""
    return f"{override.get('subject')} {words}{share}{until}: {override.get('reason')}{course(override)}"


def _database(database: Mapping[str, Any]) -> str:
    age = float(database.get("age_days") or 0)
    return f"{database.get('kind')} {database.get('type')}, {age:.0f} days old, {database.get('path')}"


def _failover(each: Mapping[str, Any], failover: Mapping[str, Any]) -> str:
    """How long a failure of what some names are steered to may be told."""
    examples, names = each["examples"], each["names"]
    listed = ", ".join(examples) + (f" and {names - len(examples)} more" if names > len(examples) else "")
    if each["seconds"] is None:
        return f"never: an endpoint of {each['pool']} has no check ({listed})"
    parts = f"noticed after {duration.text(each['detection'])}, TTL {duration.text(each['ttl'])}"
    over = ", OVER THE BUDGET" if each["seconds"] > failover.get("budget", 0) else ""
    return f"at most {duration.text(each['seconds'])}{over}: {parts} ({listed})"
