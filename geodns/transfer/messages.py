"""Replies put together from bytes, for what replay does not answer."""

from __future__ import annotations

from geodns.core import edns, wire
from geodns.core.wire import Query

MAX_MESSAGE = 65_535
NOTAUTH = 9
NOTHING = (0, b"")


def reply(
    packet: bytes,
    query: Query,
    rcode: int,
    records: tuple[int, bytes] = NOTHING,
    *,
    flags: int = 0,
    payload: int = 0,
) -> bytes:
    """A reply to a query: id, opcode, RD and question copied, `records` (how many, packed) as the answer.

    With an OPT record where the query has one (RFC 6891 §6.1.1), which says `payload`; 0 leaves it out.
    """
    count, body = records
    opt = b""
    if payload and query.opt is not None:
        opt = edns.reply_opt(payload, edns.asks_do(packet, query.opt), 0, b"")
    flags |= wire.QR | (packet[2] & 0x79) << 8 | rcode
    counts = (int(query.end > wire.HEADER), count, 0, int(opt != b""))
    head = b"".join(number.to_bytes(2) for number in (flags, *counts))
    return b"".join((packet[:2], head, packet[wire.HEADER : query.end], body, opt))


def with_record(message: bytes, record: bytes) -> bytes:
    """A message with one more additional record."""
    return b"".join((message[:10], (int.from_bytes(message[10:12]) + 1).to_bytes(2), message[12:], record))


def without_last(packet: bytes, start: int) -> bytes:
    """A packet without its last record, additional, which begins at `start`."""
    return packet[:10] + (int.from_bytes(packet[10:12]) - 1).to_bytes(2) + packet[12:start]
