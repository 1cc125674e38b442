"""Any octets as a packet, from several clients, over UDP and TCP.

The first octet says who asks, over what and with which luck; the rest is the packet. Two cores are asked:
one that remembers all it was asked before, and one that forgets; and where it was built, a third one, in the
native lane. They must say the same.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable

from geodns.core.fit import STREAM
from geodns.core.reception import Arrival
from geodns.core.replay import Replay
from geodns.native import available
from tests.fuzz.judge import hold_to_time, judge, timed
from tests.fuzz.octets import Octets
from tests.fuzz.table import CLIENTS, NOW, Lab, lab

LIMITS = (1232, 512, 4096, STREAM)


def target() -> Callable[[bytes], None]:
    return Asking(lab).one


def made(make: Callable[[], Lab], lane: type[Replay]) -> Lab:
    """A core of a lane."""
    before, Lab.lane = Lab.lane, lane
    try:
        return make()
    finally:
        Lab.lane = before


class Asking:
    def __init__(self, make: Callable[[], Lab]) -> None:
        self.known, self.forgetful = made(make, Replay), made(make, Replay)
        self.cores = [self.forgetful, self.known]
        if available().usable:
            from geodns.core.native import NativeReplay

            self.cores.append(made(make, NativeReplay))

    def one(self, data: bytes) -> None:
        octets = Octets(data)
        circumstances, packet = octets.number(), data[1:]
        client = CLIENTS[circumstances % len(CLIENTS)]
        self.ask(packet, client, LIMITS[circumstances >> 3 & 3], circumstances >> 5)
        reception = self.known.replay.reception
        judge(packet, reception.not_ready(Arrival(packet, client, STREAM, 0, NOW)), STREAM)
        reception.knows(packet, client, NOW)

    def ask(self, packet: bytes, client: str, limit: int, luck: int) -> bytes | None:
        """The reply that all agree on. `luck` is the chance in eighths; the clock goes by it too."""
        replies = []
        for core in self.cores:
            core.now, core.tally[:] = NOW + 5 * luck, array("Q", [5] * len(core.tally))
            reply, seconds = timed(lambda: core.reply(packet, client, limit, luck << 29))  # noqa: B023
            hold_to_time(seconds, lambda: self._fresh(packet, client, limit, luck), packet)
            replies.append(reply)
        self.forgetful.replay.publish(self.forgetful.sheets.sheets)
        self.forgetful.replay.forget()
        judge(packet, replies[0], limit)
        assert replies[0] == replies[1], f"remembering changes {replies[0]!r} to {replies[1]!r}"
        assert replies[-1] == replies[0], f"the native lane says {replies[-1]!r} for {replies[0]!r}"
        return replies[0]

    def _fresh(self, packet: bytes, client: str, limit: int, luck: int) -> Callable[[], bytes | None]:
        core = lab(self.known.replay.terms)
        core.now = self.known.now
        return lambda: core.reply(packet, client, limit, luck << 29)
