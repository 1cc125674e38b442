"""Lines: named groups of autonomous systems and networks. The carriers that we ship are in data/lines.yaml.

An operator's file (the setting `lines`) replaces the shipped one as a whole; a line of the zones folder with
a carrier's id takes that carrier's place wholly. Nothing is ever merged into a line, so that what a rule
means can be read in one place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib.resources import files
from ipaddress import ip_network
from pathlib import Path
from typing import TypeVar

import yaml

from geodns.errors import ConfigError, Position, Problem
from geodns.model import Line

MAX_BYTES = 1 << 20
MAX_DEPTH = 32
MAX_ASN = (1 << 32) - 1

SHIPPED = Path(str(files("geodns") / "data" / "lines.yaml"))

T = TypeVar("T")

_KEYS = {"dated", "sources", "lines"}
_LINE_KEYS = {"title", "asns", "networks"}


def carriers(path: Path | None = None) -> Mapping[str, Line]:
    """The lines of a file, by id; of the shipped one when no path is given.

    The file is a mapping with `lines: {ID: {title, asns: [...], networks: [...]}}`, where lists may be
    nested, and with free `dated` and `sources`. Raises ConfigError with every problem and its place.
    """
    return _Reading(path or SHIPPED).lines()


def merged(shipped: Mapping[str, Line], own: Mapping[str, Line]) -> Mapping[str, Line]:
    """All lines; the operator's own stands where both have the id."""
    return {**shipped, **own}


def by_asn(lines: Iterable[Line]) -> Mapping[int, frozenset[str]]:
    """Which lines an autonomous system belongs to."""
    found: dict[int, set[str]] = {}
    for line in lines:
        for asn in line.asns:
            found.setdefault(asn, set()).add(line.id)
    return {asn: frozenset(ids) for asn, ids in found.items()}


class _Reading:
    """One reading of one file; collects problems instead of stopping at the first."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._problems: list[Problem] = []

    def lines(self) -> Mapping[str, Line]:
        root = self._root()
        top = self._mapping(root, _KEYS, "the file") if root else {}
        if "lines" not in top and not self._problems:
            self._add("missing-key", "no `lines` in the file", root)
        found = self._entries(top["lines"]) if "lines" in top else {}
        if self._problems:
            raise ConfigError(tuple(self._problems))
        return found

    def _root(self) -> yaml.Node | None:
        try:
            with self._path.open("rb") as file:
                text = file.read(MAX_BYTES + 1)
            if len(text) > MAX_BYTES:
                self._add("too-big", f"the file is larger than {MAX_BYTES} bytes", None)
                return None
            if _depth(text) > MAX_DEPTH:
                self._add("too-deep", f"nested more than {MAX_DEPTH} deep", None)
                return None
            root = yaml.compose(text, yaml.CSafeLoader)
        except OSError as error:
            self._add("unreadable", error.strerror or str(error), None)
            return None
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            self._add_yaml(error)
            return None
        if root is None:
            self._add("missing-key", "no `lines` in the file", None)
        return root

    def _entries(self, node: yaml.Node) -> dict[str, Line]:
        found = {}
        for name, value in self._mapping(node, None, "`lines`").items():
            parts = self._mapping(value, _LINE_KEYS, f"line '{name}'")
            found[name] = Line(
                id=name,
                title=self._text(parts.get("title")),
                asns=frozenset(self._values(parts.get("asns"), _asn)),
                networks=tuple(dict.fromkeys(self._values(parts.get("networks"), _network))),
                position=self._position(value),
            )
            if not found[name].asns and not found[name].networks and not self._problems:
                self._add("empty-line", f"line '{name}' has neither asns nor networks", value)
        return found

    def _mapping(self, node: yaml.Node, keys: set[str] | None, what: str) -> dict[str, yaml.Node]:
        if not isinstance(node, yaml.MappingNode):
            self._add("wrong-type", f"{what} must be a mapping", node)
            return {}
        found: dict[str, yaml.Node] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._add("wrong-type", f"a key of {what} must be text", key)
            elif key.value in found:
                self._add("duplicate-key", f"'{key.value}' stands twice in {what}", key)
            elif keys is not None and key.value not in keys:
                self._add(
                    "unknown-key", f"{what} has no '{key.value}'; known are {', '.join(sorted(keys))}", key
                )
            else:
                found[key.value] = value
        return found

    def _text(self, node: yaml.Node | None) -> str:
        if node is None or isinstance(node, yaml.ScalarNode):
            return node.value if node else ""
        self._add("wrong-type", "a title must be text", node)
        return ""

    def _values(self, node: yaml.Node | None, parse: Callable[[str], T], depth: int = 0) -> list[T]:
        if node is None:
            return []
        if isinstance(node, yaml.SequenceNode) and depth < 2:
            return [value for item in node.value for value in self._values(item, parse, depth + 1)]
        if not isinstance(node, yaml.ScalarNode):
            self._add("wrong-type", "a list of values is wanted", node)
            return []
        try:
            return [parse(node.value)]
        except ValueError as error:
            self._add("bad-value", str(error), node)
            return []

    def _position(self, node: yaml.Node | None) -> Position:
        if node is None:
            return Position(str(self._path))
        return Position(str(self._path), node.start_mark.line + 1, node.start_mark.column + 1)

    def _add(self, code: str, message: str, node: yaml.Node | None) -> None:
        self._problems.append(Problem(code, message, self._position(node)))

    def _add_yaml(self, error: Exception) -> None:
        mark = getattr(error, "problem_mark", None)
        where = Position(str(self._path), mark.line + 1, mark.column + 1) if mark else self._position(None)
        reason = getattr(error, "problem", None) or "it is not UTF-8"
        self._problems.append(Problem("bad-yaml", f"not YAML: {reason}", where))


def _depth(text: bytes) -> int:
    """How deep the collections nest; libyaml's events are flat, its tree is built by unbounded recursion."""
    depth = deepest = 0
    for event in yaml.parse(text, yaml.CSafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        deepest = max(deepest, depth)
        if deepest > MAX_DEPTH:
            break
    return deepest


def _asn(text: str) -> int:
    digits = text[2:] if text[:2].upper() == "AS" else text
    if not (digits.isascii() and digits.isdigit()) or not 0 < int(digits[:11]) <= MAX_ASN:
        raise ValueError(f"'{text}' is no AS number (1 to {MAX_ASN})")
    return int(digits)


def _network(text: str) -> str:
    try:
        return str(ip_network(text))
    except ValueError as error:
        raise ValueError(f"'{text}' is no network: {error}") from None
