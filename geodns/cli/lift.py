"""`geodns lift KIND SUBJECT`: undo an override."""

from __future__ import annotations

from typing import Annotated

import typer

from geodns.cli.changing import Lifting, SubjectArgument, takes, tell_lifted, warn_volatile
from geodns.cli.common import say

KindArgument = Annotated[
    str, typer.Argument(metavar="KIND", help="pause, drain, ramp, hold, weight, force; or plan.")
]


@takes(Lifting)
def lift(kind: KindArgument, subject: SubjectArgument, asked: Lifting) -> None:
    """Undo an override: what the files and the checks say holds again; `lift plan ID`: drop what is planned.

    Saying it twice does no harm.
    """
    if kind == "plan":
        _drop(subject, asked)
        return
    found = asked.lift(kind, subject)
    if found is None:
        return
    if found["changed"]:
        what = f"the {kind} of {subject}"
        tell_lifted(found, f"{what} is lifted", f"{what} would be lifted")
    else:
        say(f"{subject} has no {kind} set by hand")


def _drop(id: str, asked: Lifting) -> None:
    found = asked.drop_plan(id)
    if found is None:
        return
    if not found["changed"]:
        say(f"nothing is planned as {id}")
        return
    what = f"the {found['kind']} of {found['subject']}"
    if asked.dry_run:
        say(f"nothing is changed; else {what} would be planned no more")
        return
    say(f"{what} is planned no more")
    warn_volatile(found)
