"""`geodns force-up SUBJECT`, `geodns force-down SUBJECT`: a verdict by hand, whatever the checks say."""

from __future__ import annotations

from geodns.cli.changing import Setting, SubjectArgument, takes, tell


@takes(Setting)
def force_up(subject: SubjectArgument, asked: Setting) -> None:
    """Take endpoints for healthy, whatever their checks say; `geodns lift force` undoes it."""
    _force(subject, "up", asked)


@takes(Setting)
def force_down(subject: SubjectArgument, asked: Setting) -> None:
    """Take endpoints for down, whatever their checks say; `geodns lift force` undoes it."""
    _force(subject, "down", asked)


def _force(subject: str, verdict: str, asked: Setting) -> None:
    found = asked.put("force", subject, value=verdict)
    if found is not None:
        tell(found, f"{subject} is forced {found['value']}", "it is lifted")
