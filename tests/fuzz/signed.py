"""Signed queries and requests for whole zones: what TSIG, AXFR and IXFR make of any octets.

The first octet says who asks and over what, the second what is done to the rest, a packet: nothing, or it is
signed, perhaps at another time, or spoilt afterwards.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Callable
from dataclasses import replace

import dns.exception
import dns.message
import dns.tsig
import structlog
from dns.rdtypes.ANY.TSIG import TSIG
from dns.tsig import Key

from geodns.core.compile.transfer import content
from geodns.core.fit import STREAM
from geodns.core.reception import Arrival
from geodns.transfer.messages import NOTAUTH
from geodns.transfer.outgoing import Transfers
from geodns.transfer.peers import Peer
from geodns.transfer.signed import SignedQueries
from geodns.transfer.tsig import Keyring
from tests.core_support import Lab
from tests.fuzz.judge import judge
from tests.fuzz.octets import Octets
from tests.fuzz.packet import LIMITS, Asking
from tests.fuzz.table import CLIENTS, NOW, TERMS, lab, model
from tests.transfer_support import KEY, OTHER, peer

NOBODYS = Key("nobody", b"n" * 32, "hmac-sha256")
KEYS = (KEY, OTHER, NOBODYS, KEY)
PAYLOAD = 1232
PEERS: tuple[Peer, ...] = (
    peer("10.1.0.0/16"),
    peer("10.2.0.0/16", KEY),
    peer("2001:db8::/32", OTHER, [b"\1z\4test\0"]),
)


def target() -> Callable[[bytes], None]:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    ring = Keyring((KEY, OTHER), PAYLOAD)
    transfers = Transfers(PEERS, ring, limit=2, payload=PAYLOAD, clock=lambda: NOW)
    transfers.contents = {zone.apex: content(zone, model(), 7) for zone in model().zones}
    asking = Asking(lambda: answering(ring))

    def one(data: bytes) -> None:
        octets = Octets(data)
        circumstances, treatment = octets.number(), octets.number()
        client, limit = CLIENTS[circumstances % len(CLIENTS)], LIMITS[circumstances >> 3 & 3]
        packet, honest = treated(data[2:], treatment)
        reply = asking.ask(packet, client, limit, 0)
        if honest and reply is not None and packet[2] >> 3 & 15 == 0:
            assert reply[3] & 15 != NOTAUTH, "an honest signature is not believed"
        transferred(transfers, packet, client)

    return one


def answering(ring: Keyring) -> Lab:
    made = lab(replace(TERMS, cookies=None))
    queries = SignedQueries(ring, PAYLOAD)

    def signed(arrival: Arrival, start: int) -> bytes | None:
        return queries.reply(arrival, start, made.replay.answer)

    made.replay.sign(signed)
    return made


def treated(packet: bytes, how: int) -> tuple[bytes, bool]:
    """The packet, signed where bit 7 of `how` is set, and whether whoever gets it has to believe that.

    The lowest bits say with which key, bits 4 and 5 how long ago, bit 6 cuts the record short.
    """
    if not how & 0x80 or not 12 <= len(packet) < 60_000:
        return packet, False
    key, late = KEYS[how & 3], (0, 299, 301, 100_000)[how >> 4 & 3]
    unsigned = TSIG(255, 250, key.algorithm, NOW - late, 300, b"", int.from_bytes(packet[:2]), 0, b"")
    rdata, _ = dns.tsig.sign(packet, key, unsigned, NOW - late)
    data = rdata.to_wire()
    assert data is not None
    if how & 0x40:
        data = data[: -1 - (how >> 2 & 3)]
    record = key.name.to_wire() + struct.pack("!HHIH", 250, 255, 0, len(data)) + data
    count = int.from_bytes(packet[10:12]) + 1 & 0xFFFF
    honest = not how & 0x40 and late < 300 and key is not NOBODYS and is_whole(packet)
    return packet[:10] + count.to_bytes(2) + packet[12:] + record, honest


def is_whole(packet: bytes) -> bool:
    """Whether a packet can be read to its last octet, and is not signed yet."""
    try:
        return not dns.message.from_wire(packet, keyring=False).had_tsig
    except (dns.exception.DNSException, ValueError):
        return False


def transferred(transfers: Transfers, packet: bytes, client: str) -> None:
    """A request over TCP: a message, or a stream of them that gives its place back."""
    found = transfers.reply(packet, client)
    if found is None or isinstance(found, bytes):
        judge(packet, found, STREAM)
        return
    assert transfers.running == 1
    messages = list(found)
    assert messages
    for message in messages:
        assert message[:2] == packet[:2]
        assert message[2] & 0x80
        assert len(message) <= STREAM
    assert transfers.running == 0
