"""`geodns pause SUBJECT`: take a region, or a part of it, out of the answers, now."""

from __future__ import annotations

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


def pause(
    subject: SubjectArgument,
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
    """Stop answering with it. Returns when it is written down and in the answers."""
    server = Server(url, token_file, output)
    content = timed({**by(reason, actor)}, from_=begin, until=until, every=every)
    found = put(
        server,
        "pause",
        subject,
        content,
        duration=duration,
        match=match,
        overrule=overrule,
        dry_run=dry_run,
        volatile=volatile,
    )
    if found is not None:
        tell(found, f"{subject} is paused", "it is resumed", "out of the answers", "forgotten by")
