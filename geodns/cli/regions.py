"""`geodns regions`: what there is, what is paused, how its endpoints are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from geodns.cli.common import Output, OutputOption, TokenOption, UrlOption, columns, connect, moment, say


def regions(
    url: UrlOption = None, token_file: TokenOption = None, output: OutputOption = Output.TABLE
) -> None:
    """List the regions, their pauses and the verdicts of their endpoints."""
    body = connect(url, token_file, output).call("GET", "/api/v1/regions")
    if output is Output.JSON:
        say(body.rstrip("\n"))
        return
    rows = [_row(region) for region in json.loads(body)["regions"]]
    say(columns([("REGION", "TITLE", "UP", "DOWN", "UNKNOWN", "STATE"), *rows]))


def _row(region: Mapping[str, Any]) -> tuple[object, ...]:
    counts = region["endpoints"]
    return (
        region["id"],
        region["title"],
        counts["up"],
        counts["down"],
        counts["unknown"],
        _state(region),
    )


def _state(region: Mapping[str, Any]) -> str:
    paused = region["paused"]
    if paused:
        until = f" until {moment(paused['until'])}" if paused["until"] else ""
        where = " in memory only" if paused["volatile"] else ""
        return f"paused{where}{until} by {paused['actor']}: {paused['reason']}"
    words = [_returning(override) for override in region.get("returning") or []]
    by_hand = region.get("overrides", 0) - len(words)
    return ", ".join((_health(region), *words, *([f"{by_hand} set by hand"] if by_hand else [])))


def _returning(override: Mapping[str, Any]) -> str:
    """What becomes of a region or a part of it: "drain of eu-west at 60%"."""
    share = f" at {override['value']}" if "value" in override else ""
    return f"{override['kind']} of {override['subject']}{share}: {override['reason']}"


def _health(region: Mapping[str, Any]) -> str:
    if not region["pools"]:
        return "in no pool"
    counts = region["endpoints"]
    if not counts["up"]:
        return "down" if counts["down"] else "not probed yet"
    return "degraded" if counts["down"] else "serving"
