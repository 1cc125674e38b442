"""`geodns demo`: a real server with its own endpoints on loopback; `break` and `mend` from elsewhere."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from geodns.cli.common import LaneOption, port_from, say

app = typer.Typer(
    invoke_without_command=True,
    rich_markup_mode=None,
    help="Start a demonstration on this machine; Ctrl-C ends it and leaves nothing behind.",
)

RegionArgument = Annotated[
    str, typer.Argument(metavar="REGION", help="A region of the demo, such as cn-south.")
]


@app.callback()
def demo(context: typer.Context, lane: LaneOption = None) -> None:
    if context.invoked_subcommand is None:
        from geodns.showing import run

        run(
            port_from("DNS_PORT", 5300),
            port_from("ADMIN_PORT", 8053),
            lane or os.environ.get("GEODNS_LANE") or "auto",
        )


@app.command("break")
def break_(region: RegionArgument) -> None:
    """Let the endpoints of a region fail: they refuse connections from now on."""
    _control("break", region)


@app.command()
def mend(region: RegionArgument) -> None:
    """Let the endpoints of a region work again."""
    _control("mend", region)


def _control(verb: str, region: str) -> None:
    from geodns.demo.endpoints import control

    say(control(verb, region))
