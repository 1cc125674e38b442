"""`geodns resume REGION`: let a paused region serve again."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from geodns.cli.common import Output, OutputOption, TokenOption, UrlOption, connect, moment, say, segment
from geodns.cli.pause import who


def resume(
    region: Annotated[str, typer.Argument(metavar="REGION", help="The region's id.")],
    actor: Annotated[str | None, typer.Option("--actor", help="Who; default: you@this-host.")] = None,
    url: UrlOption = None,
    token_file: TokenOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """End a region's pause. Saying it twice does no harm."""
    path = f"/api/v1/regions/{segment(region)}/pause?actor={segment(actor or who())}"
    body = connect(url, token_file, output).call("DELETE", path)
    if output is Output.JSON:
        say(body.rstrip("\n"))
        return
    found: dict[str, Any] = json.loads(body)
    if not found["changed"]:
        say(f"{found['region']} was not paused")
        return
    say(f"{found['region']} serves again since {moment(found['effective_at'])}")
    say(f"known to all resolvers by {moment(found['caches_clear_at'])}")
