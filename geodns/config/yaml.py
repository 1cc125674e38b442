"""YAML with positions: text in, plain values and the line and column of each of them out.

Built from the events of libyaml (PyYAML's C parser), so that depth and aliases are bounded before anything
is nested in memory. Every scalar stays the text that was written (`NO`, `010`, `1:30`); the schema decides
what is a number. A value is a str, None (nothing was written), a dict with str keys, or a list.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yaml.cyaml import CParser  # type: ignore[attr-defined]
from yaml.error import MarkedYAMLError, YAMLError
from yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    StreamEndEvent,
)
from yaml.reader import ReaderError

from geodns.config.findings import Findings
from geodns.config.wording import reword
from geodns.errors import Position

MAX_DEPTH = 32
MAX_ALIASES = 1000
MAX_EXPANSION = 100_000  # values that aliases may add in all
MAX_BYTES = 64 << 20

Loc = tuple[str | int, ...]


class Spot:
    """Where a container stands, and where what it holds stands: key -> (mark of key, spot of value)."""

    __slots__ = ("children", "mark")

    def __init__(self, mark: Any, children: Any) -> None:
        self.mark = mark
        self.children = children


@dataclass(frozen=True, slots=True)
class Document:
    """One file: `value` is what it says, `position` tells where."""

    file: str
    value: Any
    spot: Any

    def position(self, loc: Loc = ()) -> Position:
        """Where the value at `loc` begins; what is not there is looked for at the nearest that holds it."""
        return self.at(_mark(self._walk(loc)[0]))

    def key_position(self, loc: Loc) -> Position:
        """Where the key at the end of `loc` stands (for an item of a list: the item)."""
        spot, key_mark = self._walk(loc)
        return self.at(key_mark if key_mark is not None else _mark(spot))

    def spots(self, loc: Loc) -> Any:
        """What the mapping at `loc` holds: key -> (mark of key, spot of value)."""
        spot = self._walk(loc)[0]
        return spot.children if isinstance(spot, Spot) and isinstance(spot.children, dict) else {}

    def at(self, mark: Any) -> Position:
        """The position of a mark."""
        return (
            Position(self.file, mark.line + 1, mark.column + 1) if mark is not None else Position(self.file)
        )

    def _walk(self, loc: Loc) -> tuple[Any, Any]:
        spot, key_mark = self.spot, None
        for step in loc:
            children = spot.children if isinstance(spot, Spot) else None
            if isinstance(children, dict) and step in children:
                key_mark, spot = children[step]
            elif isinstance(children, list) and isinstance(step, int) and step < len(children):
                key_mark, spot = None, children[step]
            # else: a short form (one item for a list, a list for a mapping); its parts are where it is
        return spot, key_mark


def _mark(spot: Any) -> Any:
    return spot.mark if isinstance(spot, Spot) else spot


def read(path: Path, findings: Findings, max_bytes: int = MAX_BYTES) -> Document | None:
    """The file's document, or None after telling `findings` why there is none."""
    name = str(path)
    try:
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except OSError as error:
        findings.error("unreadable", f"cannot be read: {error.strerror}", Position(name))
        return None
    if len(data) > max_bytes:
        hint = "split the zone, or raise limits.zone_bytes"
        findings.error("too-big", f"is larger than {max_bytes} bytes", Position(name), hint)
        return None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
        findings.error(
            "not-utf-8", "is not UTF-8 text here", Position(name, line, column), "save it as UTF-8"
        )
        return None
    return parse(text, name, findings)


def parse(text: str, file: str, findings: Findings) -> Document | None:
    """The document in `text`, or None after telling `findings` why there is none. Never raises."""
    try:
        value, spot = _Builder(text, file, findings).build()
    except _StopError as stop:
        findings.error("yaml", stop.message, stop.position, stop.hint)
        return None
    except ReaderError as error:
        before = text.encode()[: error.position].decode(errors="ignore")  # libyaml counts octets here
        position = Position(file, before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)
        findings.error("yaml", f"the character U+{error.character:04X} is not allowed", position)
        return None
    except MarkedYAMLError as error:
        message, hint, mark = reword(error, text)
        position = Position(file, mark.line + 1, mark.column + 1) if mark else Position(file)
        findings.error("yaml", message, position, hint)
        return None
    except (YAMLError, UnicodeError) as error:
        findings.error("yaml", f"is no YAML: {error}", Position(file))
        return None
    return Document(file, value, spot)


