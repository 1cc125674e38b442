"""`geodns ramp SUBJECT --over 10m`: what is out serves again, for few clients at first."""

from __future__ import annotations

from geodns.cli.changing import OverOption, Ramping, SubjectArgument, takes, tell
from geodns.cli.common import moment, say


@takes(Ramping)
def ramp(subject: SubjectArgument, asked: Ramping, over: OverOption = "10m") -> None:
    """Resume with 10, 25, 50, then 100 % of its clients. If it fails meanwhile it is out again."""
    found = asked.put("ramp", subject, over=over)
    if found is None:
        return
    if not found.get("changed", True):
        say(f"{subject} is not out: there is nothing to ramp")
        return
    tell(found, f"{subject} serves {found['value']}", moment(found["whole_at"]))
