"""`geodns load SUBJECT LOAD`: report a load, as agents do; `geodns loads`: what loads come to."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from geodns.cli.changing import Server, SubjectArgument
from geodns.cli.common import Output, OutputOption, TokenOption, UrlOption, columns, moment, say, segment


def load(
    subject: SubjectArgument,
    value: Annotated[float, typer.Argument(metavar="LOAD", help="In the unit of its capacity.")],
    capacity: Annotated[
        float | None, typer.Option("--capacity", help="What it can bear; default: what the files say.")
    ] = None,
    duration: Annotated[
        str | None, typer.Option("--for", help="How long it holds unless reported again; default: 1m.")
    ] = None,
    url: UrlOption = None,
    token_file: TokenOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Report the load of a region, of it in a pool, or of an endpoint."""
    content: dict[str, object] = {"load": value}
    content |= {key: given for key, given in (("capacity", capacity), ("for", duration)) if given is not None}
    found = Server(url, token_file, output).call("PUT", f"/api/v1/loads/{segment(subject)}", content)
    if found is None:
        return
    say(f"{subject} has load {found['load']:g} until {moment(found['until'])}")
    say(_table(found["regions"]) if found["regions"] else "no capacity is known: it changes nothing")


def loads(url: UrlOption = None, token_file: TokenOption = None, output: OutputOption = Output.TABLE) -> None:
    """List how much of their capacity regions use, and which share of their clients they keep."""
    found = Server(url, token_file, output).call("GET", "/api/v1/loads")
    if found is not None:
        say(_table(found["regions"]) if found["regions"] else "no load is known")


def _table(regions: list[dict[str, Any]]) -> str:
    rows = [(r["region"], r["pool"], r["capacity"], f"{r['used']}%", f"{r['keeps']}%") for r in regions]
    return columns([("REGION", "POOL", "CAPACITY", "USED", "KEEPS"), *rows])
