"""The query's whole way: a packet in, the answer's bytes out, from the table alone.

The straight line: header, question, name, answer, class of the client, pick, copy, patch. No YAML, no
policy objects, no dnslib, no await, no lock, no float. The same packet, client, chance and moment give
the same bytes in every lane; `tests/` drive both over the same cases.

For speed this lane keeps indices beside the table, all bounded: names and answers unpacked on first use,
and what it learned of clients (`Memory`): a raw OPT record as read, a source address's classes.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from geodns.core import edns, unpacked, wire
from geodns.core.clients import Memory, Seen, Tail, Views, tail_of
from geodns.core.edns import Subnet
from geodns.core.steer.picks import slot_of
from geodns.core.table import FLAG_NO_SUBNET, AnswerSet, Names, Sheet
from geodns.core.unpacked import Made, Ready, draw_several, heads_of, lowered, prepare, take, whole

STREAM = 65535  # the size limit that means TCP
FLOOR = 512
_PLAIN = b"\0\1\0\0\0\0\0\0"
_WITH_OPT = b"\0\1\0\0\0\0\0\1"
_TRANSFERS = (wire.AXFR.to_bytes(2), wire.IXFR.to_bytes(2))
_MAX_READY = 1 << 20
_MAX_HOT = 1 << 14
_MAX_OPT = 40  # octets of an OPT record of ours: Client Subnet with a whole IPv6 address is the longest


class Hooks(NamedTuple):
    """What a lane needs beside the table: the counters, the class of a client, a set not yet made.

    `classify(plan, subnet)` gives (class, scope); `fill(sheet, class)` makes and keeps an answer set.
    """

    tally: array[int]
    classify: Callable[[int, Subnet], tuple[int, int]]
    fill: Callable[[int, int], AnswerSet]


class Index:
    """What this lane keeps beside `Names`; making it for 100,000 names is work for another thread."""

    def __init__(self, names: Names) -> None:
        at, wires = names.name_at, names.wire
        types_at, types, answers = names.types_at, names.types, names.answers
        self.names = names
        self.nodes = {wires[at[i] : at[i + 1]]: i for i in range(len(at) - 1)}
        self.by_type = {
            i << 16 | types[t]: answers[t]
            for i in range(len(at) - 1)
            for t in range(types_at[i], types_at[i + 1])
        }
        self.made: list[Made | None] = [None] * len(names.a_flags)


@dataclass(slots=True)
class Hot:
    """Whole replies to one question but for the OPT record, from the flags on: everybody's, or each class's.

    `edns`: the question comes with an OPT record.
    """

    slot: int
    edns: bool
    reply: bytes = b""
    key: int = -1
    by_class: dict[int, Ready] = field(default_factory=dict)


class _State:
    """One table's sheets over an index; a lane swaps it whole."""

    def __init__(self, index: Index, sheets: tuple[Sheet, ...]) -> None:
        self.index = index
        self.sheets = sheets
        self.names = index.names
        self.nodes = index.nodes
        self.by_type = index.by_type
        self.made = index.made
        self.ready: dict[int, Ready] = {}
        self.hot: dict[bytes, Hot] = {}

    def warm(
        self, packet: bytes, end: int, tail: Tail | None, made: Made, ready: Ready | None, number: int
    ) -> None:
        """Keep whole replies to a question in lower case, as most are asked, while there is room."""
        name = packet[12 : end - 4]
        if made.flags & FLAG_NO_SUBNET or len(self.hot) >= _MAX_HOT or name != name.lower():
            return
        if packet[4:12] != (_PLAIN if tail is None else _WITH_OPT):
            return
        head = (made if ready is None else ready).heads[packet[2] & 1 if tail is None else packet[2] & 1 | 2]
        head += packet[12:end]
        body = made.body if ready is None else max(ready.bodies, key=len)
        if len(head) + len(body) > FLOOR - _MAX_OPT or (ready is not None and ready.set.change_at):
            return
        hot = self.hot.setdefault(packet[2:end], Hot(made.slot, edns=tail is not None))
        if ready is None:
            hot.reply = head + body
        else:
            sheet = self.sheets[made.sheet]
            hot.key = sheet.plan << 1 | sheet.sticky
            hot.by_class[number] = whole(ready, head)

    def make(self, answer: int) -> Made:
        """Unpack an answer at its first use."""
        made = self.made[answer] = unpacked.make(self.names, answer)
        return made


