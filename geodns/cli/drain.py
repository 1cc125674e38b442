"""`geodns drain SUBJECT --over 10m`: fewer and fewer clients, then none."""

from __future__ import annotations

from geodns.cli.changing import OverOption, Planning, SubjectArgument, takes, tell
from geodns.cli.common import moment, say


@takes(Planning)
def drain(subject: SubjectArgument, asked: Planning, over: OverOption = "10m") -> None:
    """Let its clients go step by step, then pause it. Asked for again it goes on from where it is."""
    found = asked.put("drain", subject, over=over)
    if found is None:
        return
    if found.get("planned"):
        tell(found, f"{subject} is drained", "it is resumed")
        return
    tell(found, f"{subject} is drained and has {found['value']}", "it is resumed")
    say(f"paused at {moment(found['paused_at'])}")
    say(f"forgotten by all resolvers at {moment(found['drained_at'])}")
