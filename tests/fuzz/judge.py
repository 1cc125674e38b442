"""What holds of every reply, whatever the packet was; and the 5 ms that none may take."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import lru_cache

import dns.exception
import dns.message

from geodns.core.fit import STREAM

MAX_SECONDS = 0.005
TRIES = 6  # a busy machine is slow at times, a slow packet always is
SLOWED = 4 if "atheris" in sys.modules else 1  # by what is measured of the code


def judge(packet: bytes, reply: bytes | None, limit: int) -> None:
    """AssertionError where `reply` is none that this packet may get over a transport of `limit` octets."""
    if reply is None:
        return
    assert len(packet) >= 12 and not packet[2] & 0x80, "a reply to what is no query"
    assert reply[2] & 0x80, "a reply that is a query"
    assert reply[:2] == packet[:2], "another id"
    assert (reply[2] ^ packet[2]) & 0x79 == 0, "another opcode or RD"
    assert not reply[3] & 0xF0, "RA, Z, AD or CD set"
    assert len(reply) <= (limit if limit == STREAM else max(512, min(limit, asked_room(packet)))), "too long"
    if reply[4:6] == b"\0\1":
        end = question_end(reply)
        assert reply[12:end] == packet[12:end], "another question"
    try:
        parsed(reply[:2] + bytes((reply[2] & 0x87,)) + reply[3:])  # an UPDATE has other rules
    except dns.exception.DNSException as error:
        raise AssertionError(f"unreadable: {error!r}: {reply.hex()}") from error


@lru_cache(maxsize=4096)  # replies are much more alike than packets, and reading them takes longest
def parsed(reply: bytes) -> dns.message.Message:
    return dns.message.from_wire(reply, keyring=False)  # whose signatures are another matter


def question_end(message: bytes) -> int:
    """The octet behind the (readable) first question."""
    at = 12
    while message[at]:
        at += 1 + message[at]
    return at + 5


def asked_room(packet: bytes) -> int:
    """The largest size that any OPT record of the packet could be read to ask for."""
    sizes, at = [512], packet.find(b"\0\0\x29", 12)
    while at >= 0:
        sizes.append(int.from_bytes(packet[at + 3 : at + 5]))
        at = packet.find(b"\0\0\x29", at + 1)
    return max(sizes)


def timed(ask: Callable[[], bytes | None]) -> tuple[bytes | None, float]:
    """What `ask` returns, and the seconds of this thread's work that it took."""
    start = time.thread_time()
    found = ask()
    return found, time.thread_time() - start


def hold_to_time(seconds: float, again: Callable[[], Callable[[], bytes | None]], what: bytes) -> None:
    """AssertionError where a packet that took `seconds` takes too long at every one of some tries more.

    `again` gives, for each try, what asks a core that knows nothing of the packet yet.
    """
    for _ in range(TRIES):
        if seconds < MAX_SECONDS * SLOWED:
            return
        seconds = min(seconds, timed(again())[1])
    assert seconds < MAX_SECONDS * SLOWED, f"{seconds * 1000:.1f} ms for {what.hex()}"
