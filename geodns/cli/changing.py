"""What the verbs share that change overrides: their options, one call, and how it is told."""

from __future__ import annotations

import getpass
import json
import socket
from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple
from urllib.parse import urlencode

import typer

from geodns.cli.common import Output, connect, moment, say, segment
from geodns.cli.prediction import tell_prediction

SubjectArgument = Annotated[
    str, typer.Argument(metavar="SUBJECT", help="REGION, REGION:POOL or REGION:POOL:ENDPOINT.")
]
ReasonOption = Annotated[str, typer.Option("--reason", "-r", help="Why, for whoever looks later.")]
WhyOption = Annotated[str | None, typer.Option("--reason", "-r", help="Why, for whoever looks later.")]
ForOption = Annotated[str | None, typer.Option("--for", help="30m, 2h, …; without it until it is lifted.")]
OverruleOption = Annotated[
    list[str] | None,
    typer.Option("--overrule", metavar="RULE", help="Even if it breaks this rule; may be given again."),
]
ActorOption = Annotated[str | None, typer.Option("--actor", help="Who; default: you@this-host.")]
DryOption = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]
VolatileOption = Annotated[
    bool, typer.Option("--volatile", help="Where the disk refuses: in memory only, until it does not.")
]
MatchOption = Annotated[
    str | None, typer.Option("--if-match", help="Only if the subject's overrides still have this ETag.")
]


class Server(NamedTuple):
    """Where to send, and how to print."""

    url: str | None
    token_file: Any
    output: Output

    def call(
        self, method: str, path: str, content: Mapping[str, object] | None = None, match: str | None = None
    ) -> dict[str, Any] | None:
        """The reply; None where its very body was wanted, and is printed."""
        headers = {"If-Match": f'"{match}"'} if match else {}
        body = connect(self.url, self.token_file, self.output).call(method, path, content, headers)
        if self.output is Output.JSON:
            say(body.rstrip("\n"))
            return None
        found: dict[str, Any] = json.loads(body)
        return found


def path_of(kind: str, subject: str) -> str:
    return f"/api/v1/overrides/{segment(subject)}/{kind}"


FromOption = Annotated[str | None, typer.Option("--from", help="Not before 2026-11-23T05:42:43Z.")]
UntilOption = Annotated[str | None, typer.Option("--until", help="Until 2026-11-23T07:00:00Z; or --for.")]
EveryOption = Annotated[
    str | None, typer.Option("--every", help="Again and again: '0 3 * * 6' (cron, in UTC); with --for.")
]


def timed(content: dict[str, object], **times: str | None) -> dict[str, object]:
    """A body with the times that are given, by key with an underscore behind it."""
    return content | {key.rstrip("_"): written for key, written in times.items() if written is not None}


def put(
    server: Server,
    kind: str,
    subject: str,
    content: dict[str, object],
    *,
    duration: str | None,
    match: str | None,
    overrule: list[str] | None,
    **flags: bool,
) -> dict[str, Any] | None:
    """Set an override; the reply. What is as usual is left out of the request."""
    if duration is not None:
        content["for"] = duration
    content |= asked(overrule, **flags)
    return server.call("PUT", path_of(kind, subject), content, match)


def asked(overrule: list[str] | None, **flags: bool) -> dict[str, object]:
    """What of a request's body is not as usual."""
    return ({"overrule": overrule} if overrule else {}) | {key: True for key, on in flags.items() if on}


def lift(
    server: Server,
    kind: str,
    subject: str,
    query: dict[str, str],
    *,
    match: str | None,
    overrule: list[str] | None = None,
    **flags: bool,
) -> dict[str, Any] | None:
    """Lift an override; the reply."""
    query |= {key: "true" for key, on in flags.items() if on}
    words = urlencode([*query.items(), *(("overrule", rule) for rule in overrule or ())])
    return server.call("DELETE", f"{path_of(kind, subject)}?{words}", match=match)


def drop_plan(server: Server, id: str, query: dict[str, str], **flags: bool) -> dict[str, Any] | None:
    """Drop what is planned; the reply."""
    query |= {key: "true" for key, on in flags.items() if on}
    return server.call("DELETE", f"/api/v1/plans/{segment(id)}?{urlencode(query)}")


def by(reason: str | None, actor: str | None) -> dict[str, str]:
    """Who asks, and why."""
    return {"actor": actor or who()} | ({"reason": reason} if reason is not None else {})


def tell(
    found: Mapping[str, Any],
    state: str,
    end: str,
    answers: str = "in the answers",
    caches: str = "known to all",
) -> None:
    """Say what was set: `state` is such as "eu-west is paused", `end` such as "it is resumed"."""
    until = f"until {moment(found['until'])}" if found["until"] else f"until {end}"
    if found.get("planned"):
        would = "nothing is changed; else " if found.get("dry_run") else ""
        again = f" and then every '{found['every']}' (UTC)" if found["every"] else ""
        say(f"{would}planned as {found['id']}: from {moment(found['from'])} {state} {until}{again}")
        return
    if found.get("dry_run"):
        say(f"nothing is changed; else {state} {until}: {found['reason']}")
        tell_overruled(found)
        tell_prediction(found)
        return
    say(f"{state} {until}: {found['reason']}")
    tell_overruled(found)
    say(f"{answers} since {moment(found['effective_at'])}")
    say(f"{caches} resolvers by {moment(found['caches_clear_at'])}")
    warn_volatile(found)


def warn_volatile(found: Mapping[str, Any]) -> None:
    """Say it where the disk has refused a change."""
    if found.get("volatile"):
        say("IN MEMORY ONLY: the disk refuses; it is written when the disk does not, and lost if geodns ends")


def tell_overruled(found: Mapping[str, Any]) -> None:
    """Say which rules a change breaks."""
    if found.get("overruled"):
        say(f"overruled: {', '.join(found['overruled'])}")


def who() -> str:
    """The person at this terminal, as an actor."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "someone"
    return f"{user}@{socket.gethostname()}"[:100]
