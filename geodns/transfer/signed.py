"""Ordinary queries that are signed: secondaries ask so for the SOA before a transfer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from geodns.core import wire
from geodns.core.fit import FLOOR, room
from geodns.core.reception import Arrival
from geodns.transfer.messages import NOTAUTH, reply, without_last
from geodns.transfer.tsig import Keyring, Unverified

Answer = Callable[[bytes, str, int, int, int], bytes | None]
"""`Replay.answer`."""


class SignedQueries:
    """Verifies a query, has it answered as if it were not signed, and signs the reply.

    `refusals` counts those that could not be verified.
    """

    def __init__(self, keyring: Keyring, payload: int) -> None:
        self.refusals: Counter[str] = Counter()
        self._keyring = keyring
        self._payload = payload

    def reply(self, arrival: Arrival, start: int, answer: Answer) -> bytes | None:
        """The signed reply to a query whose TSIG record begins at `start`; None for silence.

        A reply that the signature makes too long is truncated (RFC 8945 §5.3).
        """
        packet, client, limit, chance, now = arrival
        query = wire.parse(packet)
        if isinstance(query, wire.Malformed):
            return None
        signer = self._keyring.verify(packet, query, now)
        if isinstance(signer, Unverified):
            self.refusals[signer.why] += 1
            if len(signer.reply) <= _room(packet, query, limit):
                return signer.reply
            return reply(packet, query, NOTAUTH, flags=wire.TC, payload=self._payload)
        found = answer(without_last(packet, start), client, limit, chance, now)
        if found is None:
            return None
        if len(found) + signer.size > _room(packet, query, limit):
            rcode, flags = found[3] & 15, wire.TC | (found[2] << 8 & wire.AA)
            found = reply(packet, query, rcode, flags=flags, payload=self._payload)
        return signer.sign(found, now)


def _room(packet: bytes, query: wire.Query, limit: int) -> int:
    """How long the reply may be, in octets."""
    if query.opt is None:
        return room(limit, None)
    return room(limit, max(FLOOR, int.from_bytes(packet[query.opt[0] + 3 : query.opt[0] + 5])))
