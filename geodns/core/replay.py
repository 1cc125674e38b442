"""The query's whole way: a packet in, the answer's bytes out, from the table alone.

The straight line: header, question, name, answer, class of the client, pick, copy, patch. No YAML, no
policy objects, no dnslib, no await, no lock, no float. The same packet, client, chance and moment give
the same bytes in every lane; `tests/` drive both over the same cases.

For speed this lane keeps indices beside the table, all bounded: names and answers unpacked on first use,
and what it learned of clients (`Memory`): a raw OPT record as read, a source address's classes.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from geodns.core import edns, unpacked, wire
from geodns.core.edns import Edns, Subnet
from geodns.core.steer.picks import slot_of
from geodns.core.table import FIXED, FLAG_NO_SUBNET, STICKY, TURNS, AnswerSet, Names, Sheet
from geodns.core.unpacked import Heads, Made, Ready, draw_several, heads_of, lowered, prepare

STREAM = 65535  # the size limit that means TCP
FLOOR = 512
_PLAIN = b"\0\1\0\0\0\0\0\0"
_WITH_OPT = b"\0\1\0\0\0\0\0\1"
_MAX_READY = 1 << 20

V = TypeVar("V")


class Hooks(NamedTuple):
    """What a lane needs beside the table: the counters, the class of a client, a set not yet made.

    `classify(plan, subnet)` gives (class, scope); `fill(sheet, class)` makes and keeps an answer set.
    """

    tally: array[int]
    classify: Callable[[int, Subnet], tuple[int, int]]
    fill: Callable[[int, int], AnswerSet]


class Memory(Generic[V]):
    """A bounded memory in two generations: when the young one is full the old one is forgotten, counted."""

    def __init__(self, limit: int) -> None:
        self.young: dict[bytes | str, V] = {}
        self.old: dict[bytes | str, V] = {}
        self.forgotten = 0
        self._half = max(1, limit // 2)

    def recall(self, key: bytes | str) -> V | None:
        """What is known of a key that the young generation does not hold."""
        known = self.old.pop(key, None)
        if known is not None:
            self.keep(key, known)
        return known

    def keep(self, key: bytes | str, value: V) -> None:
        if len(self.young) >= self._half:
            self.forgotten += len(self.old)
            self.old, self.young = self.young, {}
        self.young[key] = value

    def clear(self) -> None:
        self.young, self.old = {}, {}


@dataclass(slots=True)
class Seen:
    """A client's class in one plan, its sticky slot, and the OPT record that its answers carry."""

    number: int
    slot: int
    opt: bytes


Views = dict[int, Seen]  # by sheet's plan, sticky ones apart: their scopes differ


