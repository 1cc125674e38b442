"""Zones on their way out: AXFR (RFC 5936), and IXFR (RFC 1995) answered with one SOA or with the whole zone.

Nothing is rendered here: a message is a chunk of the zone's content behind a header, signed where the request
was. A transfer goes on with the content it began with, whatever is loaded meanwhile.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Mapping
from typing import NamedTuple

import structlog

from geodns.core import names, wire
from geodns.core.compile.transfer import Content
from geodns.core.wire import Query
from geodns.transfer.messages import NOTAUTH, NOTHING, reply
from geodns.transfer.peers import Peer, refusal
from geodns.transfer.tsig import Keyring, Signer, Unverified

HALF = 1 << 31  # serials up to this far ahead are newer (RFC 1982)

log = structlog.get_logger("geodns.transfer")

Messages = Generator[bytes, None, None]
Contents = Mapping[bytes, Content | None]
"""What there is to transfer by zone; None for one that nobody may have, or that is too long."""


class Request(NamedTuple):
    """A request for a zone: the packet, what it asks, from where; `signer` where it was signed."""

    packet: bytes
    query: Query
    client: str
    signer: Signer | None = None


class Transfers:
    """Answers requests for zones, at most `limit` at a time.

    `peers` and `keyring` say to whom, `clock` gives Unix seconds. `results` counts transfers by how they
    ended, `refusals` by their reason; `running` are under way.
    """

    def __init__(
        self, peers: tuple[Peer, ...], keyring: Keyring, *, limit: int, payload: int, clock: Callable[[], int]
    ) -> None:
        self.contents: Contents = {}
        self.running = 0
        self.results: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()
        self._peers = peers
        self._keyring = keyring
        self._limit = limit
        self._payload = payload
        self._clock = clock
        self._told = 0

    def reply(self, packet: bytes, client: str) -> bytes | Messages | None:
        """The messages of a transfer, the one that refuses it, or None: the packet asks for something else.

        `close` the messages, whether they were taken or not: they hold one of the places.
        """
        query = asked(packet)
        if query is None:
            return None
        if query.tsig is None:
            return self._open(Request(packet, query, client))
        verified = self._keyring.verify(packet, query, self._clock())
        if isinstance(verified, Unverified):
            self._refuse(verified.why, Request(packet, query, client))
            return verified.reply
        return self._open(Request(packet, query, client, verified))

    def _open(self, request: Request) -> bytes | Messages:
        query, zone = request.query, request.query.name.lower()
        if zone not in self.contents:
            return self._no("not authoritative", NOTAUTH, request)
        key = request.signer.key if request.signer else None
        why = refusal(self._peers, request.client, key, zone)
        if why:
            return self._no(why, wire.REFUSED, request)
        content = self.contents[zone]
        if content is None:
            return self._no("too long", wire.REFUSED, request)
        if query.qtype == wire.IXFR:
            known = held(request.packet, query)
            if known is None:
                return self._no("no serial", wire.FORMERR, request)
            if (known - content.serial) % (1 << 32) < HALF:
                self.results["current"] += 1
                return self._message(request, 0, (1, content.soa))
        if self.running >= self._limit:
            return self._no("limit", wire.REFUSED, request)
        messages = self._messages(content, request)
        next(messages)
        return messages

    def _messages(self, content: Content, request: Request) -> Messages:
        """Nothing first: from then on the place is taken, and given back whenever this is closed."""
        self.running += 1
        outcome, octets = "broken off", 0
        try:
            yield b""
            for number, chunk in enumerate(content.chunks):
                message = self._message(request, 0, chunk, first=not number)
                octets += len(message)
                yield message
            outcome = "complete"
        finally:
            self.running -= 1
            self.results[outcome] += 1
            log.info(
                "transfer",
                zone=names.to_text(content.apex),
                serial=content.serial,
                client=request.client,
                octets=octets,
                end=outcome,
            )

    def _message(
        self, request: Request, rcode: int, records: tuple[int, bytes] = NOTHING, *, first: bool = True
    ) -> bytes:
        """A message of the reply, signed where the request was. One OPT record is enough, in the first."""
        packet, query, _, signer = request
        payload = self._payload if first else 0
        flags = wire.AA if records[0] else 0
        message = reply(packet, query, rcode, records, flags=flags, payload=payload)
        return message if signer is None else signer.sign(message, self._clock())

    def _no(self, why: str, rcode: int, request: Request) -> bytes:
        self._refuse(why, request)
        return self._message(request, rcode)

    def _refuse(self, why: str, request: Request) -> None:
        """Count a refusal, and log it, but no more than one a second."""
        self.refusals[why] += 1
        now = self._clock()
        if now == self._told:
            return
        self._told = now
        key = request.signer.key.name.to_text() if request.signer else None
        zone = names.to_text(request.query.name)
        log.warning("transfer refused", zone=zone, client=request.client, key=key, why=why)


def asked(packet: bytes) -> Query | None:
    """The question of a packet that asks for a transfer in a way that can be answered, else None."""
    if len(packet) < wire.HEADER or packet[2] & 0xF8:
        return None
    end = wire.name_end(packet, wire.HEADER)
    if end < 0 or packet[end : end + 1] != b"\0" or packet[end + 1 : end + 2] not in (b"\xfb", b"\xfc"):
        return None
    query = wire.parse(packet)
    if isinstance(query, wire.Malformed) or not query.name or query.qclass != wire.IN:
        return None
    version = packet[query.opt[0] + 6] if query.opt else 0
    return None if version else query


def held(packet: bytes, query: Query) -> int | None:
    """The serial that an IXFR's asker has: that of the SOA which opens its authority section."""
    if packet[6:10] != b"\0\0\0\1":
        return None
    owner_end = wire.skip_name(packet, query.end)
    if packet[owner_end : owner_end + 2] != wire.SOA.to_bytes(2):
        return None
    end = owner_end + 10 + int.from_bytes(packet[owner_end + 8 : owner_end + 10])
    return int.from_bytes(packet[end - 20 : end - 16]) if end - owner_end >= 10 + 22 else None
