"""`geodns resume SUBJECT`: let what is out serve again."""

from __future__ import annotations

from geodns.cli.changing import (
    ActorOption,
    DryOption,
    MatchOption,
    Server,
    SubjectArgument,
    VolatileOption,
    WhyOption,
    by,
    lift,
    warn_volatile,
)
from geodns.cli.common import Output, OutputOption, TokenOption, UrlOption, moment, say
from geodns.cli.prediction import tell_prediction


def resume(
    subject: SubjectArgument,
    reason: WhyOption = None,
    actor: ActorOption = None,
    dry_run: DryOption = False,
    match: MatchOption = None,
    volatile: VolatileOption = False,
    url: UrlOption = None,
    token_file: TokenOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """End whatever keeps it out: a pause, a drain, a hold, a ramp. Saying it twice does no harm."""
    server = Server(url, token_file, output)
    found = lift(server, "pause", subject, by(reason, actor), dry_run=dry_run, match=match, volatile=volatile)
    if found is None:
        return
    if not found["changed"]:
        say(f"{subject} was not paused")
    elif dry_run:
        say(f"nothing is changed; else {subject} would serve again")
        tell_prediction(found)
    else:
        say(f"{subject} serves again since {moment(found['effective_at'])}")
        say(f"known to all resolvers by {moment(found['caches_clear_at'])}")
        warn_volatile(found)
