"""`geodns drain SUBJECT --over 10m`: fewer and fewer clients, then none."""

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
from geodns.cli.common import Output, OutputOption, TokenOption, UrlOption, moment, say


def drain(
    subject: SubjectArgument,
    reason: ReasonOption,
    over: Annotated[str, typer.Option("--over", help="How long it takes until it is paused.")] = "10m",
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
    """Let its clients go step by step, then pause it. Asked for again it goes on from where it is."""
    server = Server(url, token_file, output)
    content = timed({**by(reason, actor), "over": over}, from_=begin, until=until, every=every)
    found = put(
        server,
        "drain",
        subject,
        content,
        duration=duration,
        match=match,
        overrule=overrule,
        dry_run=dry_run,
        volatile=volatile,
    )
    if found is None:
        return
    if found.get("planned"):
        tell(found, f"{subject} is drained", "it is resumed")
        return
    tell(found, f"{subject} is drained and has {found['value']}", "it is resumed")
    say(f"paused at {moment(found['paused_at'])}")
    say(f"forgotten by all resolvers at {moment(found['drained_at'])}")
