"""What a lane learned of those who ask, bounded: OPT records as read, the classes of clients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from geodns.core import edns
from geodns.core.edns import Edns

V = TypeVar("V")
MAX_DYING = 4  # generations; a memory that is cleared without being filled keeps no more


class Memory(Generic[V]):
    """A memory in two generations of `limit` entries: when the young one is full, the old one is forgotten.

    What is recalled from the old generation becomes young again; what is forgotten is counted. It is taken
    apart two entries at a time, since no packet is to wait for 65,536 of them.
    """

    def __init__(self, limit: int) -> None:
        self.young: dict[bytes | str, V] = {}
        self.old: dict[bytes | str, V] = {}
        self.forgotten = 0
        self._limit = limit
        self._dying: list[dict[bytes | str, V]] = []

    def recall(self, key: bytes | str) -> V | None:
        """What is known of a key that the young generation does not hold."""
        known = self.old.pop(key, None)
        if known is not None:
            self.keep(key, known)
        return known

    def keep(self, key: bytes | str, value: V) -> None:
        if len(self.young) >= self._limit:
            self.forgotten += len(self.old)
            self._bury(self.old)
            self.old, self.young = self.young, {}
        self.young[key] = value
        for _ in range(2 if self._dying else 0):
            if self._dying[-1]:
                self._dying[-1].popitem()
            else:
                self._dying.pop()
                break

    def clear(self) -> None:
        self._bury(self.young)
        self._bury(self.old)
        self.young, self.old = {}, {}

    def _bury(self, entries: dict[bytes | str, V]) -> None:
        if len(self._dying) >= MAX_DYING:
            self._dying.clear()
        self._dying.append(entries)


class Seen(NamedTuple):
    """A client's class in one plan, its sticky slot, and the OPT record that its answers carry."""

    number: int
    slot: int
    opt: bytes


@dataclass(slots=True)
class Known:
    """A client, and what was learned of it by plan (sticky ones apart: their scopes differ).

    What was last learned lies flat (`key` is the plan's, the rest as in `Seen`), since following pointers
    is what costs; `others` has the rest.
    """

    key: int = -1
    number: int = 0
    slot: int = 0
    opt: bytes = b""
    others: dict[int, Seen] | None = None

    def learn(self, key: int, seen: Seen) -> None:
        """Keep a client's class in a plan; the one before goes where it takes longer to find."""
        if self.key >= 0:
            self.others = self.others or {}
            self.others[self.key] = Seen(self.number, self.slot, self.opt)
        self.key, (self.number, self.slot, self.opt) = key, seen

    def seen(self, key: int) -> Seen | None:
        """What is known of the client in a plan."""
        if self.key == key:
            return Seen(self.number, self.slot, self.opt)
        return self.others.get(key) if self.others is not None else None


@dataclass(slots=True)
class Tail:
    """An OPT record as read, and what answers it: `bare` without Client Subnet, `opt` where none was sent.

    `client`: whom it says to answer for, None where it says nothing. `options` go into every answer to it.
    Where it means another thing for another source (a cookie does), it is the `owner`'s, and until `until`
    (Unix seconds). `cookie`: the state of the one it brought along, "" for none.
    """

    client: Known | None
    opt: bytes
    bare: bytes
    edns: Edns
    options: bytes = b""
    owner: str = ""
    until: int = 0
    cookie: str = ""

    def fits(self, client: str, now: int) -> bool:
        """Whether it means the same from this source at this time."""
        return not self.owner or (self.owner == client and now < self.until)

    def flat(self, payload: int) -> bytes:
        """The OPT record of an answer that is everybody's: Client Subnet with scope 0 where it was asked."""
        if self.edns.subnet_option is None:
            return self.bare
        return self.told(payload, 0)

    def told(self, payload: int, scope: int) -> bytes:
        """The OPT record of an answer that holds for a scope; there was a Client Subnet."""
        assert self.edns.subnet_option is not None
        options = edns.reply_subnet(self.edns.subnet_option, scope) + self.options
        return edns.reply_opt(payload, self.edns.do, 0, options)
