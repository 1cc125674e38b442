"""Where NSD, Knot and BIND are known to go their own way: each as the step of the standard that it changes.

So a peer is not excused: it has to say exactly what is foretold of it. The ways were read off the servers of
Debian 12 (NSD 4.6, Knot 3.2, BIND 9.18); a newer one that has mended a way just says what the standard says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass
from itertools import chain, combinations

from tests.differential.answers import ANY, CNAME, DNAME, DS, NS, Record
from tests.differential.oracle import FORMERR, NOTIMP, SERVFAIL, YXDOMAIN, Book, Telling, Told, World
from tests.differential.zones import STAR, Name

FIRST_META = 128  # RFC 6895 §3.1: query and meta types from here to 255
SIG, KEY, NXT, RRSIG, NSEC, NSEC3 = 24, 25, 30, 46, 47, 50

SECURE = (DS, RRSIG, NSEC, 48, NSEC3, 51)  # and DNSKEY, NSEC3PARAM


@dataclass(frozen=True)
class Way:
    """`may`: whether a question of that type can meet it; only to try fewer of them."""

    id: str
    peer: str
    why: str
    may: Callable[[int], bool] = lambda qtype: True


KNOWN = (
    Way(
        "meta-type",
        "bind",
        "BIND answers unassigned query and meta types (128 to 255) with FORMERR; no RFC asks for that",
        lambda qtype: FIRST_META <= qtype < ANY,
    ),
    Way(
        "type-0",
        "knot",
        "Knot answers type 0, which is reserved, with NOTIMP",
        lambda qtype: qtype == 0,
    ),
    Way(
        "other-zone",
        "bind",
        "a chain into another zone of the server: BIND ends where it leaves the first zone; NSD goes on, as "
        "RFC 1034 §4.3.2 step 3a has it",
    ),
    Way(
        "own-zone",
        "knot",
        "a chain into another zone of the server: Knot goes on in the first zone only, and what lies in a "
        "zone below it is to it what the first zone says of that",
    ),
    Way(
        "beside-cname",
        "bind",
        "no CNAME is followed for the types that RFC 2535 and 4035 allow beside one",
        lambda qtype: qtype in (SIG, KEY, NXT, RRSIG, NSEC),
    ),
    Way(
        "beside-cname",
        "knot",
        "no CNAME is followed for RRSIG and NSEC, which RFC 4035 allows beside one",
        lambda qtype: qtype in (RRSIG, NSEC),
    ),
    Way(
        "nsec3-cname",
        "nsd",
        "NSD says NODATA of NSEC3, without the CNAME (RFC 5155 §7.2.8 lets no question for it be answered)",
        lambda qtype: qtype == NSEC3,
    ),
    Way(
        "any-dname",
        "bind",
        "ANY below a DNAME: BIND stops behind the synthesized CNAME",
        lambda qtype: qtype == ANY,
    ),
    Way(
        "any-dnssec",
        "bind",
        "ANY in a zone that is not signed: BIND leaves out what belongs to DNSSEC",
        lambda qtype: qtype == ANY,
    ),
    Way(
        "too-long",
        "knot",
        "a DNAME that makes a name too long: Knot goes on at the DNAME's target itself",
    ),
    Way("bound", "knot", "Knot follows a chain for five steps"),
    Way(
        "bound",
        "bind",
        "BIND says SERVFAIL of a chain that comes round or leads through more than twelve names",
    ),
    Way("dname-once", "nsd", "NSD stops where a chain passes one DNAME a second time"),
    Way("dname-round", "nsd", "NSD goes round between DNAMEs until it has used up 1024 labels for the names"),
    Way(
        "empty-wildcard",
        "nsd",
        "NSD says NXDOMAIN where the wildcard is an empty non-terminal; RFC 4592 §4.1 says NODATA",
    ),
    Way(
        "one-tree",
        "nsd",
        "NSD has one tree for all zones: a name that another zone holds exists, as encloser and as wildcard",
    ),
    Way(
        "undelegated-ds",
        "knot",
        "DS of a served zone that its upper zone does not delegate: denied, or from a wildcard",
        lambda qtype: qtype == DS,
    ),
    Way(
        "undelegated-ds",
        "bind",
        "DS of a served zone that its upper zone does not delegate: denied, or from a wildcard",
        lambda qtype: qtype == DS,
    ),
)


def foretold(peer: str, world: World, name: Name, qtype: int) -> Iterator[tuple[tuple[str, ...], Told]]:
    """What a peer may say: with none of its ways, with one, then with several of them."""
    ways = [way.id for way in KNOWN if way.peer == peer and way.may(qtype)]
    for some in chain.from_iterable(combinations(ways, count) for count in range(len(ways) + 1)):
        yield some, PEERS[peer](world, name, qtype, set(some)).told()


class Peer(Telling):
    """What the three have in common: ANY is answered in full."""

    def __init__(self, world: World, name: Name, qtype: int, ways: Set[str]) -> None:
        super().__init__(world, name, qtype)
        self.ways = ways

    def any(self, book: Book, owner: Name, name: Name) -> set[Record]:
        return set().union(*(book.records(owner, rtype, name) for rtype in book.held[owner]))

    def missing(self, book: Book, encloser: Name, name: Name) -> tuple[str, Name]:
        if "undelegated-ds" in self.ways:
            return self.below(book, encloser)
        return super().missing(book, encloser, name)


def _error(rcode: int) -> Told:
    return Told(rcode, aa=False)


class Nsd(Peer):
    labels = 1024

    def book(self, name: Name) -> Book | None:
        """The zone above an apex is the highest that has NS there; where there is none, DS is asked below."""
        if "one-tree" not in self.ways:
            return super().book(name)
        encloser = self._encloser(name)
        book = self.world.book(encloser)
        if book is None or self.qtype != DS or name != book.apex:
            return book
        others = (other for other in self.world.books.values() if NS in other.held.get(name, {}))
        return min((other for other in others if other is not book), key=lambda o: len(o.apex), default=book)

    def _encloser(self, name: Name) -> Name:
        return next(name[i:] for i in range(len(name) + 1) if name[i:] in self.world.names)

    def look(self, book: Book, name: Name) -> tuple[str, Name]:
        if "one-tree" not in self.ways:
            return super().look(book, name)
        encloser = self._encloser(name)
        for depth in range(len(book.apex) + 1, len(encloser) + 1):
            here = encloser[len(encloser) - depth :]
            if NS in book.held.get(here, {}) and (here != name or self.qtype != DS):
                return "cut", here
        if encloser == name:
            return "found", name
        if DNAME in book.held.get(encloser, {}):
            return "dname", encloser
        return self.below(book, encloser)

    def below(self, book: Book, encloser: Name) -> tuple[str, Name]:
        star = (STAR, *encloser)
        if "one-tree" in self.ways:
            kind, owner = ("found", star) if star in self.world.names else ("none", encloser)
        else:
            kind, owner = super().below(book, encloser)
        if "empty-wildcard" in self.ways and kind == "found" and star not in book.held:
            return "none", encloser
        return kind, owner

    def found(self, book: Book, owner: Name, name: Name) -> Name | None:
        if "nsec3-cname" in self.ways:
            self.said.authority = book.soa()
            return None
        return super().found(book, owner, name)

    def redirect(self, book: Book, owner: Name, name: Name) -> Name | None:
        if "dname-once" in self.ways and book.records(owner, DNAME) <= self.said.answer:
            return None
        if "dname-round" in self.ways:
            found = (*name[: len(name) - len(owner)], *book.target(owner, DNAME))
            known = next(found[i:] for i in range(len(found) + 1) if found[i:] in self.world.mentioned)
            self.labels -= len(name) - len(owner) + len(found) - len(known)
            if self.labels < 0:
                self.said.answer |= book.records(owner, DNAME)
                return None
        return super().redirect(book, owner, name)


class Knot(Peer):
    BOUND = 5

    def told(self) -> Told:
        return _error(NOTIMP) if "type-0" in self.ways else super().told()

    def step(self, name: Name) -> Name | None:
        if "bound" in self.ways and len(self.said.path) > self.BOUND:
            return None
        return super().step(name)

    def book(self, name: Name) -> Book | None:
        if "own-zone" not in self.ways or name == self.name:
            return super().book(name)
        first = super().book(self.name)
        apex = first.apex if first else ()
        return first if name[max(0, len(name) - len(apex)) :] == apex else None

    def found(self, book: Book, owner: Name, name: Name) -> Name | None:
        if "beside-cname" in self.ways and CNAME in book.held.get(owner, {}):
            self.said.authority = book.soa()
            return None
        return super().found(book, owner, name)

    def redirect(self, book: Book, owner: Name, name: Name) -> Name | None:
        following = super().redirect(book, owner, name)
        if self.said.rcode == YXDOMAIN and "too-long" in self.ways:
            return book.target(owner, DNAME)
        return following


class Bind(Peer):
    BOUND = 12

    def told(self) -> Told:
        if "meta-type" in self.ways:
            return _error(FORMERR)
        told = super().told()
        if "bound" in self.ways and (told.round or len(told.path) > self.BOUND):
            told.rcode, told.authority = SERVFAIL, set()
            told.answer = set(told.stages[min(self.BOUND, len(told.stages) - 1)])
        return told

    def book(self, name: Name) -> Book | None:
        book, first = super().book(name), super().book(self.name)
        if "other-zone" not in self.ways or book is first:
            return book
        return first if self.world.book(name) is first else None  # its own apex's DS

    def found(self, book: Book, owner: Name, name: Name) -> Name | None:
        if "beside-cname" in self.ways and CNAME in book.held.get(owner, {}):
            self.said.authority = book.soa()
            return None
        return super().found(book, owner, name)

    def any(self, book: Book, owner: Name, name: Name) -> set[Record]:
        found = super().any(book, owner, name)
        if "any-dnssec" in self.ways:
            return {record for record in found if record[1] not in SECURE}
        return found

    def redirect(self, book: Book, owner: Name, name: Name) -> Name | None:
        following = super().redirect(book, owner, name)
        return None if "any-dname" in self.ways else following


PEERS: dict[str, type[Peer]] = {"nsd": Nsd, "knot": Knot, "bind": Bind}
