"""Who may transfer which zones, and who is told of changes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address

from dns.tsig import Key


@dataclass(frozen=True, slots=True)
class Peer:
    """One entry of the settings. `key` None: the address alone decides. `zones` None: all of them.

    `notify` is the address and port that is told of changes.
    """

    network: IPv4Network | IPv6Network
    key: Key | None = field(repr=False)
    zones: frozenset[bytes] | None
    notify: tuple[str, int] | None

    def has(self, zone: bytes) -> bool:
        return self.zones is None or zone in self.zones


def refusal(peers: Iterable[Peer], client: str, key: Key | None, zone: bytes) -> str:
    """Why a client that signed with `key` may not have a zone, or an empty string where it may.

    `address`: none of the peers; `key`: not with this one; `zone`: others, but not this one.
    """
    address = ip_address(client.partition("%")[0])
    here = [peer for peer in peers if address in peer.network]
    if not here:
        return "address"
    known = [peer for peer in here if peer.key in (None, key)]
    if not known:
        return "key"
    return "" if any(peer.has(zone) for peer in known) else "zone"
