"""What a server agrees with its clients beside the zones: who it says it is, cookies, whom it believes."""

from __future__ import annotations

from dataclasses import dataclass

from geodns.core.cookies import Cookies
from geodns.core.membership import Network, membership

_VERSION = (b"\x07version\4bind\0", b"\x07version\6server\0")
_SERVER = (b"\x08hostname\4bind\0", b"\2id\6server\0")


@dataclass(frozen=True, slots=True)
class Terms:
    """`version`, `server` (RFC 4892) and `nsid` (RFC 5001) are told when asked for, None is not.

    `resolvers` are the networks whose Client Subnet is believed, None: everybody's. `idle` is for how many
    tenths of a second a silent TCP connection is kept (RFC 7828), 0 is not told. `transfers`: a zone can be
    had over TCP. `states`: whether answers that fail open or are paused say so.
    """

    version: bytes | None = None
    server: bytes | None = None
    nsid: bytes | None = None
    cookies: Cookies | None = None
    resolvers: tuple[Network, ...] | None = None
    idle: int = 0
    transfers: bool = False
    states: bool = False

    def of_itself(self, name: bytes) -> bytes | None:
        """What is said to a question of class CH for a folded name."""
        return self.version if name in _VERSION else self.server if name in _SERVER else None

    def believes(self, client: str) -> bool:
        """Whether a source may speak for others."""
        return self.resolvers is None or membership(self.resolvers)(client)
