"""Replies of many messages over TCP: written as the client takes them, never in the way of anybody else."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, Generator

import pytest
from test_serve_tcp import QUERY, Client, connection_of, framed, serving, until

MESSAGE = 16_000


class Streams:
    """A door: to what begins with `zone` a reply of so many messages, an echo to all else."""

    def __init__(self, count: int = 5, size: int = MESSAGE) -> None:
        self.count, self.size = count, size
        self.made = 0
        self.open = 0

    def __call__(self, packet: bytes, client: str, limit: int) -> bytes | Generator[bytes, None, None]:
        if not packet.startswith(b"zone"):
            return packet
        messages = self._messages(packet)
        next(messages)
        return messages

    def _messages(self, packet: bytes) -> Generator[bytes, None, None]:
        self.open += 1
        try:
            yield b""
            for number in range(self.count):
                self.made += 1
                yield packet + b"%06d" % number + bytes(self.size)
        finally:
            self.open -= 1


def ask(name: bytes = b"a") -> bytes:
    return b"zone " + name.ljust(10)


async def test_the_messages_come_in_their_order_and_the_connection_stays() -> None:
    door = Streams()
    async with serving(door) as listener:
        client = await Client.of(listener)
        for _ in range(2):
            await client.send(framed(ask()))
            replies = [await client.reply() for _ in range(5)]
            assert [reply[:21] for reply in replies] == [ask() + b"%06d" % n for n in range(5)]
        assert await client.ask() == QUERY
        assert (listener.stats.received, listener.stats.answered, listener.stats.faults) == (3, 3, 0)
        assert (door.open, len(connection_of(listener)._streams)) == (0, 0)


async def test_what_is_asked_behind_it_is_answered_between_its_messages() -> None:
    """RFC 7766 §6.2.1.1: a short answer does not wait for a long one."""
    async with serving(Streams(count=1000)) as listener:
        client = await Client.of(listener)
        await client.send(framed(ask(), QUERY))
        behind = 0
        while await client.reply() != QUERY:
            behind += 1
        assert behind < 3


async def test_and_so_where_each_message_is_more_than_the_client_takes_at_once() -> None:
    """Every write blocks then, and whoever is blocked does not read: reading has its turn in between."""
    async with serving(Streams(count=200, size=60_000)) as listener:
        assert listener._socket is not None
        listener._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        messages = sipped(listener.port)
        sock = await anext(messages)
        assert isinstance(sock, socket.socket)
        sock.sendall(framed(ask()))
        for _ in range(3):
            await anext(messages)
            sock.sendall(framed(QUERY))
            behind = 0
            while await anext(messages) != QUERY:
                behind += 1
            assert behind < 10
        await messages.aclose()


async def sipped(port: int) -> AsyncGenerator[socket.socket | bytes, None]:
    """The client's socket, then its messages, taken in small sips."""
    loop = asyncio.get_running_loop()
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        sock.setblocking(False)
        await loop.sock_connect(sock, ("127.0.0.1", port))
        yield sock
        taken = b""
        while True:
            length = 2 + int.from_bytes(taken[:2])
            if len(taken) < max(length, 2 + 12):
                taken += await loop.sock_recv(sock, 2000)
                continue
            yield taken[2:length]
            taken = taken[length:]


async def test_who_is_slow_gets_the_whole_nevertheless() -> None:
    async with serving(Streams(count=1000)) as listener:
        client = await Client.of(listener)
        await client.send(framed(ask()))
        for number in range(1000):
            if not number % 250:
                await until(
                    lambda: bool(connection_of(listener)._blocked) or not connection_of(listener)._streams
                )
            assert (await client.reply())[:21] == ask() + b"%06d" % number


async def test_what_the_client_does_not_take_is_not_made_and_left_to_the_system() -> None:
    """Else the system holds megabytes for each client, and it takes them for longer than `idle`."""
    door = Streams(count=1000)
    async with serving(door) as listener:
        messages = sipped(listener.port)
        sock = await anext(messages)
        assert isinstance(sock, socket.socket)
        sock.sendall(framed(ask()))
        for _ in range(20):
            await anext(messages)
            await until(lambda: connection_of(listener)._blocked)
        assert door.made * MESSAGE < 1 << 20
        await messages.aclose()


async def test_several_take_turns() -> None:
    async with serving(Streams(count=20)) as listener:
        client = await Client.of(listener)
        await client.send(framed(ask(b"a"), ask(b"b")))
        names = [(await client.reply())[5:6] for _ in range(40)]
        assert names == [b"a", b"b"] * 20


async def test_other_connections_have_their_turn_between_two_messages() -> None:
    door = Streams(count=100_000)
    async with serving(door) as listener:
        greedy, other = await Client.of(listener), await Client.of(listener)
        await greedy.send(framed(ask()))

        async def read() -> None:
            while True:
                await greedy.reply()

        reading = asyncio.create_task(read())
        await until(lambda: door.made > 10)
        for _ in range(20):
            before = door.made
            assert await other.ask() == QUERY
            assert door.made - before < 20
        reading.cancel()


async def test_no_more_is_made_than_the_client_takes() -> None:
    door = Streams(count=100_000)
    async with serving(door) as listener:
        client = await Client.of(listener)
        await client.send(framed(ask()))
        await until(lambda: bool(connection_of(listener)._blocked))
        made = door.made
        assert connection_of(listener).transport.get_write_buffer_size() < 100_000
        for _ in range(10):
            await asyncio.sleep(0)
        assert door.made == made
        client.writer.transport.abort()


async def test_a_client_that_does_not_read_is_cut_off_and_its_stream_closed() -> None:
    door = Streams(count=100_000)
    async with serving(door) as listener:
        client = await Client.of(listener)
        await client.send(framed(ask()))
        await until(lambda: bool(connection_of(listener)._blocked))
        listener.reap(asyncio.get_running_loop().time() + 9)
        assert listener.open == 1
        listener.reap(asyncio.get_running_loop().time() + 11)
        await until(lambda: door.open == 0)
        assert (listener.stats.idle_closed, listener.open) == (1, 0)
        client.leave()


async def test_a_client_that_leaves_half_way_gives_its_streams_back() -> None:
    door = Streams(count=100_000)
    async with serving(door) as listener:
        client = await Client.of(listener)
        await client.send(framed(ask(b"a"), ask(b"b")))
        await client.reply()
        assert door.open == 2
        client.writer.transport.abort()
        await until(lambda: door.open == 0)
        assert listener.open == 0


async def test_who_has_asked_all_and_closes_its_half_gets_the_whole() -> None:
    door = Streams(count=200)
    async with serving(door) as listener:
        client = await Client.of(listener)
        await client.send(framed(ask(), QUERY))
        client.writer.write_eof()
        replies = [await client.reply() for _ in range(201)]
        assert replies.count(QUERY) == 1
        assert await client.closed()
        await until(lambda: listener.open == 0)
        assert door.open == 0


@pytest.mark.parametrize("size", [65_535, -1], ids=["too long a message", "an exception"])
async def test_a_stream_that_fails_ends_the_connection_for_half_a_reply_is_none(size: int) -> None:
    door = Streams(count=3, size=size)
    async with serving(door) as listener:
        client = await Client.of(listener)
        await client.send(framed(ask()))
        assert await client.closed()
        await until(lambda: listener.open == 0)
        assert (listener.stats.faults, door.open) == (1, 0)


async def test_stopping_ends_streams() -> None:
    door = Streams(count=100_000)
    async with serving(door) as listener:
        client = await Client.of(listener)
        await client.send(framed(ask()))
        await client.reply()
    await until(lambda: door.open == 0)
    client.leave()
