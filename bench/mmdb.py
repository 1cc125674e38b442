"""MaxMind DB files of millions of networks, written in a minute: what the usual writers take hours for.

Format: https://maxmind.github.io/MaxMind-DB/
"""

from __future__ import annotations

import struct
import time
from array import array
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

EMPTY = (1 << 32) - 1  # a node's side that leads nowhere, until the number of nodes is known
_DATA = 1 << 31  # marks a side that leads to a record
_SEPARATOR = 16

# Where files that hold both families show IPv4 to those who ask for IPv6.
ALIASES = ((0xFFFF << 32, 96), (0x20010000 << 96, 32), (0x2002 << 112, 16))


class Records:
    """The data section. What is put in twice is there once, and pointed to."""

    def __init__(self) -> None:
        self.data = bytearray()
        self._known: dict[bytes, int] = {}

    def put(self, value: Any) -> int:
        """The offset of a value."""
        encoded = self._encoded(value)
        at = self._known.get(encoded)
        if at is None:
            at = self._known[encoded] = len(self.data)
            self.data += encoded
        return at

    def _encoded(self, value: Any) -> bytes:
        match value:
            case str():
                text = value.encode()
                return _head(2, len(text)) + text
            case float():
                return _head(3, 8) + struct.pack(">d", value)
            case int():
                octets = value.to_bytes((value.bit_length() + 7) // 8)
                return _head(6, len(octets)) + octets
            case list():
                return _head(11, len(value)) + b"".join(self._inner(item) for item in value)
            case _:
                pairs = (self._inner(k) + self._inner(v) for k, v in value.items())
                return _head(7, len(value)) + b"".join(pairs)

    def _inner(self, value: Any) -> bytes:
        """A value inside another one: collections and keys are pointed to."""
        if isinstance(value, dict | str) and value:
            return bytes((1 << 5 | 3 << 3,)) + self.put(value).to_bytes(4)
        return self._encoded(value)


def _head(kind: int, size: int) -> bytes:
    small = size if size < 29 else 29 if size < 29 + 256 else 30
    head = bytes((kind << 5 | small,)) if kind < 8 else bytes((small, kind - 7))
    more = b"" if size < 29 else (size - 29).to_bytes(1) if small == 29 else (size - 285).to_bytes(2)
    return head + more


class Tree:
    """The search tree of both families, made of disjoint blocks that come in the order of their addresses."""

    def __init__(self) -> None:
        self._sides = array("I", (EMPTY, EMPTY))
        self._path = [0]  # the nodes that lead to the last block
        self._last = 0
        self.blocks = 0

    def put(self, start: int, length: int, record: int) -> None:
        """A block of IPv6 (of IPv4: ::/96 and on), one bit long at least, whose record lies at an offset."""
        self._lead(start, length, _DATA | record)
        self.blocks += 1

    def alias(self) -> None:
        """Show IPv4 where other files do, too; when all blocks are there."""
        node = 0
        for _ in range(96):
            node = self._sides[2 * node]
        for start, length in ALIASES:
            self._path = self._path[:1]
            self._lead(start, length, node)

    def _lead(self, start: int, length: int, to: int) -> None:
        path, sides = self._path, self._sides
        shared = 128 - (start ^ self._last).bit_length()
        del path[min(shared, length - 1) + 1 :]
        for depth in range(len(path) - 1, length - 1):
            side = 2 * path[depth] + (start >> 127 - depth & 1)
            if sides[side] == EMPTY:
                sides.extend((EMPTY, EMPTY))
                sides[side] = len(sides) // 2 - 1
            path.append(sides[side])
        sides[2 * path[length - 1] + (start >> 128 - length & 1)] = to
        self._last = start

    def packed(self) -> tuple[int, bytes]:
        """How many nodes there are, and those, in records of 32 bits."""
        nodes = len(self._sides) // 2
        to_data = nodes + _SEPARATOR - _DATA
        packed = array("I", (nodes if s == EMPTY else s + to_data if s & _DATA else s for s in self._sides))
        packed.byteswap()
        return nodes, packed.tobytes()


def write(path: Path, kind: str, blocks: Iterable[tuple[int, int, int]], records: Records) -> int:
    """Write a database `GeoLite2-<kind>` of (start, length, offset of the record); how many blocks it has."""
    tree = Tree()
    for start, length, record in blocks:
        tree.put(start, length, record)
    tree.alias()
    nodes, packed = tree.packed()
    metadata: Mapping[str, Any] = {
        "binary_format_major_version": _Number(2, 2),
        "binary_format_minor_version": _Number(2, 0),
        "build_epoch": _Number(8, int(time.time())),
        "database_type": f"GeoLite2-{kind}",
        "description": {"en": "made up, for measurements"},
        "ip_version": _Number(2, 6),
        "languages": ["en"],
        "node_count": _Number(4, nodes),
        "record_size": _Number(2, 32),
    }
    with path.open("wb") as file:
        file.write(packed)
        file.write(bytes(_SEPARATOR))
        file.write(records.data)
        file.write(b"\xab\xcd\xefMaxMind.com" + _Plain().encoded(metadata))
    return tree.blocks


class _Number(NamedTuple):
    """A number of a type that has room for so many octets."""

    octets: int
    value: int


class _Plain(Records):
    """Everything where it belongs, without pointers."""

    def _encoded(self, value: Any) -> bytes:
        if isinstance(value, _Number):
            head = _head({2: 5, 4: 6, 8: 9}[value.octets], value.octets)
            return head + value.value.to_bytes(value.octets)
        return super()._encoded(value)

    def _inner(self, value: Any) -> bytes:
        return self._encoded(value)

    def encoded(self, value: Any) -> bytes:
        return self._encoded(value)
