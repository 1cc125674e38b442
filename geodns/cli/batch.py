"""`geodns batch "VERB SUBJECT" …`: several overrides at once, all or none."""

from __future__ import annotations

from typing import Annotated

import typer

from geodns.cli.changing import Giving, takes, tell_overruled, warn_volatile
from geodns.cli.common import moment, say
from geodns.cli.prediction import tell_prediction

_VERBS = {
    "pause": ({"set": "pause"}, 1),
    "resume": ({"lift": "pause"}, 1),
    "drain": ({"set": "drain"}, 1),
    "ramp": ({"set": "ramp"}, 1),
    "weight": ({"set": "weight"}, 2),
    "force-up": ({"set": "force", "value": "up"}, 1),
    "force-down": ({"set": "force", "value": "down"}, 1),
    "lift": ({}, 2),
}


ChangesArgument = Annotated[
    list[str], typer.Argument(metavar='"VERB SUBJECT"...', help='"pause eu-west" "resume us-west" …')
]


@takes(Giving)
def batch(changes: ChangesArgument, asked: Giving) -> None:
    """Make several changes at once: all of them or, where one cannot be made, none."""
    made = [_change(text) for text in changes]
    found = asked.server.call("POST", "/api/v1/batch", asked.body(reason=asked.reason, changes=made))
    if found is None:
        return
    if not found.get("effective_at"):
        say("all of it was so already")
        return
    tell_overruled(found)
    if asked.dry_run:
        say(f"nothing is changed; else all of it would be: {', '.join(changes)}")
        tell_prediction(found)
    else:
        say(f"{', '.join(changes)}: in the answers since {moment(found['effective_at'])}")
        say(f"known to all resolvers by {moment(found['caches_clear_at'])}")
        warn_volatile(found)


def _change(text: str) -> dict[str, str]:
    """A change as the API takes it, of one as the command line has it: `weight eu-west 40%`."""
    verb, *words = text.split() or [""]
    change, count = _VERBS.get(verb, ({}, 0))
    timed = verb in ("drain", "ramp")
    if not count or len(words) not in (count, count + timed):
        shown = "'pause SUBJECT', 'weight SUBJECT WEIGHT' or 'lift KIND SUBJECT'"
        raise typer.BadParameter(f"'{text}' is no change such as {shown}")
    if verb == "lift":
        return {"lift": words[0], "subject": words[1]}
    more = {"over" if timed else "value": words[1]} if words[1:] else {}
    return {**change, "subject": words[0], **more}
