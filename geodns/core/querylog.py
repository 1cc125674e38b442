"""What the query log says of a query and the reply that it got.

Nothing is decided anew: what the reply tells (RCODE, scope, addresses) is read from its octets, and the class
is found by the functions that `explain` uses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple

import dns.rcode
import dns.rdataclass

from geodns.core import edns, wire
from geodns.core.compile.build import Slot
from geodns.core.compile.rdata import type_name
from geodns.core.compile.sheets import Sheets
from geodns.core.names import to_text
from geodns.core.place import Located
from geodns.core.replay import Replay

_ANSWERED = (wire.NOERROR, wire.NXDOMAIN, wire.YXDOMAIN)
_AUTHORITATIVE, _CUT = wire.AA >> 8, wire.TC >> 8

Fields = dict[str, object]


class Table(NamedTuple):
    """What answered: the lane, its sheets, what its counters mean, and where clients are."""

    replay: Replay
    sheets: Sheets
    slots: Sequence[Slot]
    locate: Callable[[IPv4Address | IPv6Address], Located]


class _Told(NamedTuple):
    """A reply as read. `answers` is the rdata of its answers, `subnet` its Client Subnet option's value."""

    rcode: int
    answers: list[bytes]
    subnet: bytes | None


def question(packet: bytes, client: str) -> Fields:
    """Who asks what, as far as it can be read; names in presentation form."""
    found: Fields = {"client": client}
    query = _query(packet)
    if query is None:
        return found
    qtype = type_name(query.qtype)
    if query.qclass != wire.IN:
        qtype = f"{dns.rdataclass.to_text(dns.rdataclass.RdataClass(query.qclass))} {qtype}"
    found |= {"name": to_text(query.name), "type": qtype}
    if packet[2] & 0x78:
        found["opcode"] = packet[2] >> 3 & 15
    read = edns.parse(packet[slice(*query.opt)]) if query.opt else None
    if isinstance(read, edns.Edns) and read.subnet_option is not None:
        found["subnet"] = _subnet_text(read.subnet_option)
    return found


def entry(table: Table, packet: bytes, client: str, reply: bytes | None) -> Fields:
    """A question and its reply (None: silence) as plain values.

    To be asked before anything else changes what the reply was made from.
    """
    found = question(packet, client)
    if reply is None:
        return found | {"silence": _silence(packet)}
    told, query = _read(reply), _query(packet)
    found["rcode"] = dns.rcode.to_text(dns.rcode.Rcode(told.rcode))
    if query is not None and told.rcode in _ANSWERED:
        found |= _data(table, query, client, reply, told)
    if told.subnet is not None:
        found["scope"] = told.subnet[3]
    return found | {"answers": len(told.answers), "tc": bool(reply[2] & _CUT), "octets": len(reply)}


def _query(packet: bytes) -> wire.Query | None:
    """The query in a packet, where it can be read and asks something."""
    query = wire.parse(packet) if len(packet) >= wire.HEADER else None
    return query if isinstance(query, wire.Query) and query.name else None


def _subnet_text(option: bytes) -> str:
    octets = option[4:].ljust(4 if option[1] == 1 else 16, b"\0")
    return f"{ip_address(octets)}/{option[2]}"


def _silence(packet: bytes) -> str:
    """Why there was no reply: the only silences are those of RFC 1035 and of the rate limit."""
    if len(packet) < wire.HEADER:
        return "too short"
    return "a reply" if packet[2] & 0x80 else "rate limit"


def _read(reply: bytes) -> _Told:
    answers: list[bytes] = []
    subnet, rcode, left = None, reply[3] & 15, int.from_bytes(reply[6:8])
    for fixed in _records(reply):
        if left > 0:
            answers.append(fixed[10:])
            left -= 1
        elif fixed[:2] == b"\0\x29":
            rcode |= fixed[4] << 4
            subnet = _option(fixed[10:], edns.CLIENT_SUBNET)
    return _Told(rcode, answers, subnet)


def _records(reply: bytes) -> Iterator[bytes]:
    """The records of a reply without their owners: type, class, TTL, length, rdata."""
    at = wire.HEADER
    for _ in range(int.from_bytes(reply[4:6])):
        at = wire.skip_name(reply, at) + 4
    for _ in range(sum(int.from_bytes(reply[i : i + 2]) for i in (6, 8, 10))):
        at = wire.skip_name(reply, at)
        end = at + 10 + int.from_bytes(reply[at + 8 : at + 10])
        yield reply[at:end]
        at = end


def _option(options: bytes, code: int) -> bytes | None:
    at = 0
    while at < len(options):
        end = at + 4 + int.from_bytes(options[at + 2 : at + 4])
        if int.from_bytes(options[at : at + 2]) == code:
            return options[at + 4 : end]
        at = end
    return None


def _data(table: Table, query: wire.Query, client: str, reply: bytes, told: _Told) -> Fields:
    """Which zone a question fell into, and for a steered name how it was decided."""
    made = table.replay.look_up(query.name.lower(), query.qtype)
    if made is None:
        return {}
    found: Fields = {"zone": table.slots[made.slot].zone}
    if made.sheet < 0 or not reply[2] & _AUTHORITATIVE:  # the word to come by TCP was given unseen
        return found
    sheet, spec = table.sheets.sheets[made.sheet], table.sheets.specs[made.sheet]
    subnet = edns.parse_subnet(told.subnet[:3] + b"\0" + told.subnet[4:]) if told.subnet else None
    if subnet is None or not (subnet.prefix or subnet.shift):
        subnet = edns.source(client)
    number, _ = table.sheets.classify(sheet.plan, table.locate(subnet.ip()), subnet)
    found |= {"pool": spec.pool, "policy": spec.policy, "class": number}
    if told.answers:
        members = table.sheets.odds(made.sheet, number).members
        regions = (m.region for m in members if _rdata(m.value) in told.answers)
        found["region"] = ",".join(dict.fromkeys(regions))
    return found


def _rdata(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else ip_address(value).packed
