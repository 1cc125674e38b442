"""The query's whole way: a packet in, the answer's bytes out, from the table alone.

The straight line: header, question, name, answer, class of the client, pick, copy, patch. No YAML, no
policy objects, no dnslib, no await, no lock, no float. The same packet, client, chance and moment give
the same bytes in every lane; `tests/` drive both over the same cases.

For speed this lane keeps indices beside the table, all bounded: names and answers unpacked on first use,
and what it learned of clients (`Memory`): a raw OPT record as read, a source address's classes.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from geodns.core import edns, unpacked, wire
from geodns.core.clients import Known, Memory, Seen, Tail
from geodns.core.dname import Path
from geodns.core.edns import Subnet
from geodns.core.fit import FLOOR, STREAM, Fitter, room, truncated
from geodns.core.index import Index
from geodns.core.reception import Arrival, Read, Reception, Signed
from geodns.core.shortcut import PLAIN, WITH_OPT, Hot, Shortcut
from geodns.core.steer.picks import slot_of
from geodns.core.table import FLAG_AA, FLAG_DNAME, FLAG_NO_SUBNET, STATES, AnswerSet, Sheet
from geodns.core.terms import Terms
from geodns.core.unpacked import Made, Ready, draw_several, heads_of, lowered, prepare, take

if TYPE_CHECKING:
    from geodns._native import Classifier

_TRANSFERS = (wire.AXFR.to_bytes(2), wire.IXFR.to_bytes(2))
_MAX_READY = 1 << 18


class Hooks(NamedTuple):
    """What a lane needs beside the table: the counters, the class of a client, a set not yet made.

    `classify(plan, subnet)` gives (class, scope); `fill(sheet, class)` makes and keeps an answer set.
    `places` is what the native lane looks classes up in by itself; without it that one asks, too.
    """

    tally: array[int]
    classify: Callable[[int, Subnet], tuple[int, int]]
    fill: Callable[[int, int], AnswerSet]
    places: Classifier | None = None


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
        self.shortcut = Shortcut(index.nodes)

    def make(self, answer: int) -> Made:
        """Unpack an answer at its first use."""
        made = self.made[answer] = unpacked.make(self.names, answer)
        return made


class Replay:
    """The Python lane. `publish` swaps in a table; `answer` is the one door for all transports."""

    index_of = Index.of

    def __init__(
        self,
        index: Index,
        sheets: tuple[Sheet, ...],
        hooks: Hooks,
        *,
        payload: int,
        places: int,
        terms: Terms | None = None,
    ) -> None:
        self.payload = payload
        self.terms = terms or Terms()
        self.fitter = Fitter()
        self.reception = Reception(payload, places, self.terms)
        self.tails = self.reception.tails
        self.sources: Memory[Known] = Memory(places)
        self.tally = hooks.tally
        self.reload(index, sheets, hooks)

    def reload(self, index: Index, sheets: tuple[Sheet, ...], hooks: Hooks) -> None:
        """Answer from another content from now on; what was learned of clients is void."""
        self.tally, self.classify, self.fill, self.places = hooks
        self.state = _State(index, sheets)
        self.forget()

    def learn(self, sheet: int, number: int, made: AnswerSet) -> None:
        """An answer set was made that no packet asked for yet."""

    def collect(self) -> None:
        """Take into the counters what was answered elsewhere."""

    def agree(self, terms: Terms) -> None:
        """Other terms from now on."""
        self.terms = self.reception.terms = terms
        self.forget()

    def sign(self, signed: Signed) -> None:
        """Hand queries with a TSIG record to `signed` from now on."""
        self.reception.signed = signed

    def relocate(self, places: Classifier | None) -> None:
        """Clients may be elsewhere from now on; `places` as in `Hooks`."""
        self.places = places
        self.forget()

    def forget(self) -> None:
        """Drop what was learned of clients: their places may have changed."""
        self.tails.clear()
        self.sources.clear()

    def publish(self, sheets: tuple[Sheet, ...]) -> None:
        """Swap in new sheets over the same names."""
        self.state = _State(self.state.index, sheets)

    def look_up(self, name: bytes, qtype: int) -> Made | None:
        """What answers a folded name and type, DNAMEs followed; None where it is refused."""
        answer = self.state.index.find(name, qtype)
        return None if answer is None else _lead(self.state, answer, Path(name, qtype))[1]

    def rehearse(self, packet: bytes, client: str, now: int) -> bytes:
        """The reply that a packet would get over TCP with the lowest chance, counted nowhere."""
        counted, aside = self.tally[:], self.reception.aside.copy()
        try:
            return self.answer(packet, client, STREAM, 0, now) or b""
        finally:
            self.reception.aside = aside
            fresh = len(self.tally) - len(counted)  # of answer sets that nobody had asked for before
            self.tally[:] = counted + array("Q", bytes(8 * fresh))

    def answer(self, packet: bytes, client: str, limit: int, chance: int, now: int) -> bytes | None:
        """The reply to a packet, or None for silence.

        `client` is the source address as text; `limit` the transport's ceiling in octets (65535: a
        stream); `chance` 32 uniform bits; `now` Unix seconds.
        """
        state = self.state
        end = packet.find(b"\0", wire.HEADER) + 5
        hot = state.shortcut.get(packet[2:end].lower())
        if hot is not None and packet[end - 4 : end - 2] == hot.qtype:
            reply = self._again(hot, packet, end, client, chance, now)
            if reply is not None:
                return reply
        read: Read | bytes | None = self._read(state, packet, client, now)
        if read is None:
            read = self.reception.read(state.index, Arrival(packet, client, limit, chance, now))
        if not isinstance(read, tuple):
            return read
        answer, end, tail = read
        made = state.made[answer] or state.make(answer)
        self.tally[made.slot] += 1
        which = packet[2] & 1 if tail is None else packet[2] & 1 | 2
        if made.flags & FLAG_DNAME:
            return self._redirect(state, answer, made, packet, end, tail, client, limit, chance, now)
        if made.sheet < 0:
            heads, body, opt = made.heads, made.body, self._flat(made, tail)
            state.shortcut.keep(packet, end, tail is not None, (made, None, 0, -1))
        else:
            ready, seen, opt = self._steer(state, answer, made, tail, client, now)
            heads = ready.heads
            start = take(ready, self.tally, seen.slot, chance)
            if start < 0:
                body = draw_several(ready, chance)
            else:
                body = ready.bodies[start]
                key = _view(state.sheets[made.sheet])
                state.shortcut.keep(packet, end, tail is not None, (made, ready, seen.number, key))
        reply = b"".join((packet[:2], heads[which], packet[12:end], body, opt))
        if len(reply) > FLOOR:
            most = room(limit, None if tail is None else tail.edns.payload)
            if len(reply) > most:
                lean = () if made.lean is made.body or made.sheet >= 0 else ((made.lean_heads, made.lean),)
                return self.fitter.reply(packet, end, which, opt, most, ((heads, body), *lean))
        return reply

    def _again(self, hot: Hot, packet: bytes, end: int, client: str, chance: int, now: int) -> bytes | None:
        """The reply to a common question from a known client; None where the long way has to be gone."""
        if packet[11]:
            tail = self.tails.young.get(packet[end:])
            if tail is None or (tail.owner and not tail.fits(client, now)):
                return None
            opt, known = tail.opt, tail.client
        elif len(packet) != end:
            return None
        else:
            opt, known = b"", None
        if hot.head:
            if known is not None:
                return None
            self.tally[hot.slot] += 1
            return b"".join((packet[:2], hot.head, packet[12:end], hot.body, opt))
        if known is None:
            known = self.sources.young.get(client)
        if known is None:
            return None
        seen = known if known.key == hot.key else known.seen(hot.key)
        found = hot.by_class.get(seen.number) if seen is not None else None
        if found is None or seen is None:
            return None
        head, ready = found
        self.tally[hot.slot] += 1
        body = ready.bodies[take(ready, self.tally, seen.slot, chance)]
        return b"".join((packet[:2], head, packet[12:end], body, opt or seen.opt))

    def _read(self, state: _State, packet: bytes, client: str, now: int) -> Read | None:
        """Which answer a packet asks for; None for a packet that is to be read at length.

        Packets of one question of class IN are known here, with nothing behind it but an OPT record seen
        before. The first zero octet is taken for the name's end: where that falls into a label, what stands
        before it is no name, and no key of `nodes`.
        """
        if len(packet) < wire.HEADER or packet[2] & 0xF8:
            return None
        end = packet.find(b"\0", wire.HEADER) + 5
        counts = packet[4:12]
        tail: Tail | None = None
        if counts == WITH_OPT:
            tail = self.tails.young.get(packet[end:])
            if tail is None or (tail.owner and not tail.fits(client, now)):
                return None
        elif counts != PLAIN or len(packet) != end:
            return None
        if packet[end - 2 : end] != b"\0\1":
            return None
        name = packet[12 : end - 4].lower()
        node = state.nodes.get(name)
        if node is None:
            node = state.index.encloser(name)
            if node is None:
                return None
        if node < 0:
            return None if packet[end - 4 : end - 2] in _TRANSFERS else (~node, end, tail)
        answer = state.by_type.get(node << 16 | packet[end - 4] << 8 | packet[end - 3])
        if answer is None:
            if packet[end - 4 : end - 2] in _TRANSFERS:
                return None
            answer = state.names.otherwise[node]
        return answer, end, tail

    def _redirect(
        self,
        state: _State,
        answer: int,
        made: Made,
        packet: bytes,
        end: int,
        tail: Tail | None,
        client: str,
        limit: int,
        chance: int,
        now: int,
    ) -> bytes:
        """The reply for a name below a DNAME: the way there, then the answer of the name it leads to."""
        qtype = int.from_bytes(packet[end - 4 : end - 2])
        path = Path(packet[12 : end - 4], wire.SOA if qtype == wire.IXFR else qtype)  # as in `reception`
        most = room(limit, None if tail is None else tail.edns.payload)
        authority, additional, opt = 0, 0, self._flat(made, tail)
        answer, made = _lead(state, answer, path)
        if not made.flags & FLAG_DNAME:
            heads, body = made.lean_heads, made.lean
            if made.sheet >= 0:
                ready, seen, opt = self._steer(state, answer, made, tail, client, now)
                start = take(ready, self.tally, seen.slot, chance)
                heads, body = ready.heads, ready.bodies[start] if start >= 0 else draw_several(ready, chance)
            count, authority, additional = (int.from_bytes(heads[0][i : i + 2]) for i in (4, 6, 8))
            path.arrive(body, count, most - len(opt))
            path.rcode = made.flags & 15
        which = packet[2] & 1 if tail is None else packet[2] & 1 | 2
        heads = heads_of(FLAG_AA | path.rcode, path.count, authority, additional)
        reply = b"".join((packet[:2], heads[which], packet[12:end], path.records, opt))
        return reply if len(reply) <= most else truncated(packet, end, which, opt, heads)

    def _steer(
        self, state: _State, answer: int, made: Made, tail: Tail | None, client: str, now: int
    ) -> tuple[Ready, Seen, bytes]:
        """The class of the client, the answer set of that class, and the OPT record to answer with."""
        sheet = state.sheets[made.sheet]
        key = _view(sheet)
        if tail is not None and tail.client is not None and not made.flags & FLAG_NO_SUBNET:
            known, subnet_of = tail.client, tail
        else:
            known, subnet_of = self.sources.young.get(client) or self._source(client), None
        seen = known.seen(key)
        if seen is None:
            seen = self._look(sheet, subnet_of, client)
            known.learn(key, seen)
        opt = self._flat(made, tail) if subnet_of is None else seen.opt
        ready = state.ready.get(answer << 20 | seen.number)
        if ready is None:
            ready = self._ready(state, answer, made, seen.number)
        if ready.set.change_at and now + ready.set.ttl > ready.set.change_at:
            ready = lowered(ready, sheet.empty, sheet.empty_ttl, now)
        if ready.set.state and opt and self.terms.states:
            opt = edns.extended(opt, edns.OTHER, STATES[ready.set.state])
        return ready, seen, opt

    def _flat(self, made: Made, tail: Tail | None) -> bytes:
        """The OPT record of an answer in which the client's place had no part."""
        if tail is None:
            return b""
        return tail.bare if made.flags & FLAG_NO_SUBNET else tail.flat(self.payload)

    def _source(self, client: str) -> Known:
        known = self.sources.recall(client)
        if known is None:
            known = Known()
            self.sources.keep(client, known)
        return known

    def _look(self, sheet: Sheet, tail: Tail | None, client: str) -> Seen:
        """Find a client's class; with Client Subnet, also how wide the answer holds."""
        subnet = tail.edns.subnet if tail is not None else None
        if subnet is None:
            subnet = edns.source(client)
        number, scope = self.classify(sheet.plan, subnet)
        if sheet.sticky:
            scope = max(scope, edns.sticky_scope(subnet))
        opt = b""
        if tail is not None and tail.edns.subnet_option is not None:
            opt = tail.told(self.payload, scope + subnet.shift if scope else 0)
        return Seen(number, slot_of(subnet.family, subnet.address), opt)

    def _ready(self, state: _State, answer: int, made: Made, number: int) -> Ready:
        set_ = state.sheets[made.sheet].sets.get(number) or self.fill(made.sheet, number)
        if len(state.ready) >= _MAX_READY:
            state.ready.popitem()
        ready = prepare(set_, made.body, made.an, made.flags, state.sheets[made.sheet].empty)
        state.ready[answer << 20 | number] = ready
        return ready


def _view(sheet: Sheet) -> int:
    """What a client's class is remembered under: the plan, sticky sheets apart, since their scopes differ."""
    return sheet.plan << 1 | sheet.sticky


def _lead(state: _State, answer: int, path: Path) -> tuple[int, Made]:
    """Follow an answer that is a DNAME; what it ends in is one itself where the way goes no farther here."""
    made = state.made[answer] or state.make(answer)
    while made.flags & FLAG_DNAME:
        path.follow(made.lean)
        found = state.index.find(path.name.lower(), path.qtype) if path.open else None
        if found is None:
            break
        answer = found
        made = state.made[answer] or state.make(answer)
    return answer, made
