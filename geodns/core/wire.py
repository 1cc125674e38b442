"""DNS messages as bytes: a bounded parser of queries (RFC 1035 §4.1) and the numbers of the protocol.

Hostile input is a value, never an exception: a message that cannot be read is `Malformed`. No loop runs
longer than the message; a compression pointer that does not point back is malformed, and so is any in the
question, which has nothing before it.
"""

from __future__ import annotations

from dataclasses import dataclass

HEADER = 12
MAX_NAME = 255  # octets
MAX_RECORDS = 16  # beyond the question; a query has an OPT, perhaps a TSIG

NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = range(6)
YXDOMAIN = 6
BADVERS, BADCOOKIE = 16, 23
QUERY, NOTIFY, UPDATE = 0, 4, 5  # opcodes

A, NS, CNAME, SOA, PTR, HINFO, MX, TXT, AAAA = 1, 2, 5, 6, 12, 13, 15, 16, 28
SRV, DNAME, OPT, DS, SVCB, HTTPS, TSIG, IXFR, AXFR, ANY = 33, 39, 41, 43, 64, 65, 250, 251, 252, 255
IN, CH, ANY_CLASS = 1, 3, 255

QR = 0x8000
AA = 0x0400
TC = 0x0200
RD = 0x0100


@dataclass(frozen=True, slots=True)
class Query:
    """A readable query. `name` is as asked (case kept); `end` is the offset behind the question.

    Without a question, which needs an OPT record (RFC 7873 §5.4), `name` is empty. `opt` is the (start, end)
    of the OPT record in the packet, `tsig` the start of the TSIG record, or None.
    """

    name: bytes
    qtype: int
    qclass: int
    end: int
    opt: tuple[int, int] | None
    tsig: int | None = None


@dataclass(frozen=True, slots=True)
class Malformed:
    """What of a message cannot be read; `end` is behind the question where that much could be, else 12."""

    why: str
    end: int = HEADER


def name_end(packet: bytes, at: int) -> int:
    """The offset behind an uncompressed name at `at`, or -1 where there is none within 255 octets."""
    start, size = at, len(packet)
    while at < size and at - start < MAX_NAME:
        length = packet[at]
        at += 1 + length
        if length == 0:
            return at
        if length > 63:
            return -1
    return -1


def skip_name(packet: bytes, at: int, before: int = 0x4000) -> int:
    """The offset behind a name that may end in a pointer to an octet before `before`, or -1.

    The pointer is not followed.
    """
    start, size = at, len(packet)
    while at < size and at - start < MAX_NAME:
        length = packet[at]
        if length >= 0xC0:
            back = at + 2 <= size and int.from_bytes(packet[at : at + 2]) & 0x3FFF < before
            return at + 2 if back else -1
        at += 1 + length
        if length == 0:
            return at
        if length > 63:
            return -1
    return -1


def parse(packet: bytes) -> Query | Malformed:
    """Read a query of at least 12 octets. Records other than OPT and TSIG are skipped."""
    questions = int.from_bytes(packet[4:6])
    if questions > 1:
        return Malformed("question count")
    end = HEADER
    if questions:
        end = name_end(packet, HEADER) + 4
        if end < HEADER or end > len(packet):
            return Malformed("question")
    others = int.from_bytes(packet[6:8]) + int.from_bytes(packet[8:10])
    records = others + int.from_bytes(packet[10:12])
    if records > MAX_RECORDS:
        return Malformed("record count", end)
    opt: tuple[int, int] | None = None
    tsig: int | None = None
    at = end
    for number in range(records):
        start, owner_end = at, skip_name(packet, at, at)
        at = owner_end + 10 + int.from_bytes(packet[owner_end + 8 : owner_end + 10])
        if owner_end < 0 or at > len(packet):
            return Malformed("record", end)
        rtype = int.from_bytes(packet[owner_end : owner_end + 2])
        if rtype == OPT:
            if opt is not None or owner_end != start + 1 or number < others:
                return Malformed("opt", end)  # RFC 6891 §6.1.1: one, additional, of the root
            opt = (start, at)
        elif rtype == TSIG and number >= others:
            if number + 1 < records:  # RFC 8945 §5.1: the last one, or nothing is right
                return Malformed("tsig", end)
            tsig = start
    if not questions:
        return Malformed("question count") if opt is None else Query(b"", 0, IN, end, opt, tsig)
    qtype = int.from_bytes(packet[end - 4 : end - 2])
    qclass = int.from_bytes(packet[end - 2 : end])
    return Query(packet[HEADER : end - 4], qtype, qclass, end, opt, tsig)


def record(owner: bytes, rtype: int, ttl: int, rdata: bytes) -> bytes:
    """One resource record of class IN; `owner` is a wire name or a compression pointer."""
    return b"".join((owner, rtype.to_bytes(2), b"\0\1", ttl.to_bytes(4), len(rdata).to_bytes(2), rdata))
