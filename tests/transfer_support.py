"""What the tests of transfers share: zones as compiled for them, requests and replies through dnspython."""

from __future__ import annotations

import time
from collections.abc import Iterable
from ipaddress import ip_network
from pathlib import Path

import dns.message
import dns.rrset
from dns.message import Message
from dns.tsig import Key

from geodns.config.load import load
from geodns.core import names
from geodns.core.compile.transfer import Content, content
from geodns.transfer.outgoing import Transfers
from geodns.transfer.peers import Peer
from geodns.transfer.tsig import Keyring

KEY = Key("nsd", b"s" * 32, "hmac-sha256")
OTHER = Key("bind", b"o" * 64, "hmac-sha512")
APEX = names.from_text("z.test.")
ZONE = """
zone: z.test
ttl: 30
nameservers: {ns1: 192.0.2.53}
records:
  static: {A: [192.0.2.1, 192.0.2.2], TXT: hello}
"""


def compiled(folder: Path, text: str = ZONE, serial: int = 7) -> Content:
    """The content of a zone file's transfer."""
    (folder / "zone.yaml").write_text(text)
    model = load(folder)
    made = content(model.zones[0], model, serial)
    assert made is not None
    return made


def bulky(serial: int = 7, count: int = 2000) -> Content:
    """A content of several messages, made without files."""
    soa = b"\1z\4test\0" + b"\0\6\0\1\0\0\0\x1e\0\x16" + b"\0\0" + serial.to_bytes(4) + bytes(16)
    record = b"\4text\1z\4test\0" + b"\0\x10\0\1\0\0\0\x1e\0\x65\x64"
    texts = [record + b"%0100d" % number for number in range(count)]
    chunks = [b"".join(texts[at : at + 100]) for at in range(0, count, 100)]
    return Content(APEX, serial, soa, ((1, soa), *((100, chunk) for chunk in chunks), (1, soa)))


def peer(
    network: str = "192.0.2.0/24",
    key: Key | None = None,
    zones: Iterable[bytes] = (),
    notify: tuple[str, int] | None = None,
) -> Peer:
    return Peer(ip_network(network), key, frozenset(zones) or None, notify)


class Clock:
    """The machine's clock, which dnspython signs by, `ahead` of which ours is; or one that stands."""

    def __init__(self) -> None:
        self.ahead = 0
        self._time = time.time

    def stand(self) -> None:
        self._time = lambda: 1000.0

    def __call__(self) -> int:
        return int(self._time()) + self.ahead


def transfers(*peers: Peer, made: Content, limit: int = 10, clock: Clock | None = None) -> Transfers:
    ring = Keyring([KEY, OTHER], 1232)
    found = Transfers(peers or (peer(),), ring, limit=limit, payload=1232, clock=clock or Clock())
    found.contents = {made.apex: made, names.from_text("none.test."): None}
    return found


def request(
    rtype: str = "AXFR", zone: str = "z.test.", key: Key | None = None, serial: int | None = None, **how: int
) -> Message:
    message = dns.message.make_query(zone, rtype, flags=0, **how)
    if serial is not None:
        soa = dns.rrset.from_text(zone, 0, "IN", "SOA", f". . {serial} 0 0 0 0")
        message.authority.append(soa)
    if key is not None:
        message.use_tsig(key)
    return message