class Replay:
    """The Python lane. `publish` swaps in a table; `answer` is the one door for all transports."""

    def __init__(
        self, index: Index, sheets: tuple[Sheet, ...], hooks: Hooks, *, payload: int, places: int
    ) -> None:
        self.payload = payload
        self.refused: Counter[str] = Counter()
        self.tails: Memory[Tail] = Memory(places)
        self.sources: Memory[Views] = Memory(places)
        self.reload(index, sheets, hooks)

    def reload(self, index: Index, sheets: tuple[Sheet, ...], hooks: Hooks) -> None:
        """Answer from another content from now on; what was learned of clients is void."""
        self.tally, self.classify, self.fill = hooks
        self.state = _State(index, sheets)
        self.forget()

    def forget(self) -> None:
        """Drop what was learned of clients: their places may have changed."""
        self.tails.clear()
        self.sources.clear()

    def publish(self, sheets: tuple[Sheet, ...]) -> None:
        """Swap in new sheets over the same names."""
        self.state = _State(self.state.index, sheets)

    def look_up(self, name: bytes, qtype: int) -> Made | None:
        """What answers a folded name and type; None where it is refused."""
        answer = _find(self.state, name, qtype)
        return None if answer is None else self.state.made[answer] or self.state.make(answer)

    def rehearse(self, packet: bytes, client: str, now: int) -> bytes:
        """The reply that a packet would get over TCP with the lowest chance, counted nowhere."""
        counted = self.tally
        self.tally = counted[:]
        try:
            return self.answer(packet, client, STREAM, 0, now) or b""
        finally:
            self.tally = counted

    def answer(self, packet: bytes, client: str, limit: int, chance: int, now: int) -> bytes | None:
        """The reply to a packet, or None for silence.

        `client` is the source address as text; `limit` the transport's ceiling in octets (65535: a
        stream); `chance` 32 uniform bits; `now` Unix seconds.
        """
        state = self.state
        end = packet.find(b"\0", wire.HEADER) + 5
        hot = state.hot.get(packet[2:end])
        if hot is not None:
            tail = None if len(packet) == end else self.tails.young.get(packet[end:])
            if (tail is not None) != hot.edns:
                pass  # an OPT record not met before, or octets that belong to nothing
            elif tail is not None and tail.told:
                ready = hot.by_class.get(tail.number) if tail.key == hot.key else None
                if ready is not None:
                    self.tally[hot.slot] += 1
                    start = take(ready, self.tally, tail.slot, chance)
                    return b"".join((packet[:2], ready.bodies[start], tail.opt))
            else:
                opt = b"" if tail is None else tail.opt
                if hot.reply:
                    self.tally[hot.slot] += 1
                    return b"".join((packet[:2], hot.reply, opt))
                views = self.sources.young.get(client)
                seen = views.get(hot.key) if views is not None else None
                ready = hot.by_class.get(seen.number) if seen is not None else None
                if ready is not None and seen is not None:
                    self.tally[hot.slot] += 1
                    start = take(ready, self.tally, seen.slot, chance)
                    return b"".join((packet[:2], ready.bodies[start], opt))
        read = self._read(state, packet)
        if not isinstance(read, tuple):
            return read
        answer, end, tail = read
        made = state.made[answer] or state.make(answer)
        self.tally[made.slot] += 1
        which = packet[2] & 1 if tail is None else packet[2] & 1 | 2
        if made.sheet < 0:
            heads, body, opt = made.heads, made.body, self._flat(made, tail)
            state.warm(packet, end, tail, made, None, 0)
        else:
            ready, seen, opt = self._steer(state, answer, made, tail, client, now)
            heads = ready.heads
            start = take(ready, self.tally, seen.slot, chance)
            if start < 0:
                body = draw_several(ready, chance)
            else:
                body = ready.bodies[start]
                state.warm(packet, end, tail, made, ready, seen.number)
        reply = b"".join((packet[:2], heads[which], packet[12:end], body, opt))
        if len(reply) > FLOOR:
            return _fit(reply, packet, end, made, which, opt, _room(limit, tail))
        return reply

    def _read(self, state: _State, packet: bytes) -> tuple[int, int, Tail | None] | bytes | None:
        """Which answer a packet asks for, where its question ends, its OPT record; or the reply at once.

        The short cut knows packets of one question of class IN with nothing behind it but an OPT record
        seen before. It looks for the name's end as the first zero octet: where that falls into a label,
        what stands before it is no name, and no key of `nodes`.
        """
        if len(packet) < wire.HEADER or packet[2] & 0xF8:
            return self._odd(packet)
        end = packet.find(b"\0", wire.HEADER) + 5
        counts = packet[4:12]
        tail: Tail | None = None
        if counts == _WITH_OPT:
            tail = self.tails.young.get(packet[end:])
            if tail is None:
                return self._at_length(state, packet)
        elif counts != _PLAIN or len(packet) != end:
            return self._at_length(state, packet)
        if packet[end - 2 : end] != b"\0\1":
            return self._at_length(state, packet)
        name = packet[12 : end - 4].lower()
        node = state.nodes.get(name)
        if node is None:
            node = _encloser(state, name)
            if node is None:
                return self._at_length(state, packet)
        if node < 0:
            return ~node, end, tail
        answer = state.by_type.get(node << 16 | packet[end - 4] << 8 | packet[end - 3])
        if answer is None:
            if packet[end - 4 : end - 2] in _TRANSFERS:
                return self._at_length(state, packet)
            answer = state.names.otherwise[node]
        return answer, end, tail

    def _odd(self, packet: bytes) -> bytes | None:
        """Short packets and replies get silence, other opcodes NOTIMP with a header only."""
        if len(packet) < wire.HEADER or packet[2] & 0x80:
            self.refused["silence"] += 1
            return None
        self.refused["opcode"] += 1
        return _header_only(packet, wire.NOTIMP)

    def _at_length(self, state: _State, packet: bytes) -> tuple[int, int, Tail | None] | bytes:
        """The same for whatever the short cut does not know: read the packet whole."""
        query = wire.parse(packet)
        if isinstance(query, wire.Malformed):
            self.refused["malformed"] += 1
            return _header_only(packet, wire.FORMERR)
        end = query.end
        tail: Tail | None = None
        opt = b""
        if query.opt is not None:
            start, stop = query.opt
            tail = self._tail(packet[start:stop], canonical=start == end and stop == len(packet))
            if tail is None:
                self.refused["malformed"] += 1
                return _refuse(packet, end, wire.FORMERR, edns.reply_opt(self.payload, False, 0, b""))
            if tail.edns.version != 0:
                self.refused["version"] += 1
                return _refuse(packet, end, 0, edns.reply_opt(self.payload, tail.edns.do, wire.BADVERS, b""))
            opt = tail.flat(self.payload)
        why = _unserved(query)
        answer = None if why else _find(state, query.name.lower(), query.qtype)
        if answer is None:
            self.refused[why or "zone"] += 1
            return _refuse(packet, end, wire.REFUSED, opt)
        return answer, end, tail

    def _tail(self, raw: bytes, *, canonical: bool) -> Tail | None:
        """What an OPT record asks for, remembered by its bytes; None where it is malformed."""
        known = self.tails.recall(raw) if canonical else None
        if known is not None:
            return known
        read = edns.parse(raw)
        if read is None:
            return None
        tail = tail_of(read, self.payload)
        if canonical and read.version == 0:
            self.tails.keep(raw, tail)
        return tail

    def _steer(
        self, state: _State, answer: int, made: Made, tail: Tail | None, client: str, now: int
    ) -> tuple[Ready, Seen, bytes]:
        """The class of the client, the answer set of that class, and the OPT record to answer with."""
        sheet = state.sheets[made.sheet]
        key = sheet.plan << 1 | sheet.sticky
        if tail is not None and tail.told and not made.flags & FLAG_NO_SUBNET:
            seen = tail.seen(key)
            if seen is None:
                seen = self._look(sheet, tail, client)
                tail.learn(key, seen)
            opt = seen.opt
        else:
            views = self.sources.young.get(client) or self._views(client)
            seen = views.get(key)
            if seen is None:
                seen = views[key] = self._look(sheet, None, client)
            opt = self._flat(made, tail)
        ready = state.ready.get(answer << 20 | seen.number)
        if ready is None:
            ready = self._ready(state, answer, made, seen.number)
        if ready.set.change_at and now + ready.set.ttl > ready.set.change_at:
            ready = lowered(ready, sheet.empty, sheet.empty_ttl, now)
        return ready, seen, opt

    def _flat(self, made: Made, tail: Tail | None) -> bytes:
        """The OPT record of an answer in which the client's place had no part."""
        if tail is None:
            return b""
        return tail.bare if made.flags & FLAG_NO_SUBNET else tail.flat(self.payload)

    def _views(self, client: str) -> Views:
        views = self.sources.recall(client)
        if views is None:
            views = {}
            self.sources.keep(client, views)
        return views

    def _look(self, sheet: Sheet, tail: Tail | None, client: str) -> Seen:
        """Find a client's class; with Client Subnet, also how wide the answer holds."""
        subnet = tail.edns.subnet if tail is not None else None
        if subnet is None:
            subnet = edns.source(client)
        number, scope = self.classify(sheet.plan, subnet)
        if sheet.sticky:
            scope = max(scope, 24 if subnet.family == 4 else 56)
        opt = b""
        if tail is not None and tail.edns.subnet_option is not None:
            option = edns.reply_subnet(tail.edns.subnet_option, scope + subnet.shift if scope else 0)
            opt = edns.reply_opt(self.payload, tail.edns.do, 0, option)
        return Seen(number, slot_of(subnet.family, subnet.address), opt)

    def _ready(self, state: _State, answer: int, made: Made, number: int) -> Ready:
        set_ = state.sheets[made.sheet].sets.get(number) or self.fill(made.sheet, number)
        if len(state.ready) >= _MAX_READY:
            state.ready.clear()
        ready = prepare(set_, made.body, made.an, made.flags, state.sheets[made.sheet].empty)
        state.ready[answer << 20 | number] = ready
        return ready


