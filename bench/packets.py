"""Queries as bytes, files of queries for the load generator, and the little of an answer that checks need."""

from __future__ import annotations

import ipaddress
import random
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

from bench import data

A = 1
ECS, COOKIE = 8, 10
NOERROR, NXDOMAIN = 0, 3


def query(
    name: str,
    subnet: str | None = None,
    ident: int = 0,
    case: random.Random | None = None,
    cookie: bytes | None = None,
) -> bytes:
    """An A query without RD; with EDNS(0) and an option where `subnet` (CIDR) or `cookie` is given.

    `case` draws each letter's case (0x20).
    """
    labels = b"".join(bytes([len(label)]) + label for label in name.encode().split(b"."))
    if case is not None:
        bits = case.getrandbits(len(labels))
        labels = bytes(o ^ 0x20 if 97 <= o <= 122 and bits >> i & 1 else o for i, o in enumerate(labels))
    options = [_option(ECS, _subnet(subnet))] if subnet else []
    options += [_option(COOKIE, cookie)] if cookie else []
    head = struct.pack("!6H", ident, 0, 1, 0, 0, 1 if options else 0)
    return head + labels + b"\0\0\x01\0\x01" + (_opt(b"".join(options)) if options else b"")


def _opt(options: bytes) -> bytes:
    return struct.pack("!BHHIH", 0, 41, 1232, 0, len(options)) + options


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("!HH", code, len(value)) + value


def _subnet(subnet: str) -> bytes:
    """RFC 7871, section 6: family, source and scope length, as many octets as the source length takes."""
    text, _, length = subnet.partition("/")
    address = ipaddress.ip_address(text)
    family = 1 if address.version == 4 else 2
    return struct.pack("!HBB", family, int(length), 0) + address.packed[: (int(length) + 7) // 8]


def write(path: Path, queries: Iterable[bytes]) -> int:
    """Write the load generator's file; how many queries it holds."""
    records = [struct.pack("!H", len(q)) + q for q in queries]
    path.write_bytes(b"".join(records))
    return len(records)


def all_names(names: int = data.NAMES) -> Iterator[bytes]:
    """Each name once, in random order."""
    order = list(data.names(names))
    random.Random(3).shuffle(order)
    return (query(f"{name}.{data.ZONE}") for name in order)


def some_names(names: int, count: int) -> Iterator[bytes]:
    """Any of `names` names, drawn."""
    chance = random.Random(9)
    return (query(f"n{chance.randrange(names)}.{data.ZONE}") for _ in range(count))


def random_case(names: int, count: int = 65_536) -> Iterator[bytes]:
    chance = random.Random(4)
    return (query(f"n{chance.randrange(names)}.{data.ZONE}", case=chance) for _ in range(count))


def new_cookies(count: int = 65_536) -> Iterator[bytes]:
    """One name, each time with another client's cookie, which no server knows yet."""
    chance = random.Random(8)
    return (query(f"n0.{data.ZONE}", cookie=chance.randbytes(8)) for _ in range(count))


def missing(count: int) -> Iterator[bytes]:
    """Names that do not exist, no two alike."""
    chance = random.Random(5)
    return (query(f"x{i}-{chance.getrandbits(32):08x}.{data.ZONE}") for i in range(count))


def every_subnet() -> Iterator[bytes]:
    """One name, asked from each IPv4 network once, in random order."""
    order = list(range(data.NETWORKS))
    random.Random(6).shuffle(order)
    return (query(f"n0.{data.ZONE}", data.subnet(i)) for i in order)


def random_subnets(names: int, family: int = 4, count: int = 2 * data.NETWORKS) -> Iterator[bytes]:
    """Any of a family's networks asks for any of `names` names.

    Drawn, not in the order of `every_subnet`: going round in one order is the worst case of a cache of
    bounded size, and no traffic is like that.
    """
    chance = random.Random(7)
    return (
        query(f"n{chance.randrange(names)}.{data.ZONE}", data.subnet(chance.randrange(data.NETWORKS), family))
        for _ in range(count)
    )


def rcode(answer: bytes) -> int:
    return answer[3] & 15


def first_address(answer: bytes) -> str | None:
    """The address of the first answer record, which must be an A record; None where there is none."""
    if struct.unpack_from("!H", answer, 6)[0] == 0:
        return None
    at = _skip_name(answer, 12) + 4
    at = _skip_name(answer, at)
    rtype, _, _, length = struct.unpack_from("!HHIH", answer, at)
    rdata = answer[at + 10 : at + 10 + length]
    return str(ipaddress.IPv4Address(rdata)) if rtype == A and length == 4 else None


def _skip_name(message: bytes, at: int) -> int:
    while message[at]:
        if message[at] >= 0xC0:
            return at + 2
        at += 1 + message[at]
    return at + 1
