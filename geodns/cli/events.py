"""`geodns events`: what happens, as it happens."""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Iterator
from typing import Annotated, Any, NamedTuple

import typer

from geodns.cli.client import Api, NoServerError
from geodns.cli.common import Output, OutputOption, TokenOption, UrlOption, complain, connect, moment, say
from geodns.cli.log import change_of

AGAIN = 2.0  # seconds until a server that has gone is looked for again


class _Event(NamedTuple):
    name: str
    kind: str
    data: str


def events(
    count: Annotated[int | None, typer.Option("--count", "-n", min=1, help="End after so many.")] = None,
    url: UrlOption = None,
    token_file: TokenOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Follow what happens: overrides, verdicts, reloads, alarms. Ctrl-C ends it."""
    gc.enable()
    api, last, seen = connect(url, token_file, output), "", False
    left = count
    while left is None or left > 0:
        try:
            for event in _events(api, last):
                seen, last = True, event.name or last
                _show(event, output)
                left = None if left is None else left - 1
                if left == 0:
                    return
        except NoServerError as error:
            if not seen:
                raise
            complain(f"{error}; looking again")
        time.sleep(AGAIN)


def _events(api: Api, last: str) -> Iterator[_Event]:
    """The events of one connection."""
    parts = {"id": "", "event": "", "data": ""}
    for line in api.lines("/api/v1/events", {"Last-Event-ID": last} if last else {}):
        if line:
            key, _, value = line.partition(": ")
            parts[key] = value
            continue
        if parts["data"]:
            yield _Event(parts["id"], parts["event"], parts["data"])
        parts = {"id": "", "event": "", "data": ""}


def _show(event: _Event, output: Output) -> None:
    if output is Output.JSON:
        say(event.data)
        return
    found: dict[str, Any] = json.loads(event.data)
    if event.kind == "gap":
        complain(str(found["detail"]))
        return
    words = (found["action"], found["subject"], change_of(found), f"by {found['actor']}: {found['reason']}")
    say(f"{moment(found['at'])}  {'  '.join(word for word in words if word)}")
