"""EDNS(0) (RFC 6891) and Client Subnet (RFC 7871): an OPT record in, what to answer with out.

The other options are read here too, and made: NSID (RFC 5001), cookies (RFC 7873; `core.cookies` knows what
is in them), keepalive (RFC 7828), extended errors (RFC 8914).
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from geodns.core.wire import Malformed

NSID, CLIENT_SUBNET, COOKIE, KEEPALIVE, EXTENDED_ERROR = 3, 8, 10, 11, 15
NOT_READY, NOT_AUTHORITATIVE, OTHER = 14, 20, 0  # extended errors
DO = 0x8000
FLOOR = 512
MAX_OPTIONS = 64  # of an OPT record are looked at; some twenty are defined

_MAPPED = 0xFFFF
_NAT64 = 0x0064FF9B << 64  # 64:ff9b::/96 without its last 32 bits
_6TO4 = 0x2002
_TEREDO = 0x20010000


@dataclass(frozen=True, slots=True)
class Subnet:
    """Whom to answer for: `family` 4 or 6, `address` as an integer with `prefix` significant bits.

    `shift` is how many bits the client wrote before it (an IPv4 embedded in IPv6): scopes move along.
    `bits` is how long a prefix may get in this family.
    """

    family: int
    address: int
    prefix: int
    shift: int = 0

    @property
    def bits(self) -> int:
        return 32 if self.family == 4 else 128

    def ip(self) -> IPv4Address | IPv6Address:
        """The first address of the subnet."""
        return IPv4Address(self.address) if self.family == 4 else IPv6Address(self.address)


@dataclass(frozen=True, slots=True)
class Edns:
    """A readable OPT record. `subnet_option`, `cookie`: the option's value as sent, None where there is none.

    `subnet` is None too where the option said /0: the resolver wants no client's place told. `nsid` and
    `keepalive`: whether those were asked for.
    """

    payload: int
    version: int
    do: bool
    subnet: Subnet | None = None
    subnet_option: bytes | None = None
    cookie: bytes | None = None
    nsid: bool = False
    keepalive: bool = False


def asks_do(packet: bytes, opt: tuple[int, int] | None) -> bool:
    """Whether the OPT record of a packet, readable or not, has the flag that replies echo (RFC 3225 §3)."""
    return opt is not None and bool(packet[opt[0] + 7] & DO >> 8)


def parse(opt: bytes) -> Edns | Malformed:
    """Read an OPT record (owner, type and all). Of another version than 0 only the version matters."""
    payload = max(FLOOR, int.from_bytes(opt[3:5]))
    version, do = opt[6], bool(int.from_bytes(opt[7:9]) & DO)
    if version:
        return Edns(payload, version, do)
    first: dict[int, bytes] = {}
    at, end, left = 11, len(opt), MAX_OPTIONS
    while at < end and left:
        code, size = int.from_bytes(opt[at : at + 2]), int.from_bytes(opt[at + 2 : at + 4])
        start, at = at + 4, at + 4 + size
        left -= 1
        if at > end:
            return Malformed("option")
        first.setdefault(code, opt[start:at])
    option = first.get(CLIENT_SUBNET)
    subnet = None
    if option is not None:
        subnet = parse_subnet(option)
        if subnet is None:
            return Malformed("client subnet")
        if not (subnet.prefix or subnet.shift):
            subnet = None
    return Edns(payload, 0, do, subnet, option, first.get(COOKIE), NSID in first, KEEPALIVE in first)


def parse_subnet(value: bytes) -> Subnet | None:
    """A query's Client Subnet option (RFC 7871 §6, §7.1.2), or None where it is malformed.

    Malformed: an unknown family, a prefix longer than the address, a scope, another number of octets than
    the prefix needs, bits set beyond the prefix.
    """
    if len(value) < 4:
        return None
    family, source, scope = int.from_bytes(value[:2]), value[2], value[3]
    if family not in (1, 2) or scope:
        return None
    bits = 32 if family == 1 else 128
    octets = value[4:]
    if source > bits or len(octets) != (source + 7) // 8:
        return None
    address = int.from_bytes(octets) << (bits - 8 * len(octets))
    if address & ((1 << (bits - source)) - 1):
        return None
    return unwrap(Subnet(4 if family == 1 else 6, address, source))


def unwrap(subnet: Subnet) -> Subnet:
    """An IPv4 that an IPv6 prefix covers (mapped, 6to4, 64:ff9b::/96, Teredo) as that IPv4."""
    if subnet.family == 4:
        return subnet
    address, prefix = subnet.address, subnet.prefix
    if prefix >= 96 and (address >> 32 == _MAPPED or address >> 32 == _NAT64):
        return Subnet(4, address & 0xFFFFFFFF, prefix - 96, 96)
    if prefix >= 16 and address >> 112 == _6TO4:
        return Subnet(4, address >> 80 & 0xFFFFFFFF, min(32, prefix - 16), 16)
    if prefix == 128 and address >> 96 == _TEREDO:
        return Subnet(4, ~address & 0xFFFFFFFF, 32, 96)
    return subnet


# Where `unwrap` finds IPv4 addresses: prefix and length.
_EMBEDDED = ((_MAPPED << 32, 96), (_NAT64 << 32, 96), (_6TO4 << 112, 16), (_TEREDO << 96, 32))


def plain(subnet: Subnet) -> int:
    """The length of the largest block around a subnet in which no other address is taken for an IPv4 one.

    What holds for an IPv6 client holds no further: those others are answered as the IPv4 clients they are.
    """
    if subnet.family == 4:
        return 0
    longest = 0
    for prefix, length in _EMBEDDED:
        common = 128 - (subnet.address ^ prefix).bit_length()
        longest = max(longest, 128 if common >= length else common + 1)
    return longest


# Where IPv6 addresses stand for IPv4 ones: those, and ::/96 (RFC 4291 §2.5.5.1).
_STANDING = (*_EMBEDDED, (0, 96))


def stands_for_ipv4(address: int) -> tuple[bool, int]:
    """Whether an IPv6 address stands for an IPv4 one, and the length of the block around it that is alike.

    Such as `unwrap` left alone tell too little of the IPv4 address.
    """
    apart = 0
    for prefix, length in _STANDING:
        common = 128 - (address ^ prefix).bit_length()
        if common >= length:
            return True, length
        apart = max(apart, common + 1)
    return False, apart


def sticky_scope(subnet: Subnet) -> int:
    """The shortest scope of an answer that the client's network (its /24 or /56) took part in."""
    return 24 if subnet.family == 4 else max(56, plain(subnet))


