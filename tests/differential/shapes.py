"""Packets of every shape about one apex: what header, question and OPT record can look like, or should not.

Ids are put in when they are sent. `every` is the same for every run but for the draws it makes; `mutated`
is any of them with octets changed, cut, or added.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from tests.differential.zones import OUTSIDE, Name, wire

A, SOA, TXT, OPT, TKEY, TSIG, IXFR, AXFR, ANY = 1, 6, 16, 41, 249, 250, 251, 252, 255
IN, CH, HS, NONE, ANY_CLASS = 1, 3, 4, 254, 255
NSID, SUBNET, COOKIE, KEEPALIVE, PADDING, ERROR = 3, 8, 10, 11, 12, 15
BITS = {"aa": 0x0400, "tc": 0x0200, "rd": 0x0100, "ra": 0x0080, "z": 0x0040, "ad": 0x0020, "cd": 0x0010}
CHAOS = ((b"version", b"bind"), (b"version", b"server"), (b"hostname", b"bind"), (b"id", b"server"))
EVERY_BIT = sum(BITS.values())


@dataclass(frozen=True, slots=True)
class Shape:
    """`packet` has id 0."""

    kind: str
    packet: bytes
    tcp: bool = False

    def __str__(self) -> str:
        return f"{self.kind}{' (TCP)' if self.tcp else ''}: {self.packet.hex()}"


def packet(name: bytes, qtype: int = SOA, qclass: int = IN, *, flags: int = 0, extra: bytes = b"") -> bytes:
    """A query, with an OPT record and the like in `extra`."""
    question = name + qtype.to_bytes(2) + qclass.to_bytes(2)
    return header(flags, 1, additional=int(bool(extra))) + question + extra


def header(flags: int, questions: int, answers: int = 0, authority: int = 0, additional: int = 0) -> bytes:
    counts = (questions, answers, authority, additional)
    return b"\0\0" + flags.to_bytes(2) + b"".join(count.to_bytes(2) for count in counts)


def opt(
    *options: tuple[int, bytes], payload: int = 1232, version: int = 0, flags: int = 0, raw: bytes = b""
) -> bytes:
    data = raw + b"".join(code.to_bytes(2) + len(value).to_bytes(2) + value for code, value in options)
    head = b"\0\0\x29" + payload.to_bytes(2) + bytes((0, version)) + flags.to_bytes(2)
    return head + len(data).to_bytes(2) + data


def record(rtype: int, data: bytes, owner: bytes = b"\xc0\x0c") -> bytes:
    return owner + rtype.to_bytes(2) + b"\0\1\0\0\0\0" + len(data).to_bytes(2) + data


def every(apex: Name, chance: Random) -> Iterator[Shape]:
    name = wire(apex)
    for kind, made in _packets(name, chance):
        yield Shape(kind, made, chance.random() < 0.15)


def _packets(name: bytes, chance: Random) -> Iterator[tuple[str, bytes]]:
    yield from _headers(name, chance)
    yield from _questions(name, chance)
    yield from _counts(name)
    yield from _lengths(name)
    yield from _edns(name, chance)
    yield from _options(name, chance)
    yield from _subnets(name)


def _headers(name: bytes, chance: Random) -> Iterator[tuple[str, bytes]]:
    yield "tsig", packet(name, extra=_tsig())
    for number in range(128):
        bits = sum(bit for i, bit in enumerate(BITS.values()) if number >> i & 1)
        yield "bits", packet(name, flags=bits, extra=chance.choice((b"", opt())))
    for rcode in range(16):
        yield "rcode", packet(name, flags=rcode)
    for opcode in range(16):
        for qtype in (SOA, A):
            yield "opcode", packet(name, qtype, flags=opcode << 11 | chance.choice((0, BITS["rd"])))
        yield "opcode", packet(name, flags=opcode << 11, extra=opt())
        yield "opcode, no question", header(opcode << 11, 0)
        yield "response", packet(name, flags=0x8000 | opcode << 11 | chance.choice((0, EVERY_BIT)))


def _tsig() -> bytes:
    """A record of a key that nobody knows."""
    algorithm = wire((b"hmac-sha256",))
    data = algorithm + bytes(6) + b"\1\x2c\0\x20" + bytes(32) + bytes(6)
    return record(TSIG, data, wire((b"nobody",))).replace(b"\0\1\0\0\0\0", b"\0\xff\0\0\0\0", 1)


def _questions(name: bytes, chance: Random) -> Iterator[tuple[str, bytes]]:
    other = wire(OUTSIDE[0])
    for qclass in (IN, 2, CH, HS, NONE, ANY_CLASS, 0, chance.randrange(256, 65536)):
        for asked in (name, other):
            for qtype in (SOA, TXT, ANY):
                yield (
                    f"class {_class(qclass)}",
                    packet(asked, qtype, qclass, extra=chance.choice((b"", opt()))),
                )
    for chaos in CHAOS:
        for qtype in (TXT, ANY, A):
            yield "class CH", packet(wire(chaos), qtype, CH)
    for qtype in (0, OPT, *range(128, 256)):
        yield f"type {_type(qtype)}", packet(name, qtype, extra=chance.choice((b"", opt())))
    for asked in (name, other, b"\1x" + name):
        yield (
            "transfer",
            packet(asked, AXFR, chance.choice((IN, ANY_CLASS)), extra=chance.choice((b"", opt()))),
        )
        yield "transfer", packet(asked, IXFR)
        soa = record(SOA, name + name + bytes(20))
        question = asked + IXFR.to_bytes(2) + IN.to_bytes(2)
        yield "transfer", header(0, 1, authority=1) + question + soa


def _class(number: int) -> str:
    return {IN: "IN", CH: "CH", HS: "HS", NONE: "NONE", ANY_CLASS: "ANY"}.get(number, "unknown")


def _type(number: int) -> str:
    known = {0: "0", OPT: "OPT", TKEY: "TKEY", TSIG: "TSIG", IXFR: "IXFR", AXFR: "AXFR", 253: "MAILB"}
    return known.get(number, {254: "MAILA", ANY: "ANY"}.get(number, "meta"))


def _counts(name: bytes) -> Iterator[tuple[str, bytes]]:
    question = name + SOA.to_bytes(2) + IN.to_bytes(2)
    yield "no question", header(0, 0)
    yield "no question", header(0, 0, additional=1) + opt()
    yield "no question, a cookie", header(0, 0, additional=1) + opt((COOKIE, bytes(8)))
    yield "two questions", header(0, 2) + question * 2
    yield "two questions", header(0, 2) + question
    yield "two questions", header(0, 65535) + question
    yield "question not counted", header(0, 0) + question
    for section in range(3):
        counts = [0, 0, 0]
        for count in (1, 2, 17, 65535):
            counts[section] = count
            yield "records missing", header(0, 1, *counts) + question
        for rtype in (A, SOA, 65280):
            counts[section] = 1
            yield (
                f"records in section {section + 1}",
                header(0, 1, *counts) + question + record(rtype, bytes(4)),
            )
            counts[section] = 16
            yield (
                f"records in section {section + 1}",
                header(0, 1, *counts) + question + record(rtype, bytes(4)) * 16,
            )


def _lengths(name: bytes) -> Iterator[tuple[str, bytes]]:
    whole = packet(name, extra=opt((PADDING, bytes(4))))
    for size in range(len(whole)):
        yield "short" if size < 12 else "cut off", whole[:size]
    for size in (1, 2, 12, 400):
        yield "trailing octets", packet(name) + bytes(size)
        yield "trailing octets", whole + b"\xff" * size
    long = (b"\x3f" + b"n" * 63) * 3
    for asked, kind in (
        (long + b"\x3d" + b"n" * 61 + b"\0", "255 octets"),
        (long + b"\x3e" + b"n" * 62 + b"\0", "256 octets"),
        (b"\1n" * 127 + b"\0", "255 octets"),
        (b"\1n" * 128 + b"\0", "257 octets"),
        (b"\x40" + b"n" * 64 + name, "label type 01"),
        (b"\x41\x08" + bytes(1) + name, "label type 01"),
        (b"\x80" + name, "label type 10"),
        (b"\xc0\x0c", "pointer to itself"),
        (b"\xc0\x0e" + name, "pointer forward"),
        (b"\xc0\x04", "pointer into the header"),
        (b"\xc0\x00", "pointer into the header"),
        (b"\1a\xc0\x0c", "pointer to itself"),
        (b"\xff\xff", "pointer beyond the end"),
        (b"\0", "root"),
        (b"\1.\0", "odd label"),
    ):
        yield kind, packet(asked)


def _edns(name: bytes, chance: Random) -> Iterator[tuple[str, bytes]]:
    for version in (1, 2, 100, 255):
        yield "edns version", packet(name, extra=opt(version=version, flags=chance.choice((0, 0x8000))))
        yield "edns version", packet(name, extra=opt((SUBNET, b"\0\1\x18"), version=version))
    for bit in range(16):
        yield "edns flags", packet(name, extra=opt(flags=1 << bit))
    yield "edns flags", packet(name, extra=opt(flags=0xFFFF))
    for payload in (0, 1, 511, 512, 513, 1231, 1232, 1233, 4096, 65535):
        yield "payload", packet(name, extra=opt(payload=payload))
    extended = bytearray(opt())
    extended[5] = 0xFF
    yield "upper rcode set", packet(name, extra=bytes(extended))
    question = packet(name)[12:]
    yield "two OPT", header(0, 1, additional=2) + question + opt() + opt()
    yield "two OPT", header(0, 1, additional=2) + question + opt() + opt(version=1)
    yield "OPT with a name", packet(name, extra=b"\xc0\x0c" + opt()[1:])
    yield "OPT with a name", packet(name, extra=b"\1a" + opt())
    yield "OPT elsewhere", header(0, 1, answers=1) + question + opt()
    yield "OPT elsewhere", header(0, 1, authority=1) + question + opt()
    yield "behind OPT", header(0, 1, additional=2) + question + opt() + record(A, bytes(4))
    yield "before OPT", header(0, 1, additional=2) + question + record(A, bytes(4)) + opt()
    yield "OPT data broken", packet(name, extra=opt(raw=b"\0"))
    yield "OPT data broken", packet(name, extra=opt(raw=b"\0\x0c\0"))
    yield "OPT data broken", packet(name, extra=opt(raw=b"\0\x0c\0\x05\0\0"))
    yield "OPT data broken", packet(name, extra=opt(raw=b"\xff\xff\xff\xff"))


def _options(name: bytes, chance: Random) -> Iterator[tuple[str, bytes]]:
    for code in (0, 1, 4, 5, 6, 7, 13, 16, 20292, 26946, 65001, 65535, chance.randrange(100, 65000)):
        yield "other option", packet(name, extra=opt((code, chance.randbytes(chance.choice((0, 1, 16))))))
    yield "many options", packet(name, extra=opt(*((65001, bytes(4)) for _ in range(20))))
    yield "nsid", packet(name, extra=opt((NSID, b"")))
    yield "nsid", packet(name, extra=opt((NSID, b"abc")))
    yield "keepalive", packet(name, extra=opt((KEEPALIVE, b"")))
    yield "keepalive", packet(name, extra=opt((KEEPALIVE, b"\0\x10")))
    yield "padding", packet(name, extra=opt((PADDING, bytes(chance.randrange(300)))))
    yield "extended error", packet(name, extra=opt((ERROR, b"\0\0")))
    for size in range(42):
        right = size == 8 or 16 <= size <= 40
        yield (
            "cookie" if right else "cookie length",
            packet(name, extra=opt((COOKIE, chance.randbytes(size)))),
        )


def _subnets(name: bytes) -> Iterator[tuple[str, bytes]]:
    for kind, value in (
        ("subnet", b"\0\1\x18\0\xc0\0\2"),
        ("subnet", b"\0\1\0\0"),
        ("subnet", b"\0\1\x20\0\xc0\0\2\1"),
        ("subnet", b"\0\1\x11\0\xc0\0\x80"),
        ("subnet", b"\0\2\x38\0\x20\1\x0d\xb8\0\0\0"),
        ("subnet", b"\0\2\0\0"),
        ("subnet too short", b""),
        ("subnet too short", b"\0\1\x18"),
        ("subnet family", b"\0\0\0\0"),
        ("subnet family", b"\0\3\x18\0\xc0\0\2"),
        ("subnet family", b"\xff\xff\x18\0\xc0\0\2"),
        ("subnet scope set", b"\0\1\x18\x18\xc0\0\2"),
        ("subnet too long", b"\0\1\x21\0\xc0\0\2\1\0"),
        ("subnet too long", b"\0\2\x81\0" + bytes(17)),
        ("subnet octets", b"\0\1\x18\0\xc0\0"),
        ("subnet octets", b"\0\1\x18\0\xc0\0\2\0"),
        ("subnet octets", b"\0\1\0\0\0"),
        ("subnet bits beyond", b"\0\1\x17\0\xc0\0\3"),
        ("subnet bits beyond", b"\0\1\x01\0\xc0"),
    ):
        yield kind, packet(name, extra=opt((SUBNET, value)))
    yield (
        "two subnets",
        packet(name, extra=opt((SUBNET, b"\0\1\x18\0\xc0\0\2"), (SUBNET, b"\0\1\x10\0\xc0\0"))),
    )


def mutated(shape: Shape, chance: Random) -> Shape:
    """The shape with something done to it; never made a response, which nobody answers."""
    made = bytearray(shape.packet)
    for _ in range(chance.choice((1, 1, 2, 5))):
        at = chance.randrange(2, len(made)) if len(made) > 2 else 0
        match chance.randrange(4):
            case 0:
                made[at : at + 1] = chance.randbytes(1)
            case 1:
                made[at : at + 1] = bytes((made[at] ^ 1 << chance.randrange(8),)) if made else b""
            case 2:
                made[at:at] = chance.randbytes(chance.choice((1, 2, 11)))
            case _:
                del made[at : at + chance.choice((1, 2, 11))]
    return Shape("mutated", bytes(made), shape.tcp)
