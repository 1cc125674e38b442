"""Packets read at length: whatever is not one question of class IN with at most an OPT record known by heart.

Here is decided all that does not need the data: silence, errors, refusals, cookies, what the server says of
itself. Each is counted by its cause.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from geodns.core import edns, wire
from geodns.core.clients import Known, Memory, Tail
from geodns.core.fit import STREAM
from geodns.core.index import Index
from geodns.core.terms import Terms

FOREVER = 1 << 62
MAX_KEPT = 128  # octets of an OPT record; one with Client Subnet and the longest cookie has 79
_COOKIE = edns.COOKIE.to_bytes(2)
_OTHER_OPCODES = {wire.NOTIFY: "notify", wire.UPDATE: "update"}


class Arrival(NamedTuple):
    """A packet and all that its reply depends on beside the table: see `Replay.answer`."""

    packet: bytes
    client: str
    limit: int
    chance: int
    now: int


Signed = Callable[[Arrival, int], bytes | None]
"""(a query, where its TSIG record starts) -> the signed reply."""
Read = tuple[int, int, Tail | None]
"""Which answer is asked for, where the question ends, its OPT record."""


class _Asked(NamedTuple):
    """A query, its OPT record, and the one to answer with where the client's place has no part in it."""

    query: wire.Query
    tail: Tail | None
    opt: bytes


