"""A readable question with an OPT record whose options may be anything.

The input chooses name, type, client and options one by one; each option is told to be right or wrong here,
and the reply has to agree.
"""

from __future__ import annotations

from collections.abc import Callable

import dns.rcode

from tests.core_support import query
from tests.fuzz.judge import parsed
from tests.fuzz.octets import Octets
from tests.fuzz.packet import LIMITS, Asking
from tests.fuzz.table import CLIENTS, lab

SUBNET, COOKIE = 8, 10
OPTIONS = (SUBNET, COOKIE, 3, 9, 11, 12, 15, 65001)
NAMES = (
    "www", "img", "many", "stick", "turns", "two", "six", "off", "broken", "alias",
    "mail", "static", "a.w", "sub", "x.moved", "gone",
)  # fmt: skip
TYPES = (1, 28, 5, 16, 6, 255, 65, 252)


def target() -> Callable[[bytes], None]:
    asking = Asking(lab)

    def one(data: bytes) -> None:
        octets = Octets(data)
        client, limit, luck = octets.one_of(CLIENTS), octets.one_of(LIMITS), octets.number() & 7
        name, rtype, flags = octets.one_of(NAMES), octets.one_of(TYPES), octets.number() & 1
        version, size = octets.number() & 1, octets.number(2)
        options, right = options_of(octets)
        packet = query(f"{name}.z.test", rtype, edns=size, version=version, flags=flags << 8)
        packet = packet[:-2] + len(options).to_bytes(2) + options
        reply = asking.ask(packet, client, limit, luck)
        assert reply is not None, "a readable question gets an answer"
        hold(packet, reply, version, right, subnet_of(options))

    return one


def options_of(octets: Octets) -> tuple[bytes, bool]:
    """Options as octets, and whether they are right: of each kind the first one counts."""
    parts, right = [], True
    seen: set[int] = set()
    while octets and len(parts) < 20:
        code, lie = octets.one_of(OPTIONS), octets.number()
        value = _subnet(octets) if code == SUBNET else octets.take(octets.number() & 63)
        if code == SUBNET and code not in seen:
            right = right and subnet_is_right(value)
        elif code == COOKIE and code not in seen:
            right = right and (len(value) == 8 or 16 <= len(value) <= 40)  # RFC 7873 §4
        seen.add(code)
        size = len(value)
        if lie > 250:  # a length that is too long; behind it nothing can be told apart
            return b"".join((*parts, code.to_bytes(2), (size + lie - 250).to_bytes(2), value)), False
        parts.append(code.to_bytes(2) + size.to_bytes(2) + value)
    return b"".join(parts), right


def _subnet(octets: Octets) -> bytes:
    family, source, scope = octets.number() % 4, octets.number() % 140, octets.number()
    size = (source + 7) // 8 if scope & 1 else octets.number() % 20
    address = int.from_bytes(octets.take(size).ljust(size, b"\0"))
    if scope & 2:  # as most clients do it
        address = address >> (-source % 8) << (-source % 8)
    return family.to_bytes(2) + bytes((source, scope >> 4 if scope & 4 else 0)) + address.to_bytes(size)


def subnet_is_right(value: bytes) -> bool:
    """RFC 7871 §6 and §7.1.2, told in bits."""
    if len(value) < 4:
        return False
    bits = {1: 32, 2: 128}.get(int.from_bytes(value[:2]), -1)
    told = "".join(f"{octet:08b}" for octet in value[4:])
    source = value[2]
    return source <= bits and value[3] == 0 and len(told) == -(-source // 8) * 8 and "1" not in told[source:]


def subnet_of(options: bytes) -> bytes | None:
    """The first Client Subnet of well-formed options."""
    at = 0
    while at + 4 <= len(options):
        size = int.from_bytes(options[at + 2 : at + 4])
        if options[at : at + 2] == SUBNET.to_bytes(2):
            return options[at + 4 : at + 4 + size]
        at += 4 + size
    return None


def hold(packet: bytes, reply: bytes, version: int, right: bool, subnet: bytes | None) -> None:
    """The reply to a readable question with an OPT record, by RFC 6891 and RFC 7871."""
    read = parsed(reply)
    assert read.edns == 0, "EDNS is answered with EDNS"
    rcode = read.rcode()
    if version:
        assert rcode == dns.rcode.BADVERS
        return
    assert (rcode == dns.rcode.FORMERR) == (not right), dns.rcode.to_text(rcode)
    told = [option for option in read.options if option.otype == SUBNET]
    if rcode not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        return
    assert len(told) == (subnet is not None), "Client Subnet is told where it was asked, once"
    if subnet is not None:
        value = told[0].to_wire()
        assert value[:3] + value[4:] == subnet[:3] + subnet[4:], "family, source and address are echoed"
        assert value[3] <= (32 if value[1] == 1 else 128)
        assert subnet[2] or not value[3], "/0 has scope 0"
