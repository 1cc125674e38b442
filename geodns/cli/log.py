"""`geodns log`: what was done, by whom and why; `--verify`: that nobody has changed what it says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from urllib.parse import urlencode

import typer

from geodns.cli.common import Output, OutputOption, TokenOption, UrlOption, columns, connect, moment, say
from geodns.core import duration
from geodns.errors import GeodnsError


def log(
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="How many rows.")] = 20,
    before: Annotated[int | None, typer.Option(min=1, help="Only those older than this row.")] = None,
    action: Annotated[
        str | None, typer.Option(help="set, lift, expire, refuse, overrule, verdict, load or reject.")
    ] = None,
    subject: Annotated[str | None, typer.Option(help="On this, or inside it.")] = None,
    actor: Annotated[str | None, typer.Option(help="By this one.")] = None,
    since: Annotated[str | None, typer.Option(help="Of the last 1h, 7d, …")] = None,
    verify: Annotated[bool, typer.Option("--verify", help="Prove that the chain of rows is whole.")] = False,
    head: Annotated[
        str | None, typer.Option(help="With --verify: and that this row, noted earlier, is in it.")
    ] = None,
    url: UrlOption = None,
    token_file: TokenOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show what was done, newest first: overrides, reloads, verdicts, what was refused."""
    if verify:
        asked: dict[str, object] = {"head": head}
        path = "/api/v1/log/verify"
    else:
        asked = {"limit": limit, "before": before, "action": action, "subject": subject, "actor": actor}
        asked["since"] = _ago(since)
        path = "/api/v1/log"
    query = urlencode({key: value for key, value in asked.items() if value is not None})
    body = connect(url, token_file, output).call("GET", f"{path}?{query}")
    found = json.loads(body)
    if output is Output.JSON:
        say(body.rstrip("\n"))
    if verify:
        _tell_proof(found, output)
    elif output is Output.TABLE:
        _tell(found)


def _tell(found: Mapping[str, Any]) -> None:
    rows = [_row(entry) for entry in found["entries"]]
    if not rows:
        say("nothing of that kind is written")
        return
    say(columns([("ROW", "AT", "WHAT", "SUBJECT", "CHANGE", "BY", "WHY"), *rows]))
    if found["next"]:
        say(f"older ones: --before {found['next']}")


def _tell_proof(found: Mapping[str, Any], output: Output) -> None:
    if not found["ok"]:
        raise GeodnsError(f"the log is not whole: {found['wrong']}")
    if output is Output.TABLE:
        say(f"rows {found['first']} to {found['last']} are those that were written")
        say(f"head {found['head']}")


def _row(entry: Mapping[str, Any]) -> tuple[object, ...]:
    return (
        entry["seq"],
        moment(entry["at"]),
        entry["action"],
        entry["subject"],
        change_of(entry),
        entry["actor"],
        entry["reason"],
    )


def change_of(entry: Mapping[str, Any]) -> str:
    """What an entry says was before and is now, in a few words."""
    change = f"{_told(entry['before'])} -> {_told(entry['after'])}"
    return change if entry["action"] in ("lift", "expire") else change.removeprefix("nothing -> ")


def _told(state: object) -> str:
    """One side of a change, in a few words."""
    if not isinstance(state, Mapping):
        return str(state or "nothing")
    if "kind" in state:
        until = f" until {moment(state['until'])}" if state.get("until") else ""
        value = f"{state['kind']} {state.get('value', '')}".strip()
        return value + until + (", in memory at first" if state.get("volatile") else "")
    if state.get("volatile"):
        return "nothing, in memory at first"
    for key in ("verdict", "rule", "alarm"):
        if key in state:
            return str(state[key])
    if "problems" in state:
        return f"{len(state['problems']) + state.get('more', 0)} problems"
    return f"{state.get('zones', '?')} zones"


def _ago(since: str | None) -> str | None:
    if since is None:
        return None
    try:
        return (datetime.now(UTC) - timedelta(seconds=duration.parse(since))).isoformat()
    except (duration.BadDurationError, OverflowError) as error:
        raise typer.BadParameter(str(error), param_hint="--since") from error
