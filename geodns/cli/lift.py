"""`geodns lift KIND SUBJECT`: undo an override."""

from __future__ import annotations

from typing import Annotated

import typer

from geodns.cli.changing import (
    ActorOption,
    DryOption,
    MatchOption,
    Server,
    SubjectArgument,
    WhyOption,
    by,
    drop_plan,
)
from geodns.cli.changing import lift as lift_one
from geodns.cli.common import Output, OutputOption, TokenOption, UrlOption, moment, say


def lift(
    kind: Annotated[
        str, typer.Argument(metavar="KIND", help="pause, drain, ramp, hold, weight, force; or plan.")
    ],
    subject: SubjectArgument,
    reason: WhyOption = None,
    actor: ActorOption = None,
    dry_run: DryOption = False,
    match: MatchOption = None,
    url: UrlOption = None,
    token_file: TokenOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Undo an override: what the files and the checks say holds again; `lift plan ID`: drop what is planned.

    Saying it twice does no harm.
    """
    server = Server(url, token_file, output)
    if kind == "plan":
        _drop(server, subject, by(reason, actor), dry_run=dry_run)
        return
    found = lift_one(server, kind, subject, by(reason, actor), dry_run=dry_run, match=match)
    if found is None:
        return
    if not found["changed"]:
        say(f"{subject} has no {kind} set by hand")
    elif dry_run:
        say(f"nothing is changed; else the {kind} of {subject} would be lifted")
    else:
        say(f"the {kind} of {subject} is lifted since {moment(found['effective_at'])}")
        say(f"known to all resolvers by {moment(found['caches_clear_at'])}")


def _drop(server: Server, id: str, query: dict[str, str], *, dry_run: bool) -> None:
    found = drop_plan(server, id, query, dry_run=dry_run)
    if found is None:
        return
    if not found["changed"]:
        say(f"nothing is planned as {id}")
        return
    what = f"the {found['kind']} of {found['subject']}"
    if dry_run:
        say(f"nothing is changed; else {what} would be planned no more")
    else:
        say(f"{what} is planned no more")
