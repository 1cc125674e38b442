"""Rdata from presentation format to uncompressed wire form (RFC 1035 §5, RFC 3597 §5).

The types that zones are full of (A, AAAA, the single names, MX, plain TXT) are read here, in microseconds;
everything else is read by dnspython, which knows every type, refuses what does not belong, and tells names
from text, which the rule about final dots needs. Text comes from people: whatever is wrong is a ValueError
with a sentence for them.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from functools import lru_cache
from ipaddress import AddressValueError, IPv6Address, ip_address

import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype

from geodns.core import names

A, NS, CNAME, SOA, PTR, MX, TXT, AAAA, SRV, DNAME, DS = 1, 2, 5, 6, 12, 15, 16, 28, 33, 39, 43

MAX_RDATA = 65535
_MAX_STRING = 255
_SINGLE_NAME = frozenset({NS, CNAME, PTR, DNAME})
_OPT, _FIRST_META, _LAST_META = 41, 128, 255


class AmbiguousNameError(ValueError):
    """A name of several labels without a final dot: the message shows both readings."""


@lru_cache(maxsize=1024)
def type_number(name: str) -> int:
    """`a`, `AAAA` or `TYPE65280` to its number. ValueError for an unknown mnemonic."""
    try:
        return int(dns.rdatatype.from_text(name))
    except (dns.exception.DNSException, ValueError) as error:
        raise ValueError(f"'{name}' is no record type; one without a name is written TYPE65280") from error


@lru_cache(maxsize=1024)
def type_name(number: int) -> str:
    """`AAAA` for 28, `TYPE65280` for a number without a name. ValueError beyond 16 bits."""
    return dns.rdatatype.to_text(dns.rdatatype.RdataType.make(number))


def is_data(number: int) -> bool:
    """Whether records of this type can stand in a zone; OPT, TSIG, AXFR, ANY and their kind cannot."""
    return 0 < number <= 0xFFFF and number != _OPT and not _FIRST_META <= number <= _LAST_META


def pack(rtype: str, text: str, origin: bytes) -> bytes:
    """The rdata that `text` presents, for a zone whose apex is `origin` (wire form).

    A name of a single label is below the origin; one of several labels must end in a dot. TXT that does not
    begin with a quote is plain text, cut into strings of at most 255 octets. `\\# length hex` fits any type.
    Raises ValueError with a message for people.
    """
    number = type_number(rtype)
    if text.startswith("\\#"):
        return _slow(number, text, origin)
    if number == A:
        return _ipv4(text)
    if number == AAAA:
        return _ipv6(text)
    if number in _SINGLE_NAME:
        return name(text, origin)
    if number == TXT and not text.startswith('"'):
        return _plain_text(text)
    if number == MX:
        return _mx(text, origin)
    return _slow(number, text, origin)


def canonical(number: int, rdata: bytes) -> bytes:
    """The rdata by which two values of a type are one (RFC 2181 §5, RFC 4034 §6.2): the names in it folded
    where they compare without regard to case. `rdata` must be what `pack` returns for that type.
    """
    if number in _SINGLE_NAME:
        return rdata.lower()
    if number == MX:
        return rdata[:2] + rdata[2:].lower()
    if number in (A, AAAA, TXT):
        return rdata
    return bytes(_read(number, rdata).to_digestable())


def present(number: int, rdata: bytes, origin: bytes | None = None) -> str:
    """The text of an rdata, names whole; relative to `origin`, as far as `pack` takes them so, where given.

    Where dnspython has no text that reads as the same octets it is `\\# length hex` (RFC 3597 §5).
    """
    if number in (A, AAAA):
        return str(ip_address(rdata))
    if number in _SINGLE_NAME and "\\" not in (shown := _present_name(rdata, origin)):
        return shown
    if origin is not None and number == TXT and (plain := _plain(rdata)) is not None:
        return plain
    found = _read(number, rdata)
    zone = dns.name.from_wire(origin or names.ROOT, 0)[0]
    texts = [found.to_text(zone, True)] if origin is not None else []
    for text in (*texts, found.to_text()):
        with contextlib.suppress(ValueError):
            if pack(type_name(number), text, origin or names.ROOT) == rdata:
                return text
    return rf"\# {len(rdata)} {rdata.hex()}".rstrip()


def _present_name(wire: bytes, origin: bytes | None) -> str:
    if wire == origin:
        return "@"
    text = names.to_text(wire)
    return text.partition(".")[0] if wire != names.ROOT and names.parent(wire) == origin else text


def _read(number: int, rdata: bytes) -> dns.rdata.Rdata:
    return dns.rdata.from_wire(dns.rdataclass.IN, dns.rdatatype.RdataType(number), rdata, 0, len(rdata))


def _plain(rdata: bytes) -> str | None:
    """The plain text that `pack` makes this TXT of, or None where there is none that people could read."""
    parts, at = [], 0
    while at < len(rdata):
        parts.append(rdata[at + 1 : at + 1 + rdata[at]])
        at += 1 + rdata[at]
    try:
        text = b"".join(parts).decode()
    except UnicodeDecodeError:
        return None
    special = text.startswith(('"', "\\#")) or not text.isprintable()
    return None if special or _plain_text(text) != rdata else text


def _ipv4(text: str) -> bytes:
    try:
        packed = bytes(map(int, text.split(".")))
    except ValueError:
        packed = b""
    # Writing it again and comparing is what makes this strict, and it is faster than ipaddress.
    if len(packed) != 4 or ".".join(map(str, packed)) != text:
        raise ValueError(f"'{text}' is no IPv4 address (four numbers from 0 to 255)")
    return packed


def _ipv6(text: str) -> bytes:
    try:
        address = IPv6Address(text)
    except AddressValueError:
        raise ValueError(f"'{text}' is no IPv6 address") from None
    if address.scope_id is not None:
        raise ValueError(f"'{text}' has a zone index, which means nothing to others")
    return address.packed


def name(text: str, origin: bytes) -> bytes:
    """A name inside rdata, case kept: `@`, a single label, or a name with a final dot.

    Raises AmbiguousNameError for several labels without one, BadNameError for what is no name.
    """
    return _name(text, origin)


@lru_cache(maxsize=65536)
def _name(text: str, origin: bytes) -> bytes:
    if text == "@" or text.endswith("."):
        return names.from_text(text, origin)
    wire = names.from_text(text)
    if len(wire) != wire[0] + 2:
        raise _ambiguous(text, origin)
    return names.from_text(text, origin)


def _ambiguous(text: str, origin: bytes) -> AmbiguousNameError:
    zone = names.to_text(origin)
    return AmbiguousNameError(
        f"'{text}' can be read in two ways: write '{text}.' for that very name, "
        f"or '{text}.{zone.lstrip('.')}' for a name below the zone"
    )


def _plain_text(text: str) -> bytes:
    data = text.encode()
    if len(data) <= _MAX_STRING:
        return bytes((len(data),)) + data
    parts = [data[at : at + _MAX_STRING] for at in range(0, len(data), _MAX_STRING)]
    return _bounded(b"".join(bytes((len(part),)) + part for part in parts))


_MX = re.compile(r"(\d{1,5})[ \t]+(\S+)", re.ASCII).fullmatch


def _mx(text: str, origin: bytes) -> bytes:
    match = _MX(text)
    if match is None or int(match[1]) > 0xFFFF:
        raise ValueError(f"'{text}' is no MX data: a preference (0 to 65535) and a name, as in '10 mail'")
    return int(match[1]).to_bytes(2, "big") + _name(match[2], origin)


def _slow(number: int, text: str, origin: bytes) -> bytes:
    if not is_data(number):
        raise ValueError(f"{type_name(number)} is no type for data in a zone")
    if number != TXT and not text.isascii():
        raise ValueError(
            f"'{text}' holds letters beyond ASCII; write names in their xn-- form, octets as \\DDD"
        )
    zone = dns.name.from_wire(origin, 0)[0]
    try:
        rdata = dns.rdata.from_text(dns.rdataclass.IN, dns.rdatatype.RdataType(number), text, None, False)
        for found in _names_in(rdata):
            if not found.is_absolute() and len(found) > 1:
                raise _ambiguous(found.to_text(), origin)
        wire = rdata.to_wire(origin=zone)
    except AmbiguousNameError:
        raise
    except Exception as error:  # dnspython raises its own, ValueError, struct.error, binascii.Error, …
        raise ValueError(f"'{text}' is no {type_name(number)} data: {_reason(error)}") from error
    assert wire is not None
    return _bounded(wire)


def _reason(error: Exception) -> str:
    return (str(error) or type(error).__name__).rstrip(".")


def _bounded(wire: bytes) -> bytes:
    if len(wire) > MAX_RDATA:
        raise ValueError(f"the data is {len(wire)} octets long, the limit is {MAX_RDATA}")
    return wire


def _names_in(rdata: dns.rdata.Rdata) -> Iterator[dns.name.Name]:
    """Every domain name among the fields of an rdata (HIP has a tuple of them)."""
    for kind in type(rdata).__mro__:
        for slot in getattr(kind, "__slots__", ()):
            value = getattr(rdata, slot, None)
            for item in value if isinstance(value, tuple) else (value,):
                if isinstance(item, dns.name.Name):
                    yield item