class Reception:
    """`tails` remembers OPT records by their bytes. `aside` counts replies beside the data by their cause,
    `cookies` what was looked at by its state: one that is known by heart is not looked at again.

    Queries with a TSIG record go to `signed`, if there is one; else the record is not looked at.
    """

    def __init__(self, payload: int, places: int, terms: Terms) -> None:
        self.payload = payload
        self.terms = terms
        self.tails: Memory[Tail] = Memory(places)
        self.aside: Counter[str] = Counter()
        self.cookies: Counter[str] = Counter()
        self.signed: Signed | None = None

    def read(self, index: Index, arrival: Arrival) -> Read | bytes | None:
        """Which answer a packet asks for; or the reply at once, None for silence."""
        asked = self._asked(arrival)
        if not isinstance(asked, _Asked):
            return asked
        packet, (query, tail, opt) = arrival.packet, asked
        end, qtype = query.end, query.qtype
        if query.tsig is not None and self.signed is not None:
            return self.signed(arrival, query.tsig)
        if tail is not None and self._wants_cookie(tail, query, arrival.limit):
            opt = self._opt(tail.edns.do, wire.BADCOOKIE, tail.options)
            return self._reply("cookie", packet, end, wire.BADCOOKIE & 15, opt)
        if not query.name:
            if tail is None or not tail.cookie:
                return self._reply("question count", packet, end, wire.FORMERR, opt)
            return self._reply("no question", packet, end, wire.NOERROR, opt)
        if query.qclass == wire.CH:
            return self._of_itself(packet, query, opt)
        if query.qclass not in (wire.IN, wire.ANY_CLASS):
            return self._reply("class", packet, end, wire.REFUSED, opt)
        if qtype in (wire.AXFR, wire.IXFR):
            if not self.terms.transfers or qtype == wire.AXFR or arrival.limit == STREAM:
                return self._reply("transfer", packet, end, wire.REFUSED, opt)
            qtype = wire.SOA  # RFC 1995 §2: who has another serial comes by TCP
        answer = index.find(query.name.lower(), qtype)
        if answer is None:
            opt = opt and edns.extended(opt, edns.NOT_AUTHORITATIVE)
            return self._reply("zone", packet, end, wire.REFUSED, opt)
        return answer, end, tail

    def not_ready(self, arrival: Arrival) -> bytes | None:
        """The reply of a server that has the data but must not tell it yet."""
        asked = self._asked(arrival)
        if not isinstance(asked, _Asked):
            return asked
        opt = asked.opt and edns.extended(asked.opt, edns.NOT_READY)
        return self._reply("not ready", arrival.packet, asked.query.end, wire.SERVFAIL, opt)

    def _asked(self, arrival: Arrival) -> _Asked | bytes | None:
        """The query in a packet, or the reply to what is none (None for silence)."""
        packet = arrival.packet
        if len(packet) < wire.HEADER or packet[2] & 0x80:
            self.aside["silence"] += 1
            return None
        opcode = packet[2] >> 3
        if opcode != wire.QUERY and opcode not in _OTHER_OPCODES:
            return self._reply("opcode", packet, wire.HEADER, wire.NOTIMP)
        query = wire.parse(packet)
        if isinstance(query, wire.Malformed):
            if opcode == wire.UPDATE:  # other sections than a query's, and as long as they like (RFC 2136 §2)
                return self._reply("update", packet, wire.HEADER, wire.REFUSED)
            return self._reply(query.why, packet, wire.HEADER, wire.FORMERR)
        tail = None if query.opt is None else self._tail(arrival, query.end, *query.opt)
        if isinstance(tail, wire.Malformed):
            opt = self._opt(edns.asks_do(packet, query.opt))
            return self._reply(tail.why, packet, query.end, wire.FORMERR, opt)
        if tail is not None and tail.edns.version:
            return self._reply("version", packet, query.end, 0, self._opt(tail.edns.do, wire.BADVERS))
        opt = b"" if tail is None else tail.flat(self.payload)
        if opcode:
            return self._reply(_OTHER_OPCODES[opcode], packet, query.end, wire.REFUSED, opt)
        return _Asked(query, tail, opt)

    def knows(self, packet: bytes, client: str, now: int) -> bool:
        """Whether a packet brings a good cookie along: its source is not forged."""
        if self.terms.cookies is None or _COOKIE not in packet or len(packet) < wire.HEADER:
            return False
        query = wire.parse(packet)
        if isinstance(query, wire.Malformed) or query.opt is None:
            return False
        read = edns.parse(packet[slice(*query.opt)])
        if isinstance(read, wire.Malformed) or read.cookie is None:
            return False
        examined = self.terms.cookies.examine(read.cookie, client, now)
        return examined is not None and examined.state == "good"

    def _tail(self, arrival: Arrival, end: int, start: int, stop: int) -> Tail | wire.Malformed:
        """What an OPT record asks for; remembered where it is short and stands alone behind the question."""
        raw = arrival.packet[start:stop]
        alone = start == end and stop == len(arrival.packet) and len(raw) <= MAX_KEPT
        known = self.tails.recall(raw) if alone else None
        if known is not None and known.fits(arrival.client, arrival.now):
            return known
        read = edns.parse(raw)
        if isinstance(read, wire.Malformed):
            return read
        owner, until, options, state = "", FOREVER, b"", ""
        if read.subnet_option is not None and self.terms.resolvers is not None:
            owner = arrival.client
            if not self.terms.believes(owner):
                read = replace(read, subnet=None, subnet_option=None)
        if read.cookie is not None and self.terms.cookies is not None:
            examined = self.terms.cookies.examine(read.cookie, arrival.client, arrival.now)
            if examined is None:
                return wire.Malformed("cookie option")
            owner, (value, state, until) = arrival.client, examined
            self.cookies[state] += 1
            options = edns.option(edns.COOKIE, value)
        if read.nsid or read.keepalive:
            until = 0  # rare, and long or of a stream: the short way knows neither
            if read.nsid and self.terms.nsid is not None:
                options += edns.option(edns.NSID, self.terms.nsid)
            if read.keepalive and self.terms.idle and arrival.limit == STREAM:
                options += edns.option(edns.KEEPALIVE, self.terms.idle.to_bytes(2))
        bare = self._opt(read.do, 0, options)
        client = Known() if read.subnet is not None else None
        tail = Tail(client, b"", bare, read, options, owner, until, state)
        if client is None:
            tail.opt = tail.flat(self.payload)
        if alone and not read.version and until:
            self.tails.keep(raw, tail)
        return tail

    def _wants_cookie(self, tail: Tail, query: wire.Query, limit: int) -> bool:
        """Whether the client is to come again with the cookie that it is given (RFC 7873 §5.2.3, §5.4)."""
        if not tail.cookie or tail.cookie == "good" or self.terms.cookies is None:
            return False
        return (self.terms.cookies.require and limit != STREAM) or (not query.name and tail.cookie == "bad")

    def _of_itself(self, packet: bytes, query: wire.Query, opt: bytes) -> bytes:
        """What the server says of itself in class CH (RFC 4892); nothing, unless it was told to."""
        text = self.terms.of_itself(query.name.lower())
        if text is None or query.qtype not in (wire.TXT, wire.ANY):
            return self._reply("class", packet, query.end, wire.REFUSED, opt)
        head = b"\xc0\x0c" + wire.TXT.to_bytes(2) + wire.CH.to_bytes(2) + bytes(4)
        record = head + (len(text) + 1).to_bytes(2) + bytes([len(text)]) + text
        return self._reply("identity", packet, query.end, 0, opt, record, flags=wire.AA >> 8)

    def _opt(self, do: bool, rcode: int = 0, options: bytes = b"") -> bytes:
        return edns.reply_opt(self.payload, do, rcode, options)

    def _reply(
        self,
        why: str,
        packet: bytes,
        end: int,
        rcode: int,
        opt: bytes = b"",
        record: bytes = b"",
        flags: int = 0,
    ) -> bytes:
        """Id, opcode and RD copied, the question where it could be read; counted by its cause."""
        self.aside[why] += 1
        head = bytes((0x80 | packet[2] & 0x79 | flags, rcode, 0, end > wire.HEADER, 0, record != b""))
        return b"".join((packet[:2], head, b"\0\0\0", bytes([opt != b""]), packet[12:end], record, opt))
