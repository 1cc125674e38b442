"""`geodns force-up SUBJECT`, `geodns force-down SUBJECT`: a verdict by hand, whatever the checks say."""

from __future__ import annotations

from geodns.cli.changing import (
    ActorOption,
    DryOption,
    ForOption,
    MatchOption,
    OverruleOption,
    ReasonOption,
    Server,
    SubjectArgument,
    by,
    put,
    tell,
)
from geodns.cli.common import Output, OutputOption, TokenOption, UrlOption


def force_up(
    subject: SubjectArgument,
    reason: ReasonOption,
    duration: ForOption = None,
    overrule: OverruleOption = None,
    actor: ActorOption = None,
    dry_run: DryOption = False,
    match: MatchOption = None,
    url: UrlOption = None,
    token_file: TokenOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Take endpoints for healthy, whatever their checks say; `geodns lift force` undoes it."""
    server, content = Server(url, token_file, output), dict[str, object](by(reason, actor) | {"value": "up"})
    _tell(
        subject,
        put(
            server,
            "force",
            subject,
            content,
            duration=duration,
            match=match,
            overrule=overrule,
            dry_run=dry_run,
        ),
    )


def force_down(
    subject: SubjectArgument,
    reason: ReasonOption,
    duration: ForOption = None,
    overrule: OverruleOption = None,
    actor: ActorOption = None,
    dry_run: DryOption = False,
    match: MatchOption = None,
    url: UrlOption = None,
    token_file: TokenOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Take endpoints for down, whatever their checks say; `geodns lift force` undoes it."""
    server, content = (
        Server(url, token_file, output),
        dict[str, object](by(reason, actor) | {"value": "down"}),
    )
    _tell(
        subject,
        put(
            server,
            "force",
            subject,
            content,
            duration=duration,
            match=match,
            overrule=overrule,
            dry_run=dry_run,
        ),
    )


def _tell(subject: str, found: dict[str, object] | None) -> None:
    if found is not None:
        tell(found, f"{subject} is forced {found['value']}", "it is lifted")
