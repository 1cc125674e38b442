"""How long a message is at least and at most: what decides about TC, whoever compresses how well."""

from __future__ import annotations

from collections.abc import Container, Iterable

from tests.differential.answers import Record, names_in
from tests.differential.zones import Name, wire

HEADER, FIXED, POINTER, OPT = 12, 10, 2, 11


class Ruler:
    """Measures a reply to a question with what its records need."""

    def __init__(self, name: Name, opt: bool) -> None:
        self.name = wire(name)
        self.frame = HEADER + len(self.name) + 4 + (OPT if opt else 0)

    def least(self, records: Iterable[Record], types: Container[int] | None = None) -> int:
        """With all names compressed that anybody may compress, or, in rdata, those of `types`."""
        known = set(_suffixes(self.name))
        size = self.frame
        for owner, rtype, _, rdata in records:
            size += FIXED + len(rdata) + (POINTER if owner == self.name else self._cost(owner, known))
            for name in names_in(rtype, rdata) if types is None or rtype in types else ():
                size += self._cost(name, known) - len(name)
        return size

    def most(self, records: Iterable[Record]) -> int:
        """Without compression, but for the question's name as owner."""
        return self.frame + sum(
            FIXED + len(rdata) + (POINTER if owner == self.name else len(owner))
            for owner, _, _, rdata in records
        )

    @staticmethod
    def _cost(name: bytes, known: set[bytes]) -> int:
        """The octets of a name whose longest known suffix is a pointer; all its suffixes are known then."""
        for suffix in _suffixes(name):
            if suffix in known:
                known.update(_suffixes(name))
                return len(name) - len(suffix) + POINTER
        known.update(_suffixes(name))
        return len(name)


def _suffixes(name: bytes) -> list[bytes]:
    found, at = [], 0
    while name[at]:
        found.append(name[at:])
        at += 1 + name[at]
    return found
