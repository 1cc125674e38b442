"""`geodns pause SUBJECT`: take a region, or a part of it, out of the answers, now."""

from __future__ import annotations

from geodns.cli.changing import Planning, SubjectArgument, takes, tell


@takes(Planning)
def pause(subject: SubjectArgument, asked: Planning) -> None:
    """Stop answering with it. Returns when it is written down and in the answers."""
    found = asked.put("pause", subject)
    if found is not None:
        tell(found, f"{subject} is paused", "it is resumed", "out of the answers", "forgotten by")
