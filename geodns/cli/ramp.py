"""`geodns ramp SUBJECT --over 10m`: what is out serves again, for few clients at first."""

from __future__ import annotations

from typing import Annotated

import typer

from geodns.cli.changing import (
    ActorOption,
    DryOption,
    MatchOption,
    OverruleOption,
    ReasonOption,
    Server,
    SubjectArgument,
    VolatileOption,
    by,
    put,
    tell,
)
from geodns.cli.common import Output, OutputOption, TokenOption, UrlOption, moment, say


def ramp(
    subject: SubjectArgument,
    reason: ReasonOption,
    over: Annotated[str, typer.Option("--over", help="How long it takes until all is as usual.")] = "10m",
    overrule: OverruleOption = None,
    actor: ActorOption = None,
    dry_run: DryOption = False,
    match: MatchOption = None,
    volatile: VolatileOption = False,
    url: UrlOption = None,
    token_file: TokenOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Resume with 10, 25, 50, then 100 % of its clients. If it fails meanwhile it is out again."""
    server, content = Server(url, token_file, output), dict[str, object](by(reason, actor) | {"over": over})
    found = put(
        server,
        "ramp",
        subject,
        content,
        duration=None,
        match=match,
        overrule=overrule,
        dry_run=dry_run,
        volatile=volatile,
    )
    if found is None:
        return
    if not found.get("changed", True):
        say(f"{subject} is not out: there is nothing to ramp")
        return
    tell(found, f"{subject} serves {found['value']}", moment(found["whole_at"]))
