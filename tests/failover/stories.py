"""What befalls one name: its backend fails and returns; what is answered meanwhile, at a fine grain."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import dns.message

from tests.failover.backends import Backend

FINE, COARSE = 0.02, 0.1  # seconds between questions to geodns, and to the resolver
PATIENCE = 60.0  # seconds for a change to be seen
SPREAD = 3.0  # seconds within which the moment of a failure lies at least
AFTER = 4.0  # seconds for which a name is watched after a flap: a verdict would be here by then
WAIT = 1.0  # seconds for a reply


class Kill(NamedTuple):
    """Seconds from a failure, or a return, to the first answer that is right: by geodns itself, and through
    the resolver.
    """

    how: str
    gone: float
    gone_for_all: float
    back: float
    back_for_all: float


@dataclass
class Odd:
    """Answers that should not have been: none at all, or another than was right then."""

    asked: int = 0
    lost: int = 0
    wrong: list[str] = field(default_factory=list)


class Source:
    """One who is asked for a name."""

    def __init__(self, port: int, name: str, grain: float) -> None:
        self.grain = grain
        self._query = dns.message.make_query(name, "A").to_wire()
        self._socket = socket.socket(type=socket.SOCK_DGRAM)
        self._socket.settimeout(WAIT)
        self._socket.connect(("127.0.0.1", port))

    def ask(self) -> str:
        """The one address of the answer; empty for none in time."""
        self._socket.send(self._query)
        try:
            reply = self._socket.recv(4096)
        except TimeoutError:
            return ""
        if reply[:2] != self._query[:2] or reply[3] & 15 or reply[6:8] != b"\0\1":
            return f"another reply: {reply[:12].hex()}"
        begin = len(self._query) + 12  # behind the record's pointer to the name, type, class, TTL and length
        return socket.inet_ntoa(reply[begin : begin + 4])

    def close(self) -> None:
        self._socket.close()


class Name:
    """A name with its backend, its address and the one that is told instead."""

    def __init__(
        self, name: str, addresses: tuple[str, str], backend: Backend, ports: tuple[int, int], ttl: int
    ) -> None:
        self.odd = Odd()
        self._spread = max(SPREAD, ttl)  # so that the resolver's answer is of any age when it becomes wrong
        self._name = name
        self._own, self._other = addresses
        self._backend = backend
        self._sources = (Source(ports[0], name, FINE), Source(ports[1], name, COARSE))

    def close(self) -> None:
        for source in self._sources:
            source.close()

    def kill(self, how: str, chance: random.Random) -> Kill:
        """The backend fails at a random moment, and returns when everybody knows."""
        self._watch(self._own, chance.random() * self._spread)
        failed = self._backend.fail(how)
        gone = self._turn(self._own, self._other)
        self._watch(self._other, chance.random() * self._spread)
        restored = self._backend.restore(how)
        back = self._turn(self._other, self._own)
        return Kill(how, *(at - failed for at in gone), *(at - restored for at in back))

    def flap(self, how: str, seconds: float, chance: random.Random) -> None:
        """The backend fails for so long that no verdict may come of it, and is watched for a while."""
        self._watch(self._own, chance.random() * SPREAD)
        self._backend.fail(how)
        self._watch(self._own, seconds)
        self._backend.restore(how)
        self._watch(self._own, AFTER)

    def _watch(self, told: str, seconds: float) -> None:
        """Ask both for a while; nothing but this should be told."""
        end = time.monotonic() + seconds
        self._asking(
            lambda source, at, address: self._expect(address, {told}), lambda: time.monotonic() < end
        )

    def _turn(self, old: str, new: str) -> tuple[float, float]:
        """Ask both until they have turned from the old address to the new; when each did. None turns back."""
        turned: dict[Source, float] = {}
        end = time.monotonic() + PATIENCE

        def told(source: Source, at: float, address: str) -> None:
            if address == new:
                turned.setdefault(source, at)
            self._expect(address, {new} if source in turned else {old})

        self._asking(told, lambda: len(turned) < len(self._sources) and time.monotonic() < end)
        assert len(turned) == len(self._sources), f"{self._name}: no {new} within {PATIENCE:g} s"
        first, second = (turned[source] for source in self._sources)
        return first, second

    def _expect(self, address: str, allowed: set[str]) -> None:
        self.odd.asked += 1
        if not address:
            self.odd.lost += 1
        elif address not in allowed:
            self.odd.wrong.append(f"{self._name} told {address}, not {' or '.join(allowed)}")

    def _asking(self, told: Callable[[Source, float, str], None], more: Callable[[], bool]) -> None:
        """Ask each source at its grain while `more`, and pass on when it said what."""
        due = dict.fromkeys(self._sources, time.monotonic())
        while more():
            source = min(due, key=due.__getitem__)
            time.sleep(max(0.0, due[source] - time.monotonic()))
            address = source.ask()
            at = time.monotonic()
            told(source, at, address)
            due[source] = max(due[source] + source.grain, at)