def _unserved(query: wire.Query) -> str:
    """Why a readable query is refused whatever its name."""
    if query.qclass not in (wire.IN, wire.ANY_CLASS):
        return "class"
    return "transfer" if query.qtype in (wire.AXFR, wire.IXFR) else ""


def _refuse(packet: bytes, end: int, rcode: int, opt: bytes) -> bytes:
    which = (packet[2] & 1) + (2 if opt else 0)
    return b"".join((packet[:2], heads_of(rcode, 0, 0, 0)[which], packet[12:end], opt))


def _room(limit: int, tail: Tail | None) -> int:
    """How long a reply may be: what the transport carries and the client takes."""
    if limit == STREAM:
        return STREAM
    return FLOOR if tail is None else min(limit, tail.edns.payload)


def _fit(reply: bytes, packet: bytes, end: int, made: Made, which: int, opt: bytes, most: int) -> bytes:
    """The reply if it fits; else without what may be left out; else only the word that it does not."""
    if len(reply) <= most:
        return reply
    if made.sheet < 0 and made.lean is not made.body:
        reply = b"".join((packet[:2], made.lean_heads[which], packet[12:end], made.lean, opt))
        if len(reply) <= most:
            return reply
    return b"".join((packet[:2], heads_of(made.flags | wire.TC, 0, 0, 0)[which], packet[12:end], opt))


def _find(state: _State, name: bytes, qtype: int) -> int | None:
    """The answer for a folded name: exact, from the closest encloser, or None outside all zones."""
    node = state.nodes.get(name)
    if node is None:
        node = _encloser(state, name)
        if node is None:
            return None
    if node < 0:
        return ~node
    return state.by_type.get(node << 16 | qtype, state.names.otherwise[node])


def _encloser(state: _State, name: bytes) -> int | None:
    """What answers below the closest encloser of a folded name (`Names.below`).

    None where no zone holds it, or where the octets are no name (a short cut may bring such).
    """
    at, last = 0, len(name) - 1
    parents = []
    while at < last:
        length = name[at]
        if length > 63 or length == 0:
            return None
        at += 1 + length
        parents.append(at)
    if at != last or last >= 255:
        return None
    nodes = state.nodes
    for start in parents[max(0, len(parents) - state.names.depth - 1) :]:
        encloser = nodes.get(name[start:])
        if encloser is not None:
            return state.names.below[encloser]
    return None


def _header_only(packet: bytes, rcode: int) -> bytes:
    """Id, opcode and RD copied, nothing else: for what cannot be understood further."""
    return packet[:2] + bytes([0x80 | packet[2] & 0x79, rcode]) + bytes(8)
