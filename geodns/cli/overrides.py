"""`geodns overrides`: all that is set by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from geodns.cli.common import Output, OutputOption, TokenOption, UrlOption, columns, connect, moment, say


def overrides(
    url: UrlOption = None, token_file: TokenOption = None, output: OutputOption = Output.TABLE
) -> None:
    """List what is set by hand: on what, by whom, why, until when."""
    body = connect(url, token_file, output).call("GET", "/api/v1/overrides")
    if output is Output.JSON:
        say(body.rstrip("\n"))
        return
    found = json.loads(body)
    rows = [_row(override) for override in found["overrides"]]
    say(
        columns([("SUBJECT", "SET", "SINCE", "UNTIL", "BY", "WHY"), *rows])
        if rows
        else "nothing is set by hand"
    )
    plans = [_planned(plan) for plan in found.get("planned") or []]
    if plans:
        say()
        say(columns([("PLANNED", "ID", "SET", "FROM", "UNTIL", "AGAIN (UTC)", "BY", "WHY"), *plans]))


def _planned(plan: Mapping[str, Any]) -> tuple[object, ...]:
    subject, kind, _, until, by, why = _row({**plan, "since": plan["from"]})
    return subject, plan["id"], kind, moment(plan["from"]), until, plan["every"] or "", by, why


def _row(override: Mapping[str, Any]) -> tuple[object, ...]:
    return (
        override["subject"] + ("" if override["known"] else " (not in the files)"),
        f"{override['kind']} {override.get('value', '')}".strip()
        + (" (in memory only)" if override["volatile"] else ""),
        moment(override["since"]),
        moment(override["until"]),
        override["actor"],
        override["reason"] + course(override),
    )


def course(override: Mapping[str, Any]) -> str:
    """When a drain or a ramp has come to its end; empty for anything else."""
    if override.get("whole_at"):
        return f" (whole at {moment(override['whole_at'])})"
    if override.get("paused_at"):
        paused, gone = moment(override["paused_at"]), moment(override["drained_at"])
        return f" (paused at {paused}, forgotten by all resolvers at {gone})"
    return ""
