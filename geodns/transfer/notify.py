"""NOTIFY (RFC 1996): secondaries are told that a zone has changed, until they say that they know."""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import partial

import dns.asyncquery
import dns.exception
import dns.flags
import dns.name
import dns.opcode
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import structlog
from dns.message import Message, make_query
from dns.tsig import Key

from geodns.core import names
from geodns.core.compile.transfer import Content
from geodns.transfer.peers import Peer

WAITS = (2.0, 4.0, 8.0, 16.0, 30.0)  # seconds for an acknowledgement, try by try
MAX_PENDING = 4096  # zones of peers that are being told
AT_ONCE = 16  # tries with one peer, each of which has a socket

log = structlog.get_logger("geodns.transfer")


class _Unsigned(dns.exception.DNSException):
    """The reply is not signed."""


class Notifier:
    """Tells the peers that want it. `results` counts announcements by how they ended."""

    def __init__(self, peers: tuple[Peer, ...], waits: tuple[float, ...] = WAITS) -> None:
        self.results: Counter[str] = Counter()
        self._peers = peers
        self._waits = waits
        self._pending: dict[tuple[int, bytes], asyncio.Task[None]] = {}
        self._at_once = [asyncio.Semaphore(AT_ONCE) for _ in peers]  # who does not hear keeps nobody waiting

    @property
    def pending(self) -> int:
        """Announcements that nobody has acknowledged yet."""
        return len(self._pending)

    def announce(self, content: Content) -> None:
        """Begin to tell of a zone as it is now; what was still being told of it is void."""
        for number, peer in enumerate(self._peers):
            if peer.notify is None or not peer.has(content.apex):
                continue
            key = (number, content.apex)
            before = self._pending.pop(key, None)
            if before is not None:
                before.cancel()
                self.results["replaced"] += 1
            if len(self._pending) >= MAX_PENDING:
                self.results["dropped"] += 1
                continue
            work = self._tell(number, peer.notify, content)
            task = self._pending[key] = asyncio.get_running_loop().create_task(work)
            task.add_done_callback(partial(self._ended, key))

    async def stop(self) -> None:
        """Leave off telling."""
        tasks = list(self._pending.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, key: tuple[int, bytes], task: asyncio.Task[None]) -> None:
        if self._pending.get(key) is task:
            del self._pending[key]
        if not task.cancelled() and task.exception() is not None:
            log.error("a notification failed", exc_info=task.exception())

    async def _tell(self, number: int, where: tuple[str, int], content: Content) -> None:
        outcome, why, key = "unanswered", "", self._peers[number].key
        for wait in self._waits:
            try:
                async with self._at_once[number]:
                    rcode = await self._try(notification(content, key), where, wait)
            except (OSError, dns.exception.DNSException) as error:
                why = str(error) or type(error).__name__
                continue
            outcome, why = ("refused", dns.rcode.to_text(rcode)) if rcode else ("acknowledged", "")
            break
        self.results[outcome] += 1
        tell = log.warning if why else log.info
        zone, host = names.to_text(content.apex), where[0]
        tell("notify", zone=zone, serial=content.serial, peer=host, end=outcome, why=why or None)

    async def _try(
        self, message: dns.message.Message, where: tuple[str, int], wait: float
    ) -> dns.rcode.Rcode:
        """Send once and wait for the reply; what fails early takes its time too, before the next try."""
        end = asyncio.get_running_loop().time() + wait
        host, port = where
        try:
            reply = await dns.asyncquery.udp(message, host, wait, port, ignore_unexpected=True)
            if message.keyring and not reply.had_tsig:  # dnspython before 2.9 lets that pass
                raise _Unsigned
        except (OSError, dns.exception.DNSException):
            await asyncio.sleep(max(0.0, end - asyncio.get_running_loop().time()))
            raise
        return reply.rcode()


def notification(content: Content, key: Key | None) -> Message:
    """The message that tells of a zone, with its SOA, signed where there is a key."""
    apex = dns.name.from_wire(content.apex, 0)[0]
    message = make_query(apex, dns.rdatatype.SOA, flags=dns.flags.AA)
    message.set_opcode(dns.opcode.NOTIFY)
    start = len(content.apex) + 10
    ttl = int.from_bytes(content.soa[start - 6 : start - 2])
    length = len(content.soa) - start
    rdata = dns.rdata.from_wire(dns.rdataclass.IN, dns.rdatatype.SOA, content.soa, start, length)
    message.answer.append(dns.rrset.from_rdata(apex, ttl, rdata))
    if key is not None:
        message.use_tsig(key)
    return message
