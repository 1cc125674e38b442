"""geodns.yaml: the file, overridden by the environment, overridden by flags; all checked the same way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_origin

from geodns.config import yaml
from geodns.config.findings import Findings, did_you_mean
from geodns.config.schema.reading import Adapter, read
from geodns.config.schema.settings import AlarmSettings, Here, Listen, Settings, TransferSettings
from geodns.config.schema.types import Form
from geodns.core.names import BadNameError, fold, from_text
from geodns.errors import ConfigError, Position

__all__ = ["Listen", "Settings", "load_settings"]

MAX_BYTES = 1 << 20
MAX_WEBHOOKS = 16
_ADAPTER: Adapter[Settings] = Adapter(Settings)


def load_settings(path: Path | None, overrides: Mapping[str, str], environ: Mapping[str, str]) -> Settings:
    """The settings: every key that nobody names has its default.

    `overrides` are flags by dotted key (`listen.dns`), `environ` holds `GEODNS_LISTEN_DNS` and so on; lists
    are written with commas. Relative paths are below the file's folder, or the current one where they come
    from a flag, from the environment, or from no file. Raises ConfigError with every problem.
    """
    findings = Findings()
    document = yaml.Document("geodns.yaml", None, None)
    if path is not None:
        found = yaml.read(path, findings, MAX_BYTES)
        if found is None:
            raise ConfigError(findings.sorted())
        document = found
    value = {} if document.value is None else document.value
    if not isinstance(value, dict):
        findings.error("not-a-mapping", "the file does not begin with keys", document.position())
        raise ConfigError(findings.sorted())
    given = {**_from_environment(environ), **_from_flags(overrides, findings)}
    layered = _Layered(
        document.file, document.value, document.spot, {loc: told[0] for loc, told in given.items()}
    )
    for loc, (_, text) in given.items():
        value = _with(value, loc, text)
    context = {"base": path.parent if path else Path()}
    settings = read(_ADAPTER, value, layered, (), findings, context).value
    if findings.failed or settings is None:
        raise ConfigError(findings.sorted())
    assert isinstance(settings, Settings)
    _judge_transfer(settings.transfer, layered, findings)
    _judge_alarms(settings.alarms, layered, findings)
    if findings.failed:
        raise ConfigError(findings.sorted())
    return settings


def _judge_transfer(transfer: TransferSettings, document: yaml.Document, findings: Findings) -> None:
    """Names of keys and zones are DNS names, and a peer's key is one that there is."""
    known: set[bytes] = set()
    for key in transfer.keys:
        at = document.key_position(("transfer", "keys", key))
        name = _name(key, at, findings)
        if name in known:
            findings.error("two-keys", f"there are two keys of the name '{key}': case does not count", at)
        known.add(name)
    for number, peer in enumerate(transfer.peers):
        here: yaml.Loc = ("transfer", "peers", number)
        if peer.key is not None and peer.key not in transfer.keys:
            hint = did_you_mean(peer.key, transfer.keys) or "define it in transfer.keys"
            at = document.position((*here, "key"))
            findings.error("unknown-reference", f"there is no key '{peer.key}'", at, hint)
        for index, zone in enumerate(peer.zones):
            _name(zone, document.position((*here, "zones", index)), findings)


def _judge_alarms(alarms: AlarmSettings, document: yaml.Document, findings: Findings) -> None:
    """The command is a program's whole path, and hooks are few: each has a queue of its own."""
    if alarms.command and not alarms.command[0].startswith("/"):
        at = document.position(("alarms", "command"))
        message = f"'{alarms.command[0]}' is no program: its whole path is needed, and there is no shell"
        findings.error("bad-command", message, at, "command: [/usr/local/bin/page, --team, dns]")
    if len(alarms.webhooks) > MAX_WEBHOOKS:
        at = document.key_position(("alarms", "webhooks"))
        findings.error("too-many", f"there are more than {MAX_WEBHOOKS} webhooks", at)


def _name(text: str, at: Position, findings: Findings) -> bytes:
    try:
        return fold(from_text(text))
    except BadNameError as error:
        findings.error("bad-name", str(error), at)
        return b""


@dataclass(frozen=True, slots=True)
class _Layered(yaml.Document):
    """The file with what was laid over it: a problem there is told with the name of the flag or variable."""

    sources: Mapping[yaml.Loc, str] = field(default_factory=dict)

    def position(self, loc: yaml.Loc = ()) -> Position:
        source = self._source(loc)
        return Position(source) if source else yaml.Document.position(self, loc)

    def key_position(self, loc: yaml.Loc) -> Position:
        source = self._source(loc)
        return Position(source) if source else yaml.Document.key_position(self, loc)

    def _source(self, loc: yaml.Loc) -> str | None:
        return next((told for path, told in self.sources.items() if loc[: len(path)] == path), None)


Given = dict[yaml.Loc, tuple[str, Any]]


def _from_environment(environ: Mapping[str, str]) -> Given:
    names = {f"GEODNS_{'_'.join(loc).upper()}": (loc, many) for loc, many in _leaves(Settings)}
    return {
        names[name][0]: (name, _value(text, names[name][1]))
        for name, text in environ.items()
        if name in names and text
    }


def _from_flags(overrides: Mapping[str, str], findings: Findings) -> Given:
    known = {".".join(loc): (loc, many) for loc, many in _leaves(Settings)}
    given: Given = {}
    for key, text in overrides.items():
        if key not in known:
            hint = did_you_mean(key, known)
            findings.error("unknown-key", f"there is no setting '{key}'", Position(f"--{key}"), hint)
            continue
        loc, many = known[key]
        given[loc] = (f"--{key}", _value(text, many))
    return given


def _leaves(form: type[Form], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], bool]]:
    """Every key that holds a value, and whether it holds a list."""
    for name, info in form.model_fields.items():
        kind = info.annotation
        if isinstance(kind, type) and issubclass(kind, Form):
            yield from _leaves(kind, (*above, name))
        else:
            yield (*above, name), get_origin(kind) is list


def _value(text: str, many: bool) -> Any:
    return [Here(part.strip()) for part in text.split(",")] if many else Here(text)


def _with(value: Any, loc: yaml.Loc, item: Any) -> Any:
    """A copy of `value` with `item` at `loc`; what is no mapping on the way is the schema's to tell."""
    if not loc:
        return item
    if value is not None and not isinstance(value, dict):
        return value
    value = value or {}
    return {**value, loc[0]: _with(value.get(loc[0]), loc[1:], item)}
