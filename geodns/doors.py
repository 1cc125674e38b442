"""What the transports hand their packets to: replay with chance, and a clock that is a tick old at most."""

from __future__ import annotations

from random import getrandbits
from time import monotonic_ns
from typing import TYPE_CHECKING

from geodns.core.limit import Limiter
from geodns.core.reception import Arrival
from geodns.serve.door import Door, Messages, StreamDoor

if TYPE_CHECKING:
    from geodns.app import Server


def datagrams(server: Server) -> Door:
    """The door for UDP; what the native lane leaves to it was limited before."""
    limited = server.settings.rate.responses and server.lane.limiter is None
    return _limited(server) if limited else _plain(server)


def streams(server: Server) -> StreamDoor:
    """The door for TCP, with zone transfers where somebody may have them."""
    answer = _plain(server)
    transfers = server.secondaries.transfers

    def door(packet: bytes, client: str, limit: int) -> bytes | Messages | None:
        return transfers.reply(packet, client) or answer(packet, client, limit)

    return door if server.secondaries.peers else answer


def waiting(server: Server) -> Door:
    """The door of both while the first round of checks is awaited."""
    not_ready = server.replay.reception.not_ready

    def door(packet: bytes, client: str, limit: int) -> bytes | None:
        return not_ready(Arrival(packet, client, limit, 0, server.now))

    return door


def silence(packet: bytes, client: str, limit: int) -> None:
    """The door before there is an answer to give."""


def _plain(server: Server) -> Door:
    answer = server.replay.answer

    def door(packet: bytes, client: str, limit: int) -> bytes | None:
        return answer(packet, client, limit, getrandbits(32), server.now)

    return door


def _limited(server: Server) -> Door:
    """A door behind a limiter, which is the lane's from now on."""
    rate, limits = server.settings.rate, server.settings.limits
    server.lane.limiter = limiter = Limiter(
        rate.responses,
        slip=rate.slip,
        exempt=rate.exempt,
        trusted=server.replay.reception.knows,
        dry_run=rate.dry_run,
        blocks=limits.rate_blocks,
        payload=limits.udp_payload,
    )
    over, answer = limiter.over, server.replay.answer

    def door(packet: bytes, client: str, limit: int) -> bytes | None:
        if over(client, monotonic_ns()) and not limiter.spares(packet, client, server.now):
            return limiter.turn_away(packet)
        return answer(packet, client, limit, getrandbits(32), server.now)

    return door
