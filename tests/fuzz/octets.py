"""An input as a supply of choices: what has run out is zero, so that every input means something."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Octets:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def __bool__(self) -> bool:
        """Whether anything is left."""
        return self._at < len(self._data)

    def take(self, size: int) -> bytes:
        """At most `size` octets."""
        found = self._data[self._at : self._at + size]
        self._at += size
        return found

    def number(self, size: int = 1) -> int:
        """A number of `size` octets."""
        return int.from_bytes(self.take(size))

    def one_of(self, choices: Sequence[T]) -> T:
        return choices[self.number() % len(choices)]
