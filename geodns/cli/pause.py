"""`geodns pause REGION`: take a region out of the answers, now."""

from __future__ import annotations

import getpass
import json
import socket
from typing import Annotated, Any

import typer

from geodns.cli.common import Output, OutputOption, TokenOption, UrlOption, connect, moment, say, segment


def pause(
    region: Annotated[str, typer.Argument(metavar="REGION", help="The region's id.")],
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why, for whoever looks later.")],
    duration: Annotated[
        str | None, typer.Option("--for", help="30m, 2h, …; without it until resumed.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Even if names are left without a region.")] = False,
    actor: Annotated[str | None, typer.Option("--actor", help="Who; default: you@this-host.")] = None,
    url: UrlOption = None,
    token_file: TokenOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Stop answering with a region. Returns when it is written down and in the answers."""
    content: dict[str, object] = {"reason": reason, "actor": actor or who()}
    if duration is not None:
        content["for"] = duration
    if force:
        content["force"] = True
    body = connect(url, token_file, output).call("PUT", f"/api/v1/regions/{segment(region)}/pause", content)
    if output is Output.JSON:
        say(body.rstrip("\n"))
        return
    found: dict[str, Any] = json.loads(body)
    until = f"until {moment(found['until'])}" if found["until"] else "until it is resumed"
    say(f"{found['region']} is paused {until}: {found['reason']}")
    say(f"out of the answers since {moment(found['effective_at'])}")
    say(f"forgotten by resolvers by {moment(found['caches_clear_at'])}")


def who() -> str:
    """The person at this terminal, as an actor."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "someone"
    return f"{user}@{socket.gethostname()}"[:100]