class _StopError(Exception):
    def __init__(self, message: str, position: Position, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.position, self.hint = message, position, hint


class _Builder:
    def __init__(self, text: str, file: str, findings: Findings) -> None:
        self.file = file
        self.findings = findings
        self.next: Any = CParser(text).get_event
        self.anchors: dict[str, tuple[Any, Any, int]] = {}
        self.nodes = 0
        self.aliases = 0
        self.expanded = 0

    def build(self) -> tuple[Any, Any]:
        self.next()
        event = self.next()
        if isinstance(event, StreamEndEvent):
            return None, None
        assert isinstance(event, DocumentStartEvent)
        found = self.node(self.next(), 1)
        assert isinstance(self.next(), DocumentEndEvent)
        event = self.next()
        if not isinstance(event, StreamEndEvent):
            self.stop("a second document begins here", event, "a file holds one document: remove the ---")
        return found

    def stop(self, message: str, event: Any, hint: str = "") -> None:
        raise _StopError(message, self.at(event.start_mark), hint)

    def at(self, mark: Any) -> Position:
        return Position(self.file, mark.line + 1, mark.column + 1)

    def node(self, event: Any, depth: int) -> tuple[Any, Any]:
        """Value and spot of the node that `event` begins."""
        kind = type(event)
        if kind is AliasEvent:
            return self.alias(event)
        if event.tag is not None:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            self.stop(f"the tag {tag} is not used here", event, "remove it, or quote the value")
        before = self.nodes
        if kind is ScalarEvent:
            found = self.scalar(event)
        elif depth > MAX_DEPTH:
            self.stop(f"nested deeper than {MAX_DEPTH} levels", event)
        elif kind is MappingStartEvent:
            found = self.mapping(event, depth)
        else:
            found = self.sequence(event, depth)
        if event.anchor is not None:
            self.anchors[event.anchor] = (*found, self.nodes - before + 1)
        return found

    def scalar(self, event: Any) -> tuple[Any, Any]:
        value = event.value
        if value in ("", "~") and event.implicit[0]:
            value = None
        return value, event.start_mark

    def mapping(self, start: Any, depth: int) -> tuple[Any, Any]:
        values: dict[str, Any] = {}
        spots: dict[str, Any] = {}
        following = self.next
        while True:
            key = following()
            if type(key) is not ScalarEvent:
                if type(key) is MappingEndEvent:
                    break
                self.stop("a key must be plain text", key, "quote it, or check the brackets and commas")
            name = key.value
            if name == "<<":
                self.stop("merge keys (<<) are not used here", key, "write the keys out; a check has `like:`")
            value = following()
            if type(value) is ScalarEvent and value.tag is None and value.anchor is None and value.value:
                found, spot = value.value, value.start_mark
                if found == "~":
                    found, spot = self.scalar(value)
            else:
                found, spot = self.node(value, depth + 1)
            if name in values:
                first = spots[name][0].line + 1
                self.findings.error(
                    "duplicate-key",
                    f"'{name}' is written twice, first in line {first}",
                    self.at(key.start_mark),
                )
                continue
            values[name] = found
            spots[name] = (key.start_mark, spot)
        self.nodes += len(values)
        return values, Spot(start.start_mark, spots)

    def sequence(self, start: Any, depth: int) -> tuple[Any, Any]:
        values: list[Any] = []
        spots: list[Any] = []
        while True:
            event = self.next()
            if type(event) is SequenceEndEvent:
                break
            value, spot = self.node(event, depth + 1)
            values.append(value)
            spots.append(spot)
        self.nodes += len(values)
        return values, Spot(start.start_mark, spots)

    def alias(self, event: Any) -> tuple[Any, Any]:
        if event.anchor not in self.anchors:
            self.stop(
                f"*{event.anchor} refers to no &{event.anchor} before it",
                event,
                "quote text that begins with *",
            )
        value, spot, size = self.anchors[event.anchor]
        self.aliases += 1
        self.expanded += size
        self.nodes += size
        if self.aliases > MAX_ALIASES or self.expanded > MAX_EXPANSION:
            limit = f"more than {MAX_ALIASES} aliases, or {MAX_EXPANSION} values through them"
            self.stop(limit, event, "write the values out")
        return value, Spot(event.start_mark, spot.children) if isinstance(spot, Spot) else event.start_mark
