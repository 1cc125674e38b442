"""Redirection of a whole subtree (RFC 6672): the records that lead a name through DNAMEs to where it ends.

What lies below a DNAME is the one thing in static data that only the packet knows. The answer that the name
in the end has was compiled for somebody who asks for it: its records' owner, 0xC00C, is moved on to where
the last synthesized CNAME names it.
"""

from __future__ import annotations

from geodns.core import wire
from geodns.core.fit import compressed

MAX_STEPS = 8  # with names of 255 octets that is 6 kB, so a pointer (14 bits) reaches everywhere
_QUESTION = b"\xc0\x0c"


def substitute(name: bytes, owner: bytes, target: bytes) -> bytes | None:
    """`name`, which lies below `owner`, put below `target` instead; None where that is no name any more."""
    found = name[: len(name) - len(owner)] + target
    return found if len(found) <= 255 else None


class Path:
    """The records from the question's name to where DNAMEs lead it.

    `name` is where it stands now, `records` what the answer section holds so far, `count` how many,
    `rcode` YXDOMAIN where the name got too long. `open`: another DNAME may be followed.
    """

    def __init__(self, name: bytes, qtype: int) -> None:
        """From the question's name, as asked."""
        self.name = name
        self.qtype = qtype
        self.records = b""
        self.count = 0
        self.rcode = wire.NOERROR
        self.open = qtype != wire.CNAME
        self._start = wire.HEADER + len(name) + 4
        self._owner = _QUESTION
        self._targets: dict[bytes, bytes] = {}  # by DNAME's owner, how a name below its target ends
        self._passed = {self.name.lower()}
        self._shown: set[bytes] = set()  # records, names written out, in lower case

    def follow(self, dname: bytes) -> None:
        """Go through a DNAME record (its owner in lower case, written out)."""
        at = wire.name_end(dname, 0)
        owner, ttl, target = dname[:at], int.from_bytes(dname[at + 4 : at + 8]), dname[at + 10 :]
        if owner not in self._targets:
            self._add(self._shortened(owner) + dname[at:], dname)
            self._targets[owner] = self._pointer(len(target))
        name = substitute(self.name, owner, target)
        if name is None:
            self.rcode, self.open = wire.YXDOMAIN, False
            return
        rdata = name[: -len(target)] + self._targets[owner]
        whole = wire.record(self.name, wire.CNAME, ttl, name)
        self._add(wire.record(self._owner, wire.CNAME, ttl, rdata), whole)
        self._owner = self._pointer(len(rdata))
        self.name = name
        self.open &= name.lower() not in self._passed and len(self._passed) < MAX_STEPS
        self._passed.add(name.lower())

    def arrive(self, body: bytes, count: int, most: int) -> None:
        """Take over a compiled answer: `count` records in its answer section, then those of the others.

        Its names are compressed where it would not fit into `most` octets of the message.
        """
        parts: list[bytes] = []
        at = 0
        for _ in range(count):
            behind = wire.skip_name(body, at)
            end = behind + 10 + int.from_bytes(body[behind + 8 : behind + 10])
            owner = body[at:behind]
            whole = (self.name if owner == _QUESTION else owner) + body[behind:end]
            if whole.lower() not in self._shown:
                parts += (self._owner if owner == _QUESTION else owner, body[behind:end])
                self.count += 1
            at = end
        body = b"".join((*parts, body[at:]))
        start = self._start + len(self.records)
        self.records += compressed(start, body) if start + len(body) > most else body

    def _add(self, record: bytes, whole: bytes) -> None:
        self.records += record
        self.count += 1
        self._shown.add(whole.lower())

    def _pointer(self, size: int) -> bytes:
        """A pointer to the last `size` octets so far."""
        return (0xC000 | self._start + len(self.records) - size).to_bytes(2)

    def _shortened(self, owner: bytes) -> bytes:
        """The owner of the first DNAME is the end of the question's name."""
        if self._targets:
            return owner
        return (0xC000 | wire.HEADER + len(self.name) - len(owner)).to_bytes(2)
