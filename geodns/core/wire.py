"""DNS messages as bytes: a bounded parser of queries (RFC 1035 §4.1) and the numbers of the protocol.

Hostile input is a value, never an exception: a message that cannot be read is `Malformed`. No loop runs
longer than the message; a compression pointer in a question is malformed, since it has nothing to point to.
"""

from __future__ import annotations

from dataclasses import dataclass

HEADER = 12
MAX_RECORDS = 16  # beyond the question; a query has an OPT, perhaps a TSIG

NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = range(6)
YXDOMAIN = 6
BADVERS = 16

A, NS, CNAME, SOA, PTR, HINFO, MX, TXT, AAAA = 1, 2, 5, 6, 12, 13, 15, 16, 28
SRV, DNAME, OPT, DS, SVCB, HTTPS, IXFR, AXFR, ANY = 33, 39, 41, 43, 64, 65, 251, 252, 255
IN, CH, ANY_CLASS = 1, 3, 255

QR = 0x8000
TC = 0x0200
RD = 0x0100


@dataclass(frozen=True, slots=True)
class Query:
    """A readable query. `name` is as asked (case kept); `end` is the offset behind the question.

    `opt` is the (start, end) of the OPT record in the packet, or None.
    """

    name: bytes
    qtype: int
    qclass: int
    end: int
    opt: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Malformed:
    """Why a message cannot be read; `end` is behind the question where that much could be, else 12."""

    why: str
    end: int = HEADER


def name_end(packet: bytes, at: int) -> int:
    """The offset behind an uncompressed name at `at`, or -1 where there is none within 255 octets."""
    start, size = at, len(packet)
    while at < size:
        length = packet[at]
        at += 1 + length
        if length == 0:
            return at if at - start <= 255 else -1
        if length > 63:
            return -1
    return -1


def skip_name(packet: bytes, at: int) -> int:
    """The offset behind a name that may end in a pointer, or -1. The pointer is not followed."""
    start, size = at, len(packet)
    while at < size:
        length = packet[at]
        if length >= 0xC0:
            return at + 2 if at + 2 <= size else -1
        at += 1 + length
        if length == 0:
            return at if at - start <= 255 else -1
        if length > 63:
            return -1
    return -1


def parse(packet: bytes) -> Query | Malformed:
    """Read a query of at least 12 octets. Records other than one additional OPT are skipped."""
    if int.from_bytes(packet[4:6]) != 1:
        return Malformed("question count is not 1")
    end = name_end(packet, HEADER)
    if end < 0 or end + 4 > len(packet):
        return Malformed("unreadable question")
    end += 4
    others = int.from_bytes(packet[6:8]) + int.from_bytes(packet[8:10])
    additional = int.from_bytes(packet[10:12])
    if others + additional > MAX_RECORDS:
        return Malformed("too many records", end)
    opt: tuple[int, int] | None = None
    at = end
    for number in range(others + additional):
        start, owner_end = at, skip_name(packet, at)
        if owner_end < 0 or owner_end + 10 > len(packet):
            return Malformed("unreadable record", end)
        at = owner_end + 10 + int.from_bytes(packet[owner_end + 8 : owner_end + 10])
        if at > len(packet):
            return Malformed("record longer than the message", end)
        if number >= others and packet[owner_end : owner_end + 2] == b"\x00\x29":
            if opt is not None or owner_end != start + 1 or packet[start] != 0:
                return Malformed("more than one OPT, or one with a name", end)
            opt = (start, at)
    qtype = int.from_bytes(packet[end - 4 : end - 2])
    qclass = int.from_bytes(packet[end - 2 : end])
    return Query(packet[HEADER : end - 4], qtype, qclass, end, opt)


def record(owner: bytes, rtype: int, ttl: int, rdata: bytes) -> bytes:
    """One resource record of class IN; `owner` is a wire name or a compression pointer."""
    return b"".join((owner, rtype.to_bytes(2), b"\0\1", ttl.to_bytes(4), len(rdata).to_bytes(2), rdata))
