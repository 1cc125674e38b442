"""Response rate limiting: how much one network is told over UDP, where sources are easily forged.

Every block of addresses (/24, /56) has a bucket of `responses` tokens that fills at as many a second. A
bucket is one integer, `due`: when it is full again, in nanoseconds. A reply takes a token: it moves `due` on
by `interval`, from now if it has passed, unless that leads beyond now + responses * interval. So in any span
of t seconds at most responses * (t + 1) replies pass, and who keeps to the rate is never limited.

A full bucket need not be kept. Buckets lie in two generations; the young one becomes the old one, and the
old one is dropped, after responses * interval (a second), in which the buckets of all who do not ask fill up.
Only where the young one has no more room before that is something lost: such buckets are counted as
displaced, and their blocks begin anew with full ones. Why it is so: docs/adr/0010-rates-by-network.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from functools import lru_cache
from ipaddress import ip_network

from geodns.core import edns, wire
from geodns.core.membership import MAX_SOURCES, membership

SECOND = 1_000_000_000
_QR_TC = b"\x82", b"\x83"  # without and with RD
_OPT = b"\0\0\x29"

OUTCOMES = DROPPED, SLIPPED, DRY_RUN, COOKIE, EXEMPT = "dropped", "slipped", "dry run", "cookie", "exempt"


class Limiter:
    """The buckets of at most `blocks` blocks, and what becomes of a query over the limit.

    `responses` a second for each block, at least 1. Every `slip`-th query over the limit is answered with TC
    alone, the others with silence (0: all), as is what has no question. `exempt` are networks in CIDR;
    `trusted(packet, client, seconds)` tells whether a source is known not to be forged. `payload` is told in
    OPT records. `dry_run` only counts.

    `outcomes` counts the queries over the limit, `displaced` the buckets that were lost while in use.
    """

    def __init__(
        self,
        responses: int,
        *,
        slip: int = 1,
        exempt: Iterable[str] = (),
        trusted: Callable[[bytes, str, int], bool] = lambda *_: False,
        dry_run: bool = False,
        blocks: int = 65536,
        payload: int = 1232,
    ) -> None:
        self.outcomes: Counter[str] = Counter()
        self.displaced = 0
        self._interval = -(-SECOND // responses)
        self._second = self._interval * responses
        self._room = self._second - self._interval
        self._slip = slip
        self._turn = 0  # of the queries that may be answered with TC
        self._exempt = membership(tuple(map(ip_network, exempt)))
        self._trusted = trusted
        self._dry_run = dry_run
        self._opts = edns.reply_opt(payload, False, 0, b""), edns.reply_opt(payload, True, 0, b"")
        self._young: dict[str, int] = {}
        self._old: dict[str, int] = {}
        self._gone: dict[str, int] = {}  # an older one, not looked at, taken away piece by piece
        self._most = max(1, blocks // 2)
        self._turned = 0  # when the young one was the last one to become the old one

    @property
    def watched(self) -> int:
        """Blocks whose buckets are known."""
        return len(self._young) + len(self._old)

    def over(self, client: str, now: int) -> bool:
        """Whether a client's block has had its share; if not, one more reply is booked.

        `client` is a source address as the system writes it, `now` monotonic nanoseconds.
        """
        block = client.rpartition(".")[0] or network_of(client)
        due = self._young.get(block)
        if due is None:
            due = self._recall(block, now)
        if due < now:
            due = now
        elif due - now > self._room:
            return True
        self._young[block] = due + self._interval
        return False

    def spares(self, packet: bytes, client: str, seconds: int) -> bool:
        """Whether a query over the limit is answered all the same; `seconds` is Unix time."""
        if self._exempt(client):
            cause = EXEMPT
        elif self._trusted(packet, client, seconds):
            cause = COOKIE
        elif self._dry_run:
            cause = DRY_RUN
        else:
            return False
        self.outcomes[cause] += 1
        return True

    def turn_away(self, packet: bytes) -> bytes | None:
        """What a query over the limit gets: the word to come by TCP (TC), or None for silence."""
        if self._slip and len(packet) >= wire.HEADER and not packet[2] & 0xF8:
            self._turn += 1
            reply = _truncated(packet, self._opts) if self._turn % self._slip == 0 else None
            if reply is not None:
                self.outcomes[SLIPPED] += 1
                return reply
        self.outcomes[DROPPED] += 1
        return None

    def _recall(self, block: str, now: int) -> int:
        """Take a block into the young generation; its `due`."""
        due = self._old.pop(block, 0)
        if len(self._young) >= self._most or (now - self._turned >= self._second and not self._gone):
            self._gone, self._old, self._young = self._old, self._young, {}
            self._turned = now
        self._young[block] = due
        for _ in range(min(2, len(self._gone))):  # no packet is to wait until all of it is taken away
            self.displaced += self._gone.popitem()[1] > self._turned
        return due


@lru_cache(maxsize=MAX_SOURCES)
def network_of(client: str) -> str:
    """The /56 of an IPv6 address as the system writes it, as a text that no other block has.

    That is its first three groups and what the fourth has before its last two digits.
    """
    head, gap, tail = client.partition("::")
    groups = head.split(":") if head else []
    if gap and len(groups) < 4:
        rest = tail.split(":")
        groups += ["0"] * (8 - len(groups) - len(rest)) + rest
    return ":".join((*groups[:3], groups[3][:-2]))


def _truncated(packet: bytes, opts: tuple[bytes, bytes]) -> bytes | None:
    """The header with TC, the question, an OPT record where one follows it (without or with DO).

    None without a question that can be read. Quick, since it is for floods, and no longer than the query.
    """
    end = wire.name_end(packet, wire.HEADER) + 4
    if end <= wire.HEADER or end > len(packet) or packet[4:6] != b"\0\1":
        return None
    opt = b""
    if packet[end : end + 3] == _OPT and len(packet) >= end + len(opts[0]):
        opt = opts[packet[end + 7] >> 7]
    counts = b"\0\0\1\0\0\0\0\0\1" if opt else b"\0\0\1\0\0\0\0\0\0"
    return b"".join((packet[:2], _QR_TC[packet[2] & 1], counts, packet[wire.HEADER : end], opt))
