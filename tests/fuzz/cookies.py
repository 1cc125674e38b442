"""DNS Cookies: any option, any clock, and cookies of our own making that aged, moved or were spoilt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import dns.rcode

from geodns.core.cookies import AHEAD, LIFETIME, SIZES, Cookies
from tests.core_support import query
from tests.fuzz.judge import parsed
from tests.fuzz.octets import Octets
from tests.fuzz.packet import LIMITS, Asking
from tests.fuzz.table import CLIENTS, NOW, TERMS, lab

SECRETS = (bytes(range(16)), bytes(16), bytes([7] * 16))  # the last one is nobody's
MINE = Cookies(SECRETS[:2], require=True)


def target() -> Callable[[bytes], None]:
    asking = Asking(lambda: lab(replace(TERMS, cookies=MINE)))

    def one(data: bytes) -> None:
        octets = Octets(data)
        now, client = octets.number(4), octets.one_of(CLIENTS)
        value, honest = (_made if octets.number() & 1 else _any)(octets, now, client)
        hold(value, client, now, honest)
        limit = octets.one_of(LIMITS)
        packet = query("www.z.test", options=b"\0\x0a" + len(value).to_bytes(2) + value)
        reply = asking.ask(packet, client, limit, 0)
        assert reply is not None
        told(value, client, reply, limit)

    return one


def _any(octets: Octets, now: int, client: str) -> tuple[bytes, bool]:
    return octets.take(octets.number() % 48), False


def _made(octets: Octets, now: int, client: str) -> tuple[bytes, bool]:
    """A cookie that a server once gave, perhaps to another client, under another secret, or spoilt since."""
    secret, owner = octets.one_of(SECRETS), octets.one_of(CLIENTS)
    then, mask, at = now - octets.number(2) + 1000, octets.number(), octets.number()
    given = Cookies((secret,)).examine(octets.take(8).ljust(8, b"\0"), owner, then & 0xFFFFFFFF)
    assert given is not None
    value = bytearray(given.value)
    value[at % 24] ^= mask
    age = now - then
    honest = not mask and owner == client and secret in MINE.secrets and -AHEAD <= age <= LIFETIME
    return bytes(value), honest


def hold(value: bytes, client: str, now: int, honest: bool) -> None:
    """A cookie is good if and only if it is honest; what it is answered with is good at once."""
    found = MINE.examine(value, client, now)
    assert (found is None) == (len(value) not in SIZES)
    if found is None:
        return
    assert found.value[:8] == value[:8]
    assert len(found.value) == 24
    assert (found.state == "good") == honest
    assert (found.state == "new") == (len(value) == 8)
    if found.until:
        assert found.value == value
        assert MINE.examine(value, client, found.until - 1) == found
    again = MINE.examine(found.value, client, now)
    assert again is not None
    assert again.state == "good"


def told(value: bytes, client: str, reply: bytes, limit: int) -> None:
    """What the server says at its own time to a client with this option."""
    read = parsed(reply)
    found = MINE.examine(value, client, NOW)
    if found is None:
        assert read.rcode() == dns.rcode.FORMERR
        return
    ask_again = found.state != "good" and limit != LIMITS[-1]
    assert read.rcode() == (dns.rcode.BADCOOKIE if ask_again else dns.rcode.NOERROR)
    assert [option.to_wire() for option in read.options if option.otype == 10] == [found.value]
