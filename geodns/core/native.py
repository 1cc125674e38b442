"""The native lane's replay: packets answered by `geodns._native` from the same table, octet for octet.

What that one does not do itself is answered as the base class does it: signed queries, and what the server
says of itself in class CH. Answer sets that nobody asked for before are made here, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from geodns import _native
from geodns._native import Lane, Wanted
from geodns.core.edns import Subnet
from geodns.core.index import Index
from geodns.core.reception import Read, Signed
from geodns.core.replay import Hooks, Replay
from geodns.core.table import AnswerSet, Names, Sheet
from geodns.core.terms import Terms

if TYPE_CHECKING:
    from geodns._native import Classifier, Counted


class NativeIndex(Index):
    """Names looked up by the native lane: nothing is kept of them here. Making one takes a while.

    Raises ValueError for names that contradict themselves.
    """

    def __init__(self, names: Names) -> None:
        super().__init__(names)
        self.native = _native.Names(names)

    @classmethod
    def of(cls, names: Names) -> NativeIndex:
        return cls(names)

    def find(self, name: bytes, qtype: int) -> int | None:
        return self.native.find(name, qtype)


class NativeReplay(Replay):
    """`Replay` over a `Lane`, which follows it: each table, verdict, set and term goes there as well."""

    index_of = NativeIndex.of

    def __init__(
        self,
        index: Index,
        sheets: tuple[Sheet, ...],
        hooks: Hooks,
        *,
        payload: int,
        places: int,
        terms: Terms | None = None,
        threads: int = 0,
    ) -> None:
        self.lane = Lane(threads)
        super().__init__(index, sheets, hooks, payload=payload, places=places, terms=terms)
        self.agree(self.terms)

    def reload(self, index: Index, sheets: tuple[Sheet, ...], hooks: Hooks) -> None:
        self._book(self.lane.load(cast(NativeIndex, index).native, sheets, hooks.places))
        super().reload(index, sheets, hooks)

    def relocate(self, places: Classifier | None) -> None:
        super().relocate(places)
        self.lane.locate(places)

    def learn(self, sheet: int, number: int, made: AnswerSet) -> None:
        self.lane.fill(sheet, number, made)

    def collect(self) -> None:
        self._book(self.lane.counted())

    def _book(self, counted: Counted) -> None:
        answers, aside, cookies = counted
        for slot, count in answers:
            self.tally[slot] += count
        self.reception.aside.update(dict(aside))
        self.reception.cookies.update(dict(cookies))

    def agree(self, terms: Terms) -> None:
        super().agree(terms)
        self.lane.agree(terms, self.payload, self.reception.signed is not None)

    def sign(self, signed: Signed) -> None:
        super().sign(signed)
        self.agree(self.terms)

    def publish(self, sheets: tuple[Sheet, ...]) -> None:
        before = self.state.sheets
        super().publish(sheets)
        self.lane.publish([(i, new) for i, new in enumerate(sheets) if new is not before[i]])

    def answer(self, packet: bytes, client: str, limit: int, chance: int, now: int) -> bytes | None:
        found = self._replayed(packet, client, limit, chance, now)
        if isinstance(found, Wanted) and found.sheet >= 0:
            self._make(found.sheet, found.number)
            found = self._replayed(packet, client, limit, chance, now)
        if isinstance(found, Wanted):
            return super().answer(packet, client, limit, chance, now)
        return found

    def _read(self, state: object, packet: bytes, client: str, now: int) -> Read | None:
        """What is passed on is rare, and read at length."""
        return None

    def _replayed(
        self, packet: bytes, client: str, limit: int, chance: int, now: int
    ) -> bytes | Wanted | None:
        asked = None if self.places else self._class_of
        return self.lane.replay(self.reception, self.tally, asked, packet, client, limit, chance, now)

    def _class_of(self, plan: int, family: int, address: int, prefix: int, shift: int) -> tuple[int, int]:
        return self.classify(plan, Subnet(family, address, prefix, shift))

    def _make(self, sheet: int, number: int) -> None:
        made = self.state.sheets[sheet].sets.get(number) or self.fill(sheet, number)
        self.lane.fill(sheet, number, made)
