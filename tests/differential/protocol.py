"""What a packet of any shape is to be answered with, read slowly off the issue's table and the RFCs.

`expected` is held against every reply of geodns, `gist` is what of a reply is compared: what it says beside
the data. What NSD, Knot and BIND say to the same packets stands in `manners`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from tests.differential import answers, shapes
from tests.differential.oracle import World, labels_of, tell
from tests.differential.shapes import AXFR, BITS, CH, CHAOS, COOKIE, ERROR, IN, IXFR, NSID, OPT, SUBNET, TSIG

NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = range(6)
NOTAUTH, BADVERS, BADCOOKIE = 9, 16, 23
QUERY, NOTIFY, UPDATE = 0, 4, 5
MOST_RECORDS = 16


@dataclass(frozen=True, slots=True)
class Gist:
    """`answer`, `authority`: whether there are records. `options`: the codes in the OPT record.

    In an expectation None is whatever there is.
    """

    rcode: int | None
    opcode: int
    bits: frozenset[str]
    question: bytes = b""
    answer: bool | None = False
    authority: bool | None = False
    opt: tuple[int, int] | None = None
    options: frozenset[int] | None = frozenset()

    def differences(self, other: Gist) -> list[str]:
        """The fields in which a reply is not as expected here."""
        fields = ("rcode", "opcode", "bits", "question", "answer", "authority", "opt", "options")
        return [f for f in fields if getattr(self, f) not in (None, getattr(other, f))]


def gist(reply: bytes) -> Gist:
    """ValueError or IndexError where it is no message."""
    answer = answers.read(reply)
    word = int.from_bytes(reply[2:4])
    return Gist(
        answer.rcode,
        word >> 11 & 15,
        frozenset(name for name, bit in BITS.items() if word & bit),
        answer.question,
        bool(answer.answer),
        bool(answer.authority),
        answer.opt,
        frozenset(answer.options),
    )


class BrokenError(Exception):
    """A message that cannot be read."""


@dataclass(slots=True)
class Message:
    """A query taken apart; `name` is None where there is no question. `options`: the first of each code."""

    question: bytes = b""
    name: bytes | None = None
    qtype: int = 0
    qclass: int = IN
    version: int | None = None
    do: bool = False
    options: dict[int, bytes] | None = None
    tsig: bool = False


def expected(shape: shapes.Shape, world: World) -> Gist | None:
    """None for silence."""
    packet = shape.packet
    if len(packet) < 12 or packet[2] & 0x80:
        return None
    opcode = packet[2] >> 3 & 15
    bare = Gist(NOERROR, opcode, frozenset({"rd"} if packet[2] & 1 else ()))
    if opcode not in (QUERY, NOTIFY, UPDATE):
        return replace(bare, rcode=NOTIMP)
    try:
        message = _read(packet)
    except BrokenError:
        return replace(bare, rcode=REFUSED if opcode == UPDATE else FORMERR)
    bare = replace(bare, question=message.question)
    if message.version is not None:
        bare = replace(bare, opt=(0, 0x8000 if message.do else 0))
        if message.version:
            return replace(bare, rcode=BADVERS)
        options = message.options
        if options is None or not _subnet_fits(options.get(SUBNET)) or not _cookie_fits(options.get(COOKIE)):
            return replace(bare, rcode=FORMERR)
        bare = replace(bare, options=frozenset(options) & {NSID, COOKIE, SUBNET} | _keepalive(shape, options))
    if opcode != QUERY:
        return replace(bare, rcode=REFUSED)
    return _answered(shape, message, bare, world)


def _keepalive(shape: shapes.Shape, options: dict[int, bytes]) -> frozenset[int]:
    return frozenset({shapes.KEEPALIVE} if shape.tcp and shapes.KEEPALIVE in options else ())


def _answered(shape: shapes.Shape, message: Message, bare: Gist, world: World) -> Gist:
    if message.tsig:  # of a key that nobody knows: NOTAUTH (RFC 8945 §5.2.1), FORMERR where it is broken
        return replace(bare, rcode=NOTAUTH if shape.kind == "tsig" else None, options=None)
    if message.name is None:  # RFC 7873 §5.4
        cookie = (message.options or {}).get(COOKIE)
        rcode = FORMERR if cookie is None else BADCOOKIE if len(cookie) > 8 else NOERROR
        return replace(bare, rcode=rcode, options=bare.options)
    if message.qclass == CH:
        known = labels_of(message.name.lower()) in CHAOS and message.qtype in (shapes.TXT, shapes.ANY)
        return replace(bare, answer=True, bits=bare.bits | {"aa"}) if known else replace(bare, rcode=REFUSED)
    if message.qclass not in (IN, shapes.ANY_CLASS) or message.qtype in (AXFR, IXFR):
        return replace(bare, rcode=REFUSED)
    told = tell(world, labels_of(message.name), message.qtype)
    if told.rcode == REFUSED:
        options = None if bare.options is None or bare.opt is None else bare.options | {ERROR}
        return replace(bare, rcode=REFUSED, options=options or frozenset())
    bits = bare.bits | ({"aa"} if told.aa else set())
    return replace(
        bare, rcode=told.rcode, bits=bits, answer=bool(told.answer), authority=bool(told.authority)
    )


def _read(packet: bytes) -> Message:
    counts = [int.from_bytes(packet[at : at + 2]) for at in (4, 6, 8, 10)]
    message, at = Message(), 12
    if counts[0] > 1 or sum(counts[1:]) > MOST_RECORDS:
        raise BrokenError
    if counts[0]:
        at = _name_end(packet, 12, pointer=False)
        message.name = packet[12:at]
        message.qtype, message.qclass = (
            int.from_bytes(packet[at : at + 2]),
            int.from_bytes(packet[at + 2 : at + 4]),
        )
        at += 4
        message.question = packet[12:at]
        if at > len(packet):
            raise BrokenError
    for number, (owner, rtype, start, end) in enumerate(_records(packet, at, sum(counts[1:]))):
        additional = number >= counts[1] + counts[2]
        if rtype == OPT:
            if message.version is not None or not additional or owner != b"\0":
                raise BrokenError
            message.version, message.do = packet[start - 5], bool(packet[start - 4] & 0x80)
            message.options = _options(packet[start:end])
        if rtype == TSIG and additional:
            if number + 1 < sum(counts[1:]):
                raise BrokenError
            message.tsig = True
    if not counts[0] and message.version is None:
        raise BrokenError
    return message


def _records(packet: bytes, at: int, count: int) -> Iterator[tuple[bytes, int, int, int]]:
    """Of each record the owner as it stands there, the type, where its data begin and end."""
    for _ in range(count):
        behind = _name_end(packet, at, pointer=True)
        start = behind + 10
        end = start + int.from_bytes(packet[start - 2 : start])
        if end > len(packet):
            raise BrokenError
        yield packet[at:behind], int.from_bytes(packet[behind : behind + 2]), start, end
        at = end


def _name_end(packet: bytes, at: int, *, pointer: bool) -> int:
    start = at
    while at < len(packet):
        length = packet[at]
        if length >= 0xC0 and pointer and at + 2 <= len(packet):
            if int.from_bytes(packet[at : at + 2]) & 0x3FFF >= start:  # RFC 1035 §4.1.4: a prior occurrence
                break
            return at + 2
        if length > 63:
            break
        at += 1 + length
        if length == 0 and at - start <= 255:
            return at
        if length == 0:
            break
    raise BrokenError


def _options(data: bytes) -> dict[int, bytes] | None:
    found: dict[int, bytes] = {}
    while data:
        code, size = int.from_bytes(data[:2]), int.from_bytes(data[2:4])
        if len(data) < 4 + size:
            return None
        found.setdefault(code, data[4 : 4 + size])
        data = data[4 + size :]
    return found


def _cookie_fits(value: bytes | None) -> bool:
    """RFC 7873 §4: 8 octets of the client, then nothing or 8 to 32 of the server."""
    return value is None or len(value) == 8 or 16 <= len(value) <= 40


def _subnet_fits(value: bytes | None) -> bool:
    """RFC 7871 §6, §7.1.2."""
    if value is None:
        return True
    if len(value) < 4 or value[:2] not in (b"\0\1", b"\0\2"):
        return False
    bits, source, scope = (32 if value[1] == 1 else 128), value[2], value[3]
    address = value[4:]
    if scope or source > bits or len(address) != -(-source // 8):
        return False
    return int.from_bytes(address) & ((1 << len(address) * 8 - source) - 1) == 0
