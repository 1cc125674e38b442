"""Checks: what `like` inherits is filled in, and what cannot work is told."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from geodns.config.findings import Findings
from geodns.config.schema.zones import CheckForm
from geodns.config.tables import Entry, Table
from geodns.config.yaml import Document, Loc
from geodns.model import Check

_HTTP = frozenset({"path", "method", "host", "headers", "status", "body"})
_TLS = frozenset({"sni", "verify"})
_DNS = frozenset({"query", "record", "rcode", "answer", "transport"})
_EXEC = frozenset({"command"})
_FOLLOW = frozenset({"of", "need"})
_PROBED = frozenset({"port", "probe", "interval", "retry_interval", "timeout", "fall", "rise", "damping"})
_OF_KIND = {
    "http": _PROBED | _HTTP,
    "https": _PROBED | _HTTP | _TLS,
    "tcp": _PROBED,
    "tls": _PROBED | _TLS,
    "dns": _PROBED | _DNS,
    "icmp": _PROBED - {"port"},
    "exec": _PROBED | _EXEC,
    "follow": _FOLLOW,
}
_KINDS = ", ".join(list(_OF_KIND)[1:-1]) + f" or {list(_OF_KIND)[-1]}"
MAX_LEAVES = 64  # probes of one endpoint's address
MAX_DEPTH = 8  # checks that follow one another
MAX_TRAIL = 64  # checks that refer to one another, in whatever way


@dataclass(frozen=True, slots=True)
class Powers:
    """What the settings let checks do. `commands`: run programs."""

    commands: bool = False


class Checks:
    """The checks of a folder, each resolved once. Without `powers` they may do everything."""

    def __init__(self, table: Table, powers: Powers | None, findings: Findings) -> None:
        self._table = table
        self._powers = powers
        self._findings = findings
        self._done: dict[str, Check | None] = {}
        for id_ in table.entries:
            self._named(id_, ())

    def of(self, ref: str | CheckForm | None, user: Entry, loc: Loc) -> Check | None:
        """The check that a pool or endpoint asks for; None for `none`, for nothing, for what is broken."""
        if ref is None or ref == "none":
            return None
        if isinstance(ref, CheckForm):
            return self._build(replace(user, form=ref, loc=loc), ())
        entry = self._table.look_up(ref, user.zone, user.document.position(loc), self._findings)
        return self._named(entry.id, ()) if entry else None

    def _named(self, id_: str, trail: tuple[str, ...]) -> Check | None:
        if id_ not in self._done:
            entry = self._table.entries[id_]
            self._done[id_] = self._build(entry, (*trail, id_)) if entry.form else None
        return self._done[id_]

    def _build(self, entry: Entry, trail: tuple[str, ...]) -> Check | None:
        form: CheckForm = entry.form
        base = None
        if form.like is not None:
            base = self._other(form.like, entry, ("like",), trail)
            if base is None:
                return None
        elif form.type is None:
            if entry.whole:
                hint = f"write `type: http`, {_KINDS}, or inherit with `like`"
                at = entry.document.position(entry.loc)
                self._findings.error("missing-key", "the check has no type", at, hint)
            return None
        check = _merged(base, form)
        self._judge(check, form, entry.document, entry.loc)
        if check.kind != "follow":
            return replace(check, of=())
        parts = [self._other(name, entry, ("of", number), trail) for number, name in enumerate(form.of)]
        if None in parts:
            return None
        check = replace(check, of=tuple(filter(None, parts)) or check.of)
        return check if self._joins(check, entry) else None

    def _other(self, name: str, entry: Entry, key: Loc, trail: tuple[str, ...]) -> Check | None:
        """The check that one inherits from (`like`) or follows (`of`)."""
        at = entry.document.position((*entry.loc, *key))
        found = self._table.look_up(name, entry.zone, at, self._findings)
        if found is None:
            return None
        if found.id in trail:
            circle = " -> ".join((*trail[trail.index(found.id) :], found.id))
            how = "inherit" if key == ("like",) else "follow each other"
            self._findings.error("circle", f"checks {how} in a circle: {circle}", at)
            return None
        if len(trail) >= MAX_TRAIL:
            self._findings.error("too-deep", f"more than {MAX_TRAIL} checks refer to one another", at)
            return None
        return self._named(found.id, trail)

    def _joins(self, check: Check, entry: Entry) -> bool:
        """Whether a check that follows others can be: neither without any, nor of too many or too deep."""
        at = entry.document.key_position(entry.loc)
        leaves, message, hint = sum(1 for _ in check.leaves()), "", ""
        if not check.of and entry.whole:
            message, hint = "a follow check has no `of`: the checks that it follows", "of: [web, disk]"
        elif len(set(entry.form.of)) < len(entry.form.of):
            message = "a check is followed twice"
        elif check.need > len(check.of):
            message = f"{check.need} of {len(check.of)} checks can never be up"
        elif leaves > MAX_LEAVES:
            message = f"the check comes to {leaves} probes, and at most {MAX_LEAVES} may be"
        elif _depth(check) > MAX_DEPTH:
            message = f"more than {MAX_DEPTH} checks follow one another"
        if message:
            self._findings.error("bad-follow", message, at, hint)
        return bool(check.of) and not message

    def _judge(self, check: Check, form: CheckForm, document: Document, loc: Loc) -> None:
        useless = frozenset[str]().union(*_OF_KIND.values()) - _OF_KIND[check.kind]
        for key in sorted(useless):
            if key in form.model_fields_set:
                at = document.key_position((*loc, key))
                self._findings.error(
                    "meaningless", f"'{key}' means nothing to a check of type {check.kind}", at
                )
        at = document.key_position(loc)
        named = check.sni or (check.host if check.kind == "https" else None)
        if check.kind in ("https", "tls") and check.verify and named is None:
            a, key = ("an", "host") if check.kind == "https" else ("a", "sni")
            self._findings.warning(
                "no-host",
                f"{a} {check.kind} check without `{key}` verifies the certificate against the bare address",
                at, f"give `{key}`, or `verify: false`",
            )  # fmt: skip
        if check.kind == "exec":
            self._judge_command(check, form, document, loc)
        if check.kind == "dns" and check.query is None:
            self._findings.error("no-query", "a dns check has no `query`: the name that it asks for", at)
        if check.timeout > check.interval and {"timeout", "interval"} & form.model_fields_set:
            message = f"the timeout ({check.timeout:g}s) is longer than the interval ({check.interval:g}s)"
            self._findings.warning("slow-timeout", message, at)
        retry = check.retry_interval
        if retry is not None and retry > check.interval:
            message = f"the retry_interval ({retry:g}s) is longer than the interval ({check.interval:g}s)"
            self._findings.warning("slow-retry", message, at, "it is for probing faster while in doubt")

    def _judge_command(self, check: Check, form: CheckForm, document: Document, loc: Loc) -> None:
        at = document.key_position(loc)
        if self._powers is not None and not self._powers.commands:
            message = "checks may not run programs here: exec is off"
            self._findings.error("exec-off", message, at, "set `probes.exec: true` in geodns.yaml")
        if not check.command:
            hint = "command: [/usr/lib/nagios/plugins/check_ldap, -3]"
            self._findings.error("no-command", "an exec check has no `command`", at, hint)
        elif form.command and not check.command[0].startswith("/"):
            message = f"'{check.command[0]}' is no program: its whole path is needed, and there is no shell"
            self._findings.error("bad-command", message, document.position((*loc, "command", 0)))


def _depth(check: Check) -> int:
    return 1 + max(map(_depth, check.of), default=0)


def _merged(base: Check | None, form: CheckForm) -> Check:
    given: dict[str, Any] = {
        key: getattr(form, key) for key in form.model_fields_set - {"like", "type", "of"}
    }
    if form.type is not None:
        given["kind"] = form.type
    for key in given.keys() & {"fall", "rise"}:
        given[key], given[f"{key}_of"] = given[key]
    for key in given.keys() & {"status", "command"}:
        given[key] = tuple(given[key])
    return replace(base, **given) if base else Check(**given)
