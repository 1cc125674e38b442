"""What is to be answered, by the letter and slowly: RFC 1034 §4.3.2, 2308, 4592, 6604, 6672, 8482.

`tell` is the standard, the voice that every answer of geodns is held against. `Telling` is written so that
`peers` can overrule a single step of it, to predict what exactly a peer says that goes its own way.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from dns.rdata import from_text
from dns.rdataclass import IN

from tests.differential.answers import ANY, CNAME, DNAME, DS, HINFO, NS, SOA, Record, folded_rdata, names_in
from tests.differential.queries import number
from tests.differential.zones import STAR, Name, Zone, fold, wire

NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED, YXDOMAIN = range(7)
A, AAAA = 1, 28
HOSTS_AT = {NS: 0, 15: 2, 33: 6, 64: 2, 65: 2}  # where rdata names a host whose addresses are sent along
MINIMAL = (HINFO, 3600, b"\x07RFC8482\0")
STEPS = 300  # more than any chain of names gets without coming round

Held = dict[int, tuple[int, tuple[bytes, ...]]]
"""Type -> (TTL, rdata in lower case)."""


class Book:
    """One zone, read: what each owner holds, and all names that exist for it (RFC 4592 §2.2)."""

    def __init__(self, zone: Zone) -> None:
        self.apex = fold(zone.apex)
        self.held: dict[Name, Held] = {self.apex: {SOA: (zone.soa_ttl, (_pack("SOA", zone.soa()),))}}
        for data in zone.sets.values():
            rdata = tuple(_pack(data.rtype, value) for value in data.values)
            self.held.setdefault(fold(data.owner), {})[number(data.rtype)] = (data.ttl, rdata)
        self.names = {owner[i:] for owner in self.held for i in range(len(owner) - len(self.apex) + 1)}
        self.negative = min(zone.soa_ttl, zone.minimum)

    def records(self, owner: Name, rtype: int, name: Name | None = None) -> set[Record]:
        ttl, values = self.held.get(owner, {}).get(rtype, (0, ()))
        shown = wire(owner if name is None else name)
        return {(shown, rtype, ttl, rdata) for rdata in values}

    def soa(self) -> set[Record]:
        return {(owner, rtype, self.negative, data) for owner, rtype, _, data in self.records(self.apex, SOA)}

    def target(self, owner: Name, rtype: int) -> Name:
        return labels_of(self.held[owner][rtype][1][0])


def _pack(rtype: str, value: str) -> bytes:
    raw = from_text(IN, rtype, value, None, False).to_wire()
    assert raw is not None
    return folded_rdata(raw, number(rtype))


def labels_of(wire_name: bytes) -> Name:
    found, at = [], 0
    while wire_name[at]:
        found.append(wire_name[at + 1 : at + 1 + wire_name[at]])
        at += 1 + wire_name[at]
    return tuple(found)


class World:
    """All zones of the server."""

    def __init__(self, zones: list[Zone]) -> None:
        self.books = {book.apex: book for book in map(Book, zones)}

    @cached_property
    def addresses(self) -> dict[Name, set[Record]]:
        """By name what any zone says of its A and AAAA: all that may stand in an additional section."""
        found: dict[Name, set[Record]] = {}
        for book in self.books.values():
            for owner in book.held:
                found.setdefault(owner, set()).update(book.records(owner, A), book.records(owner, AAAA))
        return found

    def beside(self, name: Name, *, covered: bool = False) -> set[Record]:
        """What may be told beside an answer that names a host; `covered`: what a wildcard gives it, too."""
        found = set(self.addresses.get(name, ()))
        if covered and not found:
            encloser = next(name[i:] for i in range(len(name) + 1) if name[i:] in self.names)
            found = {(wire(name), *record[1:]) for record in self.addresses.get((STAR, *encloser), ())}
        return found

    @cached_property
    def names(self) -> set[Name]:
        """Every name that exists in some zone, the root's side of the apexes too: NSD's one tree."""
        return {name[i:] for book in self.books.values() for name in book.names for i in range(len(name) + 1)}

    @cached_property
    def mentioned(self) -> set[Name]:
        """Those, and every name that stands in rdata."""
        named = {
            labels_of(name)
            for book in self.books.values()
            for held in book.held.values()
            for rtype, (_, values) in held.items()
            for rdata in values
            for name in names_in(rtype, rdata)
        }
        return self.names | {name[i:] for name in named for i in range(len(name) + 1)}

    def book(self, name: Name) -> Book | None:
        """The nearest zone at or above a name (RFC 1034 §4.3.2 step 2)."""
        return next((self.books[name[i:]] for i in range(len(name) + 1) if name[i:] in self.books), None)

    def upper(self, book: Book) -> Book | None:
        return self.book(book.apex[1:])


@dataclass
class Told:
    """An answer. `glue` is the part of the additional section that must be there (RFC 9471).

    `path`: the names that it leads through. `stages`: the answer section after each of them. `round`: how
    many of those may be told before a name or a wildcard is met again; 0 where the chain has an end.
    """

    rcode: int = NOERROR
    aa: bool = True
    answer: set[Record] = field(default_factory=set)
    authority: set[Record] = field(default_factory=set)
    glue: set[Record] = field(default_factory=set)
    path: list[Name] = field(default_factory=list)
    stages: list[frozenset[Record]] = field(default_factory=list)
    round: int = 0


def tell(world: World, name: Name, qtype: int) -> Told:
    return Telling(world, name, qtype).told()


class Telling:
    """One question's way through the zones."""

    def __init__(self, world: World, name: Name, qtype: int) -> None:
        self.world, self.name, self.qtype = world, fold(name), qtype
        self.said = Told()
        self.stars: set[Name] = set()

    def told(self) -> Told:
        following: Name | None = self.name
        while following is not None and len(self.said.path) < STEPS:
            self.said.stages.append(frozenset(self.said.answer))
            if following in self.said.path:
                self.comes_round()
                break
            self.said.path.append(following)
            following = self.step(following)
        return self.said

    def comes_round(self, less: int = 0) -> None:
        self.said.round = self.said.round or len(self.said.path) + less

    def step(self, name: Name) -> Name | None:
        """Answer for a name, or go on: the next name of the chain."""
        book = self.book(name)
        if book is None:
            if name == self.name:
                self.said.rcode, self.said.aa = REFUSED, False
            return None
        match self.look(book, name):
            case "none", _:
                return self.deny(book)
            case "cut", cut:
                return self.refer(book, cut)
            case "dname", owner:
                return self.redirect(book, owner, name)
            case _, owner:
                return self.found(book, owner, name)

    def book(self, name: Name) -> Book | None:
        """The zone that answers: of DS that above the cut (RFC 4035 §3.1.4.1)."""
        book = self.world.book(name)
        if book is not None and self.qtype == DS and name == book.apex:
            book = self.world.upper(book) or book
        return book

    def look(self, book: Book, name: Name) -> tuple[str, Name]:
        """RFC 1034 §4.3.2 step 3: down from the apex, label by label."""
        for depth in range(len(book.apex), len(name) + 1):
            here = name[len(name) - depth :]
            if here not in book.names:
                return self.missing(book, here[1:], name)
            held = book.held.get(here, {})
            if NS in held and here != book.apex and (here != name or self.qtype != DS):
                return "cut", here
            if DNAME in held and here != name:
                return "dname", here
        return "found", name

    def missing(self, book: Book, encloser: Name, name: Name) -> tuple[str, Name]:
        """A zone that is served exists for the one above it, too, delegated or not.

        To deny it would hide it (RFC 8020), to answer its DS from a wildcard would break it.
        """
        if self.qtype == DS and name in self.world.books:
            return "found", name
        return self.below(book, encloser)

    def below(self, book: Book, encloser: Name) -> tuple[str, Name]:
        """RFC 4592 §3.3.1: nothing but the wildcard of the closest encloser."""
        star = (STAR, *encloser)
        return ("found", star) if star in book.names else ("none", encloser)

    def deny(self, book: Book) -> None:
        """RFC 2308 §2.1, for the last name of a chain (RFC 6604 §2.1)."""
        self.said.rcode = NXDOMAIN
        self.said.authority = book.soa()

    def refer(self, book: Book, cut: Name) -> None:
        """RFC 1034 §4.3.2 step 3b. AA is about the first name (RFC 1035 §4.1.1)."""
        self.said.aa = len(self.said.path) > 1
        self.said.authority = book.records(cut, NS)
        for host in map(labels_of, book.held[cut][NS][1]):
            if host[max(0, len(host) - len(cut)) :] == cut:
                self.said.glue |= book.records(host, A) | book.records(host, AAAA)

    def found(self, book: Book, owner: Name, name: Name) -> Name | None:
        """RFC 1034 §4.3.2 step 3a; `owner` is the wildcard where the name comes from one."""
        held = book.held.get(owner, {})
        if self.qtype in held:
            self.said.answer |= book.records(owner, self.qtype, name)
        elif self.qtype == ANY and held:
            self.said.answer |= self.any(book, owner, name)
        elif CNAME in held:
            self.said.answer |= book.records(owner, CNAME, name)
            if owner[:1] == (STAR,) and owner in self.stars:
                self.comes_round(-1)
            self.stars.add(owner)
            return book.target(owner, CNAME)
        else:
            self.said.authority = book.soa()
        return None

    def any(self, book: Book, owner: Name, name: Name) -> set[Record]:
        """RFC 8482 §4.2; a CNAME is told as it is."""
        return book.records(owner, CNAME, name) or {(wire(name), *MINIMAL)}

    def redirect(self, book: Book, owner: Name, name: Name) -> Name | None:
        """RFC 6672 §3.2: the DNAME and the CNAME made from it."""
        self.said.answer |= book.records(owner, DNAME)
        found = (*name[: len(name) - len(owner)], *book.target(owner, DNAME))
        if len(wire(found)) > 255:
            self.said.rcode = YXDOMAIN
            return None
        self.said.answer.add((wire(name), CNAME, book.held[owner][DNAME][0], wire(found)))
        return None if self.qtype == CNAME else found
