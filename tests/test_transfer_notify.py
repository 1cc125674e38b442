"""NOTIFY (RFC 1996): peers are told of a zone until they say that they know, and not for ever."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import dns.message
import dns.opcode
import dns.rcode
import pytest
from dns.message import Message
from transfer_support import APEX, KEY, OTHER, bulky, peer

from geodns.core import names
from geodns.transfer import notify
from geodns.transfer.notify import Notifier
from geodns.transfer.peers import Peer

Answers = Callable[[Message], Message | bytes | None]


class Secondary(asyncio.DatagramProtocol):
    """Takes notifications and says what it is told to."""

    def __init__(self, answers: Answers) -> None:
        self.answers = answers
        self.told: list[Message] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        message = dns.message.from_wire(data, keyring={KEY.name: KEY})
        self.told.append(message)
        answer = self.answers(message)
        if answer is not None:
            raw = answer if isinstance(answer, bytes) else answer.to_wire()
            self.transport.sendto(raw, addr)  # type: ignore[attr-defined]

    @property
    def where(self) -> tuple[str, int]:
        host, port = self.transport.get_extra_info("sockname")[:2]
        return host, port

    @property
    def serials(self) -> list[int]:
        return [message.answer[0][0].serial for message in self.told]


def agrees(message: Message) -> Message:
    reply = dns.message.make_response(message)
    reply.set_opcode(dns.opcode.NOTIFY)
    return reply


def says(rcode: int) -> Answers:
    def answer(message: Message) -> Message:
        reply = agrees(message)
        reply.set_rcode(dns.rcode.Rcode(rcode))
        return reply

    return answer


@contextlib.asynccontextmanager
async def secondary(answers: Answers = agrees) -> AsyncIterator[Secondary]:
    loop = asyncio.get_running_loop()
    transport, found = await loop.create_datagram_endpoint(lambda: Secondary(answers), ("127.0.0.1", 0))
    try:
        async with asyncio.timeout(10):
            yield found
    finally:
        transport.close()


async def ended(notifier: Notifier) -> None:
    while notifier.pending:  # noqa: ASYNC110 (what is waited for has no event)
        await asyncio.sleep(0.001)


def of(*peers: Peer, waits: tuple[float, ...] = (0.02, 0.02)) -> Notifier:
    return Notifier(peers, waits)


@pytest.mark.parametrize("key", [None, KEY], ids=["unsigned", "signed"])
async def test_a_peer_is_told_the_soa_and_says_that_it_knows(key: object) -> None:
    async with secondary() as there:
        notifier = of(peer(key=key, notify=there.where), waits=(5.0,))  # type: ignore[arg-type]
        notifier.announce(bulky(serial=8))
        await ended(notifier)
        (message,) = there.told
        assert message.to_text().splitlines()[1:9] == [
            "opcode NOTIFY",
            "rcode NOERROR",
            "flags AA",
            ";QUESTION",
            "z.test. IN SOA",
            ";ANSWER",
            "z.test. 30 IN SOA . . 8 0 0 0 0",
            ";AUTHORITY",
        ]
        assert message.had_tsig is (key is not None)
        assert notifier.results == {"acknowledged": 1}


async def test_who_has_no_such_zone_or_does_not_want_it_is_not_told() -> None:
    async with secondary() as there:
        other = frozenset([names.from_text("other.test.")])
        notifier = of(peer(), peer(zones=other, notify=there.where), peer(zones=[APEX], notify=there.where))
        notifier.announce(bulky())
        await ended(notifier)
        assert len(there.told) == 1


async def test_it_is_said_again_until_it_is_heard() -> None:
    replies = iter([None, b"garbage", agrees])

    def third_time(message: Message) -> Message | bytes | None:
        found = next(replies)
        return found(message) if callable(found) else found

    async with secondary(third_time) as there:
        notifier = of(peer(notify=there.where), waits=(0.01, 0.01, 5.0, 5.0))
        notifier.announce(bulky())
        await ended(notifier)
        assert (len(there.told), notifier.results) == (3, {"acknowledged": 1})
        assert len({message.id for message in there.told}) == 3


async def test_and_given_up_when_nobody_hears() -> None:
    async with secondary(lambda _: None) as there:
        notifier = of(peer(notify=there.where), waits=(0.01, 0.01, 0.01))
        notifier.announce(bulky())
        await ended(notifier)
        assert (len(there.told), notifier.results) == (3, {"unanswered": 1})


async def test_a_wrong_reply_does_not_hasten_the_next_try() -> None:
    async with secondary(lambda _: b"garbage") as there:
        began = asyncio.get_running_loop().time()
        notifier = of(peer(notify=there.where), waits=(0.1, 0.1))
        notifier.announce(bulky())
        await ended(notifier)
        assert asyncio.get_running_loop().time() - began >= 0.2


async def test_where_nobody_is_nothing_is_lost_but_time() -> None:
    async with secondary() as there:
        where = there.where
    notifier = of(peer(notify=where))
    notifier.announce(bulky())
    await ended(notifier)
    assert notifier.results == {"unanswered": 1}


async def test_a_peer_that_refuses_is_not_asked_again() -> None:
    async with secondary(says(dns.rcode.NOTAUTH)) as there:
        notifier = of(peer(notify=there.where), waits=(5.0, 5.0))
        notifier.announce(bulky())
        await ended(notifier)
        assert (len(there.told), notifier.results) == (1, {"refused": 1})


def unsigned(message: Message) -> Message:
    reply = dns.message.Message(message.id)
    reply.flags = dns.flags.QR
    reply.set_opcode(dns.opcode.NOTIFY)
    reply.question = message.question
    return reply


def another_id(message: Message) -> bytes:
    return b"\0\0" + agrees(message).to_wire()[2:] if message.id else b""


def a_query_answered(message: Message) -> Message:
    reply = agrees(message)
    reply.set_opcode(dns.opcode.QUERY)
    return reply


def wrongly_signed(message: Message) -> Message:
    reply = unsigned(message)
    reply.use_tsig(OTHER)
    return reply


@pytest.mark.parametrize("answers", [unsigned, another_id, a_query_answered, wrongly_signed])
async def test_only_the_right_reply_counts(answers: Answers) -> None:
    async with secondary(answers) as there:
        notifier = of(peer(key=KEY, notify=there.where))
        notifier.announce(bulky())
        await ended(notifier)
        assert (len(there.told), notifier.results) == (2, {"unanswered": 1})


async def test_a_newer_serial_takes_the_place_of_an_older() -> None:
    async with secondary(lambda m: agrees(m) if m.answer[0][0].serial == 9 else None) as there:
        notifier = of(peer(notify=there.where), waits=(5.0,))
        notifier.announce(bulky(serial=8))
        while not there.told:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        notifier.announce(bulky(serial=9))
        assert notifier.pending == 1
        await ended(notifier)
        assert there.serials == [8, 9]
        assert notifier.results == {"replaced": 1, "acknowledged": 1}


async def test_announcements_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "MAX_PENDING", 2)
    async with secondary(lambda _: None) as there:
        notifier = of(*[peer(notify=there.where)] * 5, waits=(5.0,))
        notifier.announce(bulky())
        assert (notifier.pending, notifier.results) == (2, {"dropped": 3})
        await notifier.stop()
        assert notifier.pending == 0


async def test_who_does_not_hear_keeps_nobody_waiting() -> None:
    async with secondary(answers=lambda message: None) as deaf, secondary() as there:
        notifier = of(peer(notify=deaf.where), peer(notify=there.where), waits=(60.0,))
        zones = [names.from_text(f"z{number}.test.") for number in range(5 * notify.AT_ONCE)]
        for apex in zones:
            notifier.announce(replace(bulky(), apex=apex, soa=apex + bulky().soa[len(APEX) :]))
        while len(there.told) < len(zones):  # noqa: ASYNC110 (what is waited for has no event)
            await asyncio.sleep(0.001)
        assert len(deaf.told) == notify.AT_ONCE
        await notifier.stop()