def source(client: str) -> Subnet:
    """The subnet of a packet's source address as the socket gives it (a link's scope id is dropped)."""
    address = ip_address(client.partition("%")[0])
    bits = 32 if address.version == 4 else 128
    return unwrap(Subnet(address.version, int(address), bits))


def reply_opt(payload: int, do: bool, rcode: int, options: bytes) -> bytes:
    """The OPT record of a reply: our payload size, version 0, DO as asked, the upper bits of the RCODE."""
    flags = DO if do else 0
    head = b"\0\0\x29" + payload.to_bytes(2) + bytes([rcode >> 4, 0]) + flags.to_bytes(2)
    return head + len(options).to_bytes(2) + options


def option(code: int, value: bytes) -> bytes:
    """One option of an OPT record."""
    return code.to_bytes(2) + len(value).to_bytes(2) + value


def reply_subnet(asked: bytes, scope: int) -> bytes:
    """The Client Subnet option of a reply: family, source and address echoed, with the scope."""
    return option(CLIENT_SUBNET, asked[:3] + bytes([scope]) + asked[4:])


def extended(opt: bytes, code: int, text: bytes = b"") -> bytes:
    """An OPT record with an extended error (RFC 8914) behind its options."""
    options = opt[11:] + option(EXTENDED_ERROR, code.to_bytes(2) + text)
    return opt[:9] + len(options).to_bytes(2) + options
