"""`geodns alarms`: what the operator should know of now; with `--test`, whether the hooks can be told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from geodns.cli.common import Output, OutputOption, TokenOption, UrlOption, columns, connect, moment, say

PATH = "/api/v1/alarms"


def alarms(
    test: Annotated[bool, typer.Option("--test", help="Send every hook a test alarm instead.")] = False,
    url: UrlOption = None,
    token_file: TokenOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """List the alarms that hold, or send a test to all that are told of alarms."""
    api = connect(url, token_file, output)
    body = api.call("POST", f"{PATH}/test") if test else api.call("GET", PATH)
    found = json.loads(body)
    if output is Output.JSON:
        say(body.rstrip("\n"))
    elif test:
        _tell_test(found)
    else:
        _tell(found)
    if test and not all(hook["ok"] for hook in found["hooks"]):
        raise typer.Exit(1)


def _tell(found: Mapping[str, Any]) -> None:
    if not found["alarms"]:
        say("no alarms")
        return
    rows = [(moment(a["since"]), a["severity"], a["kind"], a["subject"], a["text"]) for a in found["alarms"]]
    say(columns([("SINCE", "SEVERITY", "KIND", "SUBJECT", "WHAT"), *rows]))
    if found["left_out"]:
        say(f"and {found['left_out']} more that there is no room for")


def _tell_test(found: Mapping[str, Any]) -> None:
    if not found["hooks"]:
        say("nobody is told of alarms: see alarms.webhooks and alarms.command of the settings")
        return
    say(columns((hook["hook"], "ok" if hook["ok"] else "FAILED", hook["detail"]) for hook in found["hooks"]))