@dataclass(slots=True)
class Tail:
    """An OPT record as read. `bare` answers it without Client Subnet, `flat` with scope 0."""

    edns: Edns
    bare: bytes
    flat: bytes
    views: Views = field(default_factory=dict)


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
        size = len(packet)
        if size < wire.HEADER or packet[2] & 0xF8:
            return self._odd(packet)
        state = self.state
        end = packet.find(b"\0", wire.HEADER) + 5
        counts = packet[4:12]
        tail: Tail | None = None
        if counts == _WITH_OPT:
            tail = self.tails.young.get(packet[end:])
            if tail is None:
                return self._at_length(state, packet, client, limit, chance, now)
        elif counts != _PLAIN or size != end:
            return self._at_length(state, packet, client, limit, chance, now)
        if packet[end - 2 : end] != b"\0\1":
            return self._at_length(state, packet, client, limit, chance, now)
        name = packet[12 : end - 4].lower()
        node = state.nodes.get(name)
        if node is None:
            node = _encloser(state, name)
            if node is None:
                return self._at_length(state, packet, client, limit, chance, now)
        if node < 0:
            answer = ~node
        else:
            answer = state.by_type.get(node << 16 | packet[end - 4] << 8 | packet[end - 3], -1)
            if answer < 0:
                answer = state.names.otherwise[node]
        return self._render(state, answer, packet, end, tail, client, limit, chance, now)

    def _odd(self, packet: bytes) -> bytes | None:
        """Short packets and replies get silence, other opcodes NOTIMP with a header only."""
        if len(packet) < wire.HEADER or packet[2] & 0x80:
            self.refused["silence"] += 1
            return None
        self.refused["opcode"] += 1
        return _header_only(packet, wire.NOTIMP)

    def _at_length(
        self, state: _State, packet: bytes, client: str, limit: int, chance: int, now: int
    ) -> bytes | None:
        """The same way for whatever the short cut does not know: read the packet whole."""
        query = wire.parse(packet)
        if isinstance(query, wire.Malformed):
            self.refused["malformed"] += 1
            return _header_only(packet, wire.FORMERR)
        tail: Tail | None = None
        if query.opt is not None:
            tail = self._tail(
                packet[query.opt[0] : query.opt[1]], canonical=query.opt == (query.end, len(packet))
            )
            if tail is None:
                self.refused["malformed"] += 1
                return self._refuse(
                    packet, query.end, wire.FORMERR, edns.reply_opt(self.payload, False, 0, b"")
                )
            if tail.edns.version != 0:
                self.refused["version"] += 1
                opt = edns.reply_opt(self.payload, tail.edns.do, wire.BADVERS, b"")
                return self._refuse(packet, query.end, 0, opt)
        opt = tail.flat if tail is not None else b""
        if query.qclass not in (wire.IN, wire.ANY_CLASS):
            self.refused["class"] += 1
            return self._refuse(packet, query.end, wire.REFUSED, opt)
        if query.qtype in (wire.AXFR, wire.IXFR):
            self.refused["transfer"] += 1
            return self._refuse(packet, query.end, wire.REFUSED, opt)
        answer = _find(state, query.name.lower(), query.qtype)
        if answer is None:
            self.refused["zone"] += 1
            return self._refuse(packet, query.end, wire.REFUSED, opt)
        return self._render(state, answer, packet, query.end, tail, client, limit, chance, now)

    def _tail(self, raw: bytes, *, canonical: bool) -> Tail | None:
        """What an OPT record asks for, remembered by its bytes; None where it is malformed."""
        known = self.tails.recall(raw) if canonical else None
        if known is not None:
            return known
        read = edns.parse(raw)
        if read is None:
            return None
        bare = edns.reply_opt(self.payload, read.do, 0, b"")
        flat = bare
        if read.subnet_option is not None:
            flat = edns.reply_opt(self.payload, read.do, 0, edns.reply_subnet(read.subnet_option, 0))
        tail = Tail(read, bare, flat)
        if canonical and read.version == 0:
            self.tails.keep(raw, tail)
        return tail

    def _render(
        self,
        state: _State,
        answer: int,
        packet: bytes,
        end: int,
        tail: Tail | None,
        client: str,
        limit: int,
        chance: int,
        now: int,
    ) -> bytes:
        made = state.made[answer] or state.make(answer)
        self.tally[made.slot] += 1
        which = packet[2] & 1
        opt = b""
        if tail is not None:
            which += 2
            opt = tail.bare if made.flags & FLAG_NO_SUBNET else tail.flat
        if made.sheet < 0:
            heads, body = made.heads, made.body
        else:
            heads, body, opt = self._steer(state, answer, made, tail, opt, client, chance, now)
        reply = b"".join((packet[:2], heads[which], packet[12:end], body, opt))
        if len(reply) <= FLOOR:
            return reply
        room = limit if limit == STREAM else min(limit, tail.edns.payload) if tail is not None else FLOOR
        if len(reply) <= room:
            return reply
        if made.sheet < 0 and made.lean is not made.body:
            reply = b"".join((packet[:2], made.lean_heads[which], packet[12:end], made.lean, opt))
            if len(reply) <= room:
                return reply
        return b"".join((packet[:2], heads_of(made.flags | wire.TC, 0, 0, 0)[which], packet[12:end], opt))

    def _steer(
        self,
        state: _State,
        answer: int,
        made: Made,
        tail: Tail | None,
        opt: bytes,
        client: str,
        chance: int,
        now: int,
    ) -> tuple[Heads, bytes, bytes]:
        """The class of the client, the answer set of that class, and one pick from it."""
        sheet = state.sheets[made.sheet]
        key = sheet.plan << 1 | sheet.sticky
        told = tail is not None and tail.edns.subnet is not None and not made.flags & FLAG_NO_SUBNET
        if told and tail is not None:
            seen = tail.views.get(key)
            if seen is None:
                seen = tail.views[key] = self._look(sheet.plan, sheet.sticky, tail, client)
            opt = seen.opt
        else:
            views = self.sources.young.get(client)
            if views is None:
                views = self.sources.recall(client)
                if views is None:
                    views = {}
                    self.sources.keep(client, views)
            seen = views.get(key)
            if seen is None:
                seen = views[key] = self._look(sheet.plan, sheet.sticky, None, client)
        ready = state.ready.get(answer << 20 | seen.number)
        if ready is None:
            ready = self._ready(state, answer, made, seen.number)
        set_ = ready.set
        turn = self.tally[set_.slot]
        self.tally[set_.slot] = turn + 1
        if set_.change_at and now + set_.ttl > set_.change_at:
            ready = lowered(ready, sheet.empty, sheet.empty_ttl, now)
        if ready.one_draw:
            return ready.heads, ready.bodies[bisect_right(set_.weights, chance * ready.total >> 32)], opt
        if set_.pick == FIXED:
            return ready.heads, ready.bodies[0], opt
        if set_.pick == TURNS:
            return ready.heads, ready.bodies[set_.order[turn % len(set_.order)]], opt
        if set_.pick == STICKY:
            return ready.heads, ready.bodies[set_.order[seen.slot]], opt
        return ready.heads, draw_several(ready, chance), opt

    def _look(self, plan: int, sticky: bool, tail: Tail | None, client: str) -> Seen:
        """Find a client's class; with Client Subnet, also how wide the answer holds."""
        subnet = tail.edns.subnet if tail is not None else None
        if subnet is None:
            subnet = edns.source(client)
        number, scope = self.classify(plan, subnet)
        if sticky:
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

    def _refuse(self, packet: bytes, end: int, rcode: int, opt: bytes) -> bytes:
        which = (packet[2] & 1) + (2 if opt else 0)
        return b"".join((packet[:2], heads_of(rcode, 0, 0, 0)[which], packet[12:end], opt))


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
