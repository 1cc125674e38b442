"""`geodns weight SUBJECT WEIGHT`: the share of its clients that a region keeps, or an endpoint's weight."""

from __future__ import annotations

from typing import Annotated

import typer

from geodns.cli.changing import (
    ActorOption,
    DryOption,
    EveryOption,
    ForOption,
    FromOption,
    MatchOption,
    OverruleOption,
    ReasonOption,
    Server,
    SubjectArgument,
    UntilOption,
    VolatileOption,
    by,
    put,
    tell,
    timed,
)
from geodns.cli.common import Output, OutputOption, TokenOption, UrlOption


def weight(
    subject: SubjectArgument,
    value: Annotated[
        str, typer.Argument(metavar="WEIGHT", help="40% of a region's clients, or an endpoint's number.")
    ],
    reason: ReasonOption,
    duration: ForOption = None,
    begin: FromOption = None,
    until: UntilOption = None,
    every: EveryOption = None,
    overrule: OverruleOption = None,
    actor: ActorOption = None,
    dry_run: DryOption = False,
    match: MatchOption = None,
    volatile: VolatileOption = False,
    url: UrlOption = None,
    token_file: TokenOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Set a weight by hand. The clients that a region gives up go where they would go if it were down."""
    server = Server(url, token_file, output)
    content = timed({**by(reason, actor), "value": value}, from_=begin, until=until, every=every)
    found = put(
        server,
        "weight",
        subject,
        content,
        duration=duration,
        match=match,
        overrule=overrule,
        dry_run=dry_run,
        volatile=volatile,
    )
    if found is not None:
        tell(found, f"{subject} has weight {found['value']}", "it is lifted")
