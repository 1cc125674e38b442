"""Common questions: what the long way found out about a question, kept until the table changes.

A key is the message from its flags to its question's end, folded to lower case whole: 0x20 variants share
it. Folding may make two types one (65 and 97 are a letter's two cases), so an entry names its type's octets.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field

from geodns.core import wire
from geodns.core.table import FLAG_DNAME, FLAG_NO_SUBNET
from geodns.core.unpacked import Made, Ready

MAX_QUESTIONS = 1 << 14
MAX_ANSWERS = 1 << 18  # of steered questions, one for each class that asked
MAX_REPLY = 512 - 64  # octets before the OPT record; one with Client Subnet and a cookie has 63
PLAIN = b"\0\1\0\0\0\0\0\0"  # the counts of a query without an OPT record, and with one
WITH_OPT = b"\0\1\0\0\0\0\0\1"
_IXFR = wire.IXFR.to_bytes(2)


@dataclass(slots=True)
class Hot:
    """A question's answer: everybody's (`head`, `body`), or that of each class of the plan with `key`.

    Questions that get the same answer share one: a thousand names on one pool stay in a processor's cache.
    """

    qtype: bytes
    slot: int
    key: int
    head: bytes = b""
    body: bytes = b""
    by_class: dict[int, tuple[bytes, Ready]] = field(default_factory=dict)


class Shortcut(dict[bytes, Hot]):
    """At most MAX_QUESTIONS questions and MAX_ANSWERS; when it is full, others take the long way."""

    def __init__(self, nodes: Container[bytes]) -> None:
        super().__init__()
        self.nodes = nodes
        self.answers = 0
        self.alike: dict[tuple[int, int, bool, bytes], Hot] = {}

    def keep(self, packet: bytes, end: int, edns: bool, found: tuple[Made, Ready | None, int, int]) -> None:
        """Keep what the long way found: the answer and, if it was steered, the set, the class and plan's key.

        Only for names that exist, since those that do not are without number, and for packets of one
        question and at most an OPT record, whose reply fits any transport and does not depend on the moment.
        """
        made, ready, number, key = found
        if made.flags & 15 or packet[12 : end - 4].lower() not in self.nodes:
            return
        if packet[end - 4 : end - 2] == _IXFR:  # it is told the SOA over UDP alone
            return
        if packet[4:12] != (WITH_OPT if edns else PLAIN) or made.flags & (FLAG_NO_SUBNET | FLAG_DNAME):
            return
        source = made if ready is None else ready
        longest = len(made.body) if ready is None else ready.longest
        if end + longest > MAX_REPLY or (ready is not None and (ready.set.change_at or ready.set.state)):
            return
        name = packet[2:end].lower()
        hot = self.get(name)
        if hot is None or hot.qtype != packet[end - 4 : end - 2]:
            if len(self) >= MAX_QUESTIONS:
                return
            alike = (id(made), packet[2] & 1, edns, packet[end - 4 : end - 2])
            hot = self.alike.setdefault(alike, Hot(packet[end - 4 : end - 2], made.slot, key))
            self[name] = hot
        head = source.heads[packet[2] & 1 | (2 if edns else 0)]
        if ready is None:
            hot.head, hot.body = head, made.body
        elif self.answers < MAX_ANSWERS:
            self.answers += number not in hot.by_class
            hot.by_class[number] = head, ready
