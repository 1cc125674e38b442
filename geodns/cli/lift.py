"""`geodns lift KIND SUBJECT`: undo an override."""

from __future__ import annotations

from typing import Annotated

import typer

from geodns.cli.changing import (
    ActorOption,
    DryOption,
    MatchOption,
    OverruleOption,
    Server,
    SubjectArgument,
    VolatileOption,
    WhyOption,
    by,
    drop_plan,
    warn_volatile,
)
from geodns.cli.changing import lift as lift_one
from geodns.cli.common import Output, OutputOption, TokenOption, UrlOption, moment, say
from geodns.cli.prediction import tell_prediction


def lift(
    kind: Annotated[
        str, typer.Argument(metavar="KIND", help="pause, drain, ramp, hold, weight, force; or plan.")
    ],
    subject: SubjectArgument,
    reason: WhyOption = None,
    overrule: OverruleOption = None,
    actor: ActorOption = None,
    dry_run: DryOption = False,
    match: MatchOption = None,
    volatile: VolatileOption = False,
    url: UrlOption = None,
    token_file: TokenOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Undo an override: what the files and the checks say holds again; `lift plan ID`: drop what is planned.

    Saying it twice does no harm.
    """
    server = Server(url, token_file, output)
    if kind == "plan":
        _drop(server, subject, by(reason, actor), dry_run=dry_run, volatile=volatile)
        return
    found = lift_one(
        server,
        kind,
        subject,
        by(reason, actor),
        dry_run=dry_run,
        match=match,
        overrule=overrule,
        volatile=volatile,
    )
    if found is None:
        return
    if not found["changed"]:
        say(f"{subject} has no {kind} set by hand")
    elif dry_run:
        say(f"nothing is changed; else the {kind} of {subject} would be lifted")
        tell_prediction(found)
    else:
        say(f"the {kind} of {subject} is lifted since {moment(found['effective_at'])}")
        say(f"known to all resolvers by {moment(found['caches_clear_at'])}")
        warn_volatile(found)


def _drop(server: Server, id: str, query: dict[str, str], **flags: bool) -> None:
    found = drop_plan(server, id, query, **flags)
    if found is None:
        return
    if not found["changed"]:
        say(f"nothing is planned as {id}")
        return
    what = f"the {found['kind']} of {found['subject']}"
    if flags["dry_run"]:
        say(f"nothing is changed; else {what} would be planned no more")
        return
    say(f"{what} is planned no more")
    warn_volatile(found)
