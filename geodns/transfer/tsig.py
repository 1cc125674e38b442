"""Signed messages (TSIG, RFC 8945): requests verified, replies signed. The arithmetic is dnspython's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

import dns.exception
import dns.name
import dns.rdata
import dns.tsig
import dns.wire
from dns.rdtypes.ANY.TSIG import TSIG
from dns.tsig import Key

from geodns.core import wire
from geodns.core.wire import Query
from geodns.transfer.messages import MAX_MESSAGE, NOTAUTH, reply, with_record

FUDGE = 300  # seconds that the clocks may differ (RFC 8945 §10)
BADSIG, BADKEY, BADTIME = 16, 17, 18  # in the TSIG record; 16 has another name elsewhere


@dataclass(frozen=True, slots=True)
class Unverified:
    """A request that is not what its TSIG record claims: the reply to it, and why, for log and metrics."""

    why: str
    reply: bytes


class Signer:
    """Signs the messages of one reply, one after the other. `key` is what the request was signed with."""

    def __init__(self, key: Key, request: TSIG) -> None:
        self.key = key
        self._request = request
        self._ahead: object = None  # what dnspython carries from one message to the next

    @property
    def size(self) -> int:
        """Octets that a signature adds to a message."""
        return len(_record(self.key.name, self._request))

    def sign(self, message: bytes, now: int) -> bytes:
        """The message with its TSIG record.

        One that has no room for it is left unsigned, as RFC 8945 §5.3.1 lets all but the first and the last.
        """
        if self._ahead is not None and len(message) + self.size > MAX_MESSAGE:
            self._ahead.update(message)  # type: ignore[attr-defined]
            return message
        return self._signed(message, time_signed=now, fudge=FUDGE, other=b"")

    def complain_of_time(self, message: bytes, now: int) -> bytes:
        """A reply to a request from another time, signed so that the client can tell (RFC 8945 §5.2.3)."""
        return self._signed(message, error=BADTIME, other=now.to_bytes(6))

    def _signed(self, message: bytes, **fields: int | bytes) -> bytes:
        rdata = _changed(self._request, original_id=int.from_bytes(message[:2]), **fields)
        made, self._ahead = dns.tsig.sign(  # type: ignore[no-untyped-call]
            message, self.key, rdata, rdata.time_signed, self._request.mac, self._ahead, multi=True
        )
        return with_record(message, _record(self.key.name, made))


class Keyring:
    """The keys that there are; dnspython compares their names as DNS does.

    `payload` is what replies say in their OPT record.
    """

    def __init__(self, keys: Iterable[Key], payload: int) -> None:
        self._keys = {key.name: key for key in keys}
        self._payload = payload

    def verify(self, packet: bytes, query: Query, now: int) -> Signer | Unverified:
        """Who may sign the reply to a query with a TSIG record, or what to reply instead."""
        assert query.tsig is not None
        try:
            owner, rdata = _read(packet, query.tsig)
        except (dns.exception.DNSException, ValueError):
            return Unverified("FORMERR", reply(packet, query, wire.FORMERR, payload=self._payload))
        message = reply(packet, query, NOTAUTH, payload=self._payload)
        key = self._keys.get(owner)
        if key is None:
            return Unverified("BADKEY", _unsigned(message, owner, rdata, BADKEY))
        try:
            dns.tsig.validate(  # type: ignore[no-untyped-call]
                packet, key, owner, rdata, now, b"", query.tsig
            )
        except dns.tsig.BadAlgorithm:
            return Unverified("BADKEY", _unsigned(message, owner, rdata, BADKEY))
        except dns.tsig.BadSignature:
            return Unverified("BADSIG", _unsigned(message, owner, rdata, BADSIG))
        except dns.tsig.BadTime:
            return Unverified("BADTIME", Signer(key, rdata).complain_of_time(message, now))
        return Signer(key, rdata)


def _unsigned(message: bytes, owner: dns.name.Name, rdata: TSIG, error: int) -> bytes:
    return with_record(message, _record(owner, _changed(rdata, mac=b"", error=error, other=b"")))


def _changed(rdata: TSIG, **fields: Any) -> TSIG:
    return cast(TSIG, rdata.replace(**fields))


def _record(owner: dns.name.Name, rdata: TSIG) -> bytes:
    packed = rdata.to_wire()
    assert packed is not None
    head = wire.TSIG.to_bytes(2) + wire.ANY_CLASS.to_bytes(2) + bytes(4)
    return owner.to_wire() + head + len(packed).to_bytes(2) + packed  # type: ignore[operator]


def _read(packet: bytes, start: int) -> tuple[dns.name.Name, TSIG]:
    """Owner and data of a TSIG record. Raises what dnspython raises, and ValueError, where it is none."""
    owner, length = dns.name.from_wire(packet, start)
    parser = dns.wire.Parser(packet, start + length)
    rtype, rclass, ttl, length = parser.get_struct("!HHIH")
    with parser.restrict_to(length):
        rdata = dns.rdata.from_wire_parser(rclass, rtype, parser)
    if not isinstance(rdata, TSIG) or (rclass, ttl) != (wire.ANY_CLASS, 0) or rdata.error:
        raise ValueError("no TSIG record of a request")
    return owner, rdata
