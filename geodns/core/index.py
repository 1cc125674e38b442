"""The Python lane's index over `Names`, and the way of a name through it (RFC 1034 §4.3.2, RFC 4592)."""

from __future__ import annotations

from collections.abc import Iterator

from geodns.core.table import Names
from geodns.core.unpacked import Made

_STEP = 500  # names taken in at once: well under a millisecond


class Index:
    """What this lane keeps beside `Names`. It is whole once `grow` has ended."""

    def __init__(self, names: Names) -> None:
        self.names = names
        self.nodes: dict[bytes, int] = {}
        self.by_type: dict[int, int] = {}
        self.made: list[Made | None] = [None] * len(names.a_flags)

    def grow(self) -> Iterator[None]:
        """Take in the names, some at a time: whoever answers meanwhile does so between the steps."""
        names, nodes, by_type = self.names, self.nodes, self.by_type
        at, wires, types_at, types, answers = (
            names.name_at,
            names.wire,
            names.types_at,
            names.types,
            names.answers,
        )
        count = len(at) - 1
        for first in range(0, count, _STEP):
            for i in range(first, min(first + _STEP, count)):
                nodes[wires[at[i] : at[i + 1]]] = i
                for t in range(types_at[i], types_at[i + 1]):
                    by_type[i << 16 | types[t]] = answers[t]
            yield

    @classmethod
    def of(cls, names: Names) -> Index:
        """The whole index at once."""
        index = cls(names)
        for _ in index.grow():
            pass
        return index

    def find(self, name: bytes, qtype: int) -> int | None:
        """The answer for a folded name: exact, from the closest encloser, or None outside all zones."""
        node = self.nodes.get(name)
        if node is None:
            node = self.encloser(name)
            if node is None:
                return None
        if node < 0:
            return ~node
        return self.by_type.get(node << 16 | qtype, self.names.otherwise[node])

    def encloser(self, name: bytes) -> int | None:
        """What answers below the closest encloser of a folded name (`Names.below`).

        None where no zone holds it, or where the octets are no name (a short cut may bring such).
        """
        at, last = 0, len(name) - 1
        if last >= 255:
            return None
        parents = []
        while at < last:
            length = name[at]
            if length > 63 or length == 0:
                return None
            at += 1 + length
            parents.append(at)
        if at != last:
            return None
        nodes = self.nodes
        for start in parents[max(0, len(parents) - self.names.depth - 1) :]:
            above = nodes.get(name[start:])
            if above is not None:
                return self.names.below[above]
        return None
