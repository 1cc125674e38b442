"""What the verbs share that change overrides: their options, one call, and how it is told.

A verb asks for one of the groups of options below (`@takes(Setting)`); they are its own on the command line.
"""

from __future__ import annotations

import getpass
import json
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any, NamedTuple, get_type_hints
from urllib.parse import urlencode

import typer

from geodns.cli.common import Output, OutputOption, TokenOption, UrlOption, connect, moment, say, segment
from geodns.cli.prediction import tell_prediction

SubjectArgument = Annotated[
    str, typer.Argument(metavar="SUBJECT", help="REGION, REGION:POOL or REGION:POOL:ENDPOINT.")
]
OverOption = Annotated[str, typer.Option("--over", help="How long that takes.")]


class Server(NamedTuple):
    """Where to send, and how to print."""

    url: str | None
    token_file: Path | None
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """The options of all verbs that change something."""

    actor: Annotated[str | None, typer.Option("--actor", help="Who; default: you@this-host.")] = None
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False
    volatile: Annotated[
        bool, typer.Option("--volatile", help="Where the disk refuses: in memory only, until it does not.")
    ] = False
    overrule: Annotated[
        list[str] | None,
        typer.Option("--overrule", metavar="RULE", help="Even if it breaks this rule; may be given again."),
    ] = None
    url: UrlOption = None
    token_file: TokenOption = None
    output: OutputOption = Output.TABLE

    @property
    def server(self) -> Server:
        return Server(self.url, self.token_file, self.output)

    @property
    def who(self) -> str:
        return self.actor or _who()

    def flags(self) -> dict[str, bool]:
        """Those that are on."""
        return {key: True for key in ("dry_run", "volatile") if getattr(self, key)}

    def body(self, **content: object) -> dict[str, object]:
        """The body of a request: what is as usual is left out of it."""
        mine = {"actor": self.who, "overrule": self.overrule, **self.flags(), **content}
        return {key: value for key, value in mine.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifting(Asking):
    """The options of verbs that undo something."""

    reason: Annotated[str | None, typer.Option("--reason", "-r", help="Why, for whoever looks later.")] = None
    match: Annotated[
        str | None, typer.Option("--if-match", help="Only if the subject's overrides still have this ETag.")
    ] = None

    def lift(self, kind: str, subject: str) -> dict[str, Any] | None:
        """Lift an override; the reply."""
        return self._delete(_path(kind, subject))

    def drop_plan(self, id: str) -> dict[str, Any] | None:
        """Drop what is planned; the reply."""
        return self._delete(f"/api/v1/plans/{segment(id)}")

    def _delete(self, path: str) -> dict[str, Any] | None:
        query = [("actor", self.who), *((key, "true") for key in self.flags())]
        query += [("reason", self.reason)] if self.reason is not None else []
        query += [("overrule", rule) for rule in self.overrule or ()]
        return self.server.call("DELETE", f"{path}?{urlencode(query)}", match=self.match)


@dataclass(frozen=True, slots=True, kw_only=True)
class Giving(Asking):
    """The options of verbs that set something: not without a reason."""

    reason: Annotated[str, typer.Option("--reason", "-r", help="Why, for whoever looks later.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ramping(Giving):
    """The options of verbs that set one override."""

    match: Annotated[
        str | None, typer.Option("--if-match", help="Only if the subject's overrides still have this ETag.")
    ] = None

    def put(self, kind: str, subject: str, **content: object) -> dict[str, Any] | None:
        """Set an override; the reply."""
        return self.server.call("PUT", _path(kind, subject), self.body(**content), self.match)

    def body(self, **content: object) -> dict[str, object]:
        return Asking.body(self, reason=self.reason, **content)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting(Ramping):
    """The options of verbs that set one that may end by itself."""

    duration: Annotated[
        str | None, typer.Option("--for", help="30m, 2h, …; without it until it is lifted.")
    ] = None

    def body(self, **content: object) -> dict[str, object]:
        return Ramping.body(self, **{"for": self.duration}, **content)


@dataclass(frozen=True, slots=True, kw_only=True)
class Planning(Setting):
    """The options of verbs that set one now, or plan it."""

    begin: Annotated[str | None, typer.Option("--from", help="Not before 2026-11-23T05:42:43Z.")] = None
    until: Annotated[str | None, typer.Option("--until", help="Until 2026-11-23T07:00:00Z; or --for.")] = None
    every: Annotated[
        str | None, typer.Option("--every", help="Again and again: '0 3 * * 6' (cron, in UTC); with --for.")
    ] = None

    def body(self, **content: object) -> dict[str, object]:
        times = {"from": self.begin, "until": self.until, "every": self.every}
        return Setting.body(self, **times, **content)


Verb = Callable[..., None]


def takes(group: type[Asking]) -> Callable[[Verb], Verb]:
    """Give a verb a group's options in the place of its argument `asked`, where it gets them as one value."""

    def give(verb: Verb) -> Verb:
        own = [p for p in signature(verb).parameters.values() if p.name != "asked"]
        hints = get_type_hints(verb, include_extras=True) | get_type_hints(group, include_extras=True)
        usual = [field.name for field in fields(Asking)]
        theirs = [f.name for f in fields(group) if f.name not in usual] + usual

        def run(**given: Any) -> None:
            verb(asked=group(**{name: given.pop(name) for name in theirs}), **given)

        defaults = {p.name: p.default for p in signature(group).parameters.values()}
        options = [Parameter(name, Parameter.KEYWORD_ONLY, default=defaults[name]) for name in theirs]
        named = [p.replace(annotation=hints[p.name]) for p in (*own, *options)]
        run.__name__, run.__doc__ = verb.__name__, verb.__doc__
        run.__annotations__ = {p.name: p.annotation for p in named}
        run.__signature__ = Signature(named)  # type: ignore[attr-defined]
        return run

    return give


def _path(kind: str, subject: str) -> str:
    return f"/api/v1/overrides/{segment(subject)}/{kind}"


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


def tell_lifted(found: Mapping[str, Any], done: str, would: str) -> None:
    """Say what was lifted: `done` is such as "eu-west serves again"."""
    if found.get("dry_run"):
        say(f"nothing is changed; else {would}")
        tell_prediction(found)
        return
    say(f"{done} since {moment(found['effective_at'])}")
    say(f"known to all resolvers by {moment(found['caches_clear_at'])}")
    warn_volatile(found)


def warn_volatile(found: Mapping[str, Any]) -> None:
    """Say it where the disk has refused a change."""
    if found.get("volatile"):
        say("IN MEMORY ONLY: the disk refuses; it is written when the disk does not, and lost if geodns ends")


def tell_overruled(found: Mapping[str, Any]) -> None:
    """Say which rules a change breaks."""
    if found.get("overruled"):
        say(f"overruled: {', '.join(found['overruled'])}")


def _who() -> str:
    """The person at this terminal, as an actor."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "someone"
    return f"{user}@{socket.gethostname()}"[:100]
