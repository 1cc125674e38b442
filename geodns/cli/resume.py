"""`geodns resume SUBJECT`: let what is out serve again."""

from __future__ import annotations

from geodns.cli.changing import Lifting, SubjectArgument, takes, tell_lifted
from geodns.cli.common import say


@takes(Lifting)
def resume(subject: SubjectArgument, asked: Lifting) -> None:
    """End whatever keeps it out: a pause, a drain, a hold, a ramp. Saying it twice does no harm."""
    found = asked.lift("pause", subject)
    if found is None:
        return
    if found["changed"]:
        tell_lifted(found, f"{subject} serves again", f"{subject} would serve again")
    else:
        say(f"{subject} was not paused")
