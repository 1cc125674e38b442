"""Checks: what `like` inherits is filled in, and what cannot work is told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from geodns.config.findings import Findings
from geodns.config.schema.zones import CheckForm
from geodns.config.tables import Entry, Table
from geodns.config.yaml import Document, Loc
from geodns.model import Check

_HTTP = frozenset({"path", "method", "host", "headers", "status", "body"})
_TLS = frozenset({"sni", "verify"})
_DNS = frozenset({"query", "record", "rcode", "answer", "transport"})
_OF_KIND = {
    "http": _HTTP,
    "https": _HTTP | _TLS,
    "tls": _TLS,
    "dns": _DNS,
    "tcp": frozenset[str](),
    "icmp": frozenset[str](),
}


class Checks:
    """The checks of a folder, each resolved once."""

    def __init__(self, table: Table, findings: Findings) -> None:
        self._table = table
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
            base = self._base(form.like, entry, trail)
            if base is None:
                return None
        elif form.type is None:
            if entry.whole:
                hint = "write `type: http`, https, tcp, tls, dns or icmp, or inherit with `like`"
                at = entry.document.position(entry.loc)
                self._findings.error("missing-key", "the check has no type", at, hint)
            return None
        check = _merged(base, form)
        self._judge(check, form, entry.document, entry.loc)
        return check

    def _base(self, like: str, entry: Entry, trail: tuple[str, ...]) -> Check | None:
        at = entry.document.position((*entry.loc, "like"))
        found = self._table.look_up(like, entry.zone, at, self._findings)
        if found is None:
            return None
        if found.id in trail:
            circle = " -> ".join((*trail[trail.index(found.id) :], found.id))
            self._findings.error("circle", f"checks inherit in a circle: {circle}", at)
            return None
        return self._named(found.id, trail)

    def _judge(self, check: Check, form: CheckForm, document: Document, loc: Loc) -> None:
        useless = (_HTTP | _TLS | _DNS) - _OF_KIND[check.kind] | ({"port"} if check.kind == "icmp" else set())
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
        if check.kind == "dns" and check.query is None:
            self._findings.error("no-query", "a dns check has no `query`: the name that it asks for", at)
        if check.timeout > check.interval and {"timeout", "interval"} & form.model_fields_set:
            message = f"the timeout ({check.timeout:g}s) is longer than the interval ({check.interval:g}s)"
            self._findings.warning("slow-timeout", message, at)
        retry = check.retry_interval
        if retry is not None and retry > check.interval:
            message = f"the retry_interval ({retry:g}s) is longer than the interval ({check.interval:g}s)"
            self._findings.warning("slow-retry", message, at, "it is for probing faster while in doubt")


def _merged(base: Check | None, form: CheckForm) -> Check:
    given: dict[str, Any] = {key: getattr(form, key) for key in form.model_fields_set - {"like", "type"}}
    if form.type is not None:
        given["kind"] = form.type
    for key in given.keys() & {"fall", "rise"}:
        given[key], given[f"{key}_of"] = given[key]
    if "status" in given:
        given["status"] = tuple(given["status"])
    return replace(base, **given) if base else Check(**given)
