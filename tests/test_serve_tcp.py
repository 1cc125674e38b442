"""The TCP listener (RFC 7766): framing, pipelining, and bounds that no client gets past."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from geodns.errors import GeodnsError
from geodns.serve.tcp import LIMIT, TcpListener, _source

QUERY = b"twelve-bytes"


def echo(packet: bytes, client: str, limit: int) -> bytes:
    return b"re:" + packet


def framed(*messages: bytes) -> bytes:
    return b"".join(len(message).to_bytes(2, "big") + message for message in messages)


@contextlib.asynccontextmanager
async def serving(door: Any = echo, address: str = "127.0.0.1", **bounds: Any) -> AsyncIterator[TcpListener]:
    listener = TcpListener(address, 0, door, **bounds)
    await listener.start()
    try:
        async with asyncio.timeout(10):
            yield listener
    finally:
        await listener.stop()


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def of(cls, listener: TcpListener, source: str = "127.0.0.1") -> Client:
        host = "::1" if ":" in listener.address else "127.0.0.1"
        before = listener.stats.accepted
        sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)  # so that not reading is felt soon
        sock.setblocking(False)
        if ":" not in host:
            sock.bind((source, 0))
        await asyncio.get_running_loop().sock_connect(sock, (host, listener.port))
        client = cls(*await asyncio.open_connection(sock=sock))
        await until(lambda: listener.stats.accepted > before)
        return client

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def reply(self) -> bytes:
        length = int.from_bytes(await self.reader.readexactly(2), "big")
        return await self.reader.readexactly(length)

    async def ask(self, message: bytes = QUERY) -> bytes:
        await self.send(framed(message))
        return await self.reply()

    async def closed(self) -> bool:
        """Waits for the server to close; anything but the end of the stream fails."""
        try:
            return await self.reader.read(1) == b""
        except ConnectionError:
            return True

    def leave(self) -> None:
        self.writer.close()


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until the condition holds; the test's time-out bounds it."""
    while not condition():  # noqa: ASYNC110 (what is waited for has no event)
        await asyncio.sleep(0.001)


async def test_a_message_gets_its_reply_with_its_length_before_it() -> None:
    async with serving() as listener:
        client = await Client.of(listener)
        await client.send(framed(QUERY))
        assert await client.reader.readexactly(2 + 3 + 12) == framed(b"re:" + QUERY)


async def test_the_door_gets_the_client_and_the_limit_of_tcp(ipv6: str) -> None:
    async with serving(lambda packet, client, limit: f"{client} {limit}".encode(), ipv6) as listener:
        assert await (await Client.of(listener)).ask() == b"::1 65535"


async def test_pipelined_messages_in_one_segment_are_answered_in_order() -> None:
    messages = [b"message %04d" % number for number in range(500)]
    async with serving() as listener:
        client = await Client.of(listener)
        await client.send(framed(*messages))
        assert [await client.reply() for _ in messages] == [b"re:" + message for message in messages]
        assert listener.stats.answered == 500


async def test_messages_that_come_byte_by_byte_are_put_together() -> None:
    async with serving() as listener:
        client = await Client.of(listener)
        for octet in framed(QUERY, b"another message"):
            await client.send(bytes([octet]))
            await asyncio.sleep(0)
        assert await client.reply() == b"re:" + QUERY
        assert await client.reply() == b"re:another message"


async def test_the_largest_message_and_the_largest_reply_fit() -> None:
    async with serving(lambda packet, *_: packet) as listener:
        largest = bytes(range(256)) * 255 + bytes(255)
        assert len(largest) == LIMIT
        assert await (await Client.of(listener)).ask(largest) == largest


async def test_a_reply_over_the_limit_is_a_fault_of_the_door_and_not_sent() -> None:
    async with serving(lambda packet, *_: bytes(LIMIT + 1) if packet == QUERY else packet) as listener:
        client = await Client.of(listener)
        await client.send(framed(QUERY, b"small message"))
        assert await client.reply() == b"small message"
        assert listener.stats.faults == 1


async def test_silence_and_exceptions_leave_the_connection_open() -> None:
    def door(packet: bytes, client: str, limit: int) -> bytes | None:
        if packet == b"an exception":
            raise ValueError("a bug")
        return None if packet == b"some silence" else packet

    async with serving(door) as listener:
        client = await Client.of(listener)
        await client.send(framed(b"an exception", b"some silence", QUERY))
        assert await client.reply() == QUERY
        assert (listener.stats.received, listener.stats.faults, listener.stats.silent) == (3, 1, 1)


async def test_a_new_door_takes_the_next_message_of_an_open_connection() -> None:
    async with serving() as listener:
        client = await Client.of(listener)
        assert await client.ask() == b"re:" + QUERY
        listener.door = lambda *_: b"new"
        assert await client.ask() == b"new"


@pytest.mark.parametrize("length", [0, 1, 11])
async def test_less_than_a_header_ends_the_connection_after_what_was_right(length: int) -> None:
    async with serving() as listener:
        client = await Client.of(listener)
        await client.send(framed(QUERY) + length.to_bytes(2, "big"))
        assert await client.reply() == b"re:" + QUERY
        assert await client.closed()
        assert listener.stats.malformed == 1


async def test_a_client_that_has_asked_all_and_closes_its_half_gets_all_replies() -> None:
    big = bytes(60_000)
    async with serving(lambda *_: big) as listener:
        client = await Client.of(listener)
        await client.send(framed(*[QUERY] * 300))
        client.writer.write_eof()
        assert [await client.reply() for _ in range(300)] == [big] * 300
        assert await client.closed()
        await until(lambda: listener.open == 0)


async def test_half_a_message_and_then_the_end_is_just_a_closed_connection() -> None:
    async with serving() as listener:
        client = await Client.of(listener)
        await client.send(framed(QUERY)[:9])
        client.writer.write_eof()
        assert await client.closed()
        await until(lambda: listener.open == 0)
        assert listener.stats.received == 0


async def test_a_client_that_does_not_read_is_not_read_either_and_loses_nothing() -> None:
    big = bytes(60_000)
    async with serving(lambda *_: big) as listener:
        client = await Client.of(listener)
        queries = 2000
        await client.send(framed(*[QUERY] * queries))
        await until(lambda: bool(connection_of(listener)._blocked))
        connection = connection_of(listener)
        assert listener.stats.received < queries  # 120 MB were never rendered, let alone kept
        assert connection.transport.get_write_buffer_size() < 300_000
        assert len(connection._pending) <= LIMIT + 2 + 4096
        for _ in range(queries):
            assert len(await client.reply()) == len(big)


def connection_of(listener: TcpListener) -> Any:
    return next(iter(listener._active))


async def test_an_idle_connection_is_closed_and_half_a_message_does_not_help() -> None:
    async with serving(idle=10) as listener:
        quiet, slow, busy = [await Client.of(listener) for _ in range(3)]
        await slow.send(framed(QUERY)[:-1])
        now = asyncio.get_running_loop().time()
        for connection in listener._active:  # all came eleven seconds ago …
            listener._active[connection] = now - 11
        await busy.ask()  # … but one was answered just now
        listener.reap(now)
        assert await quiet.closed()
        assert await slow.closed()
        assert (listener.stats.idle_closed, listener.open) == (2, 1)
        assert await busy.ask() == b"re:" + QUERY


async def test_the_clock_closes_idle_connections_by_itself() -> None:
    async with serving(idle=0.02) as listener:
        first, second = await Client.of(listener), await Client.of(listener)
        assert await first.closed()
        assert await second.closed()
        assert (listener.stats.idle_closed, listener.open) == (2, 0)
        third = await Client.of(listener)
        assert await third.closed()


async def test_an_idle_client_that_does_not_take_its_replies_is_cut_off() -> None:
    async with serving(lambda *_: bytes(60_000)) as listener:
        client = await Client.of(listener)
        await client.send(framed(*[QUERY] * 2000))
        await until(lambda: bool(connection_of(listener)._blocked))
        transport = connection_of(listener).transport
        listener.reap(asyncio.get_running_loop().time() + 11)
        await until(lambda: transport.get_write_buffer_size() == 0)
        assert (listener.stats.idle_closed, listener.open) == (1, 0)


async def test_when_all_places_are_taken_the_longest_idle_makes_room() -> None:
    async with serving(connections=3) as listener:
        clients = [await Client.of(listener) for _ in range(3)]
        await clients[0].ask()
        newcomer = await Client.of(listener)
        assert await newcomer.ask() == b"re:" + QUERY
        assert await clients[1].closed()
        assert await clients[0].ask() == b"re:" + QUERY
        assert (listener.stats.evicted_total, listener.open) == (1, 3)


async def test_a_crowd_waits_in_the_system_and_never_is_much_more_open_than_there_are_places() -> None:
    """Who is pushed out is gone before many others are let in: open files are few."""
    closing = 0
    async with serving(connections=10, per_address=10) as listener:
        crowd = [socket.create_connection(("127.0.0.1", listener.port), 2) for _ in range(200)]
        while listener.stats.accepted < 200:
            before = listener.stats.accepted
            await asyncio.sleep(0)
            closing = max(closing, listener.stats.accepted - before)
        assert (listener.open, listener.stats.evicted_address) == (10, 190)
    assert closing <= 64
    for client in crowd:
        client.close()


async def test_one_address_pushes_out_only_itself() -> None:
    async with serving(per_address=2) as listener:
        other = await Client.of(listener, "127.0.0.2")
        crowd = [await Client.of(listener, "127.0.0.3") for _ in range(5)]
        assert await crowd[-1].ask() == b"re:" + QUERY
        assert [await early.closed() for early in crowd[:3]] == [True] * 3
        assert await other.ask() == b"re:" + QUERY
        assert (listener.stats.evicted_address, listener.stats.evicted_total, listener.open) == (3, 0, 3)


async def test_places_are_given_back() -> None:
    async with serving(connections=2, per_address=2) as listener:
        for _ in range(5):
            client = await Client.of(listener)
            await client.ask()
            client.leave()
            await until(lambda: listener.open == 0)
        assert (listener.stats.evicted_address, listener.stats.evicted_total) == (0, 0)
        assert not listener._sources


def test_one_ipv6_host_cannot_pass_for_many() -> None:
    assert _source("192.0.2.1") == "192.0.2.1"
    assert _source("2001:db8::1") == _source("2001:db8::ffff:1") == "2001:db8::/64"
    assert _source("2001:db8:0:1::1") != _source("2001:db8::1")


@pytest.mark.parametrize("option", ["SO_REUSEADDR", "SO_REUSEPORT"])
async def test_a_taken_port_is_one_clear_line_whatever_its_holder_allows(option: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as holder:
        holder.setsockopt(socket.SOL_SOCKET, getattr(socket, option), 1)
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        line = (
            f"127.0.0.1:{port}/tcp is taken by another program: "
            "stop it or choose another port with --dns-port or DNS_PORT"
        )
        with pytest.raises(GeodnsError, match=f"^{re.escape(line)}$"):
            await TcpListener("127.0.0.1", port, echo).start()


async def test_two_that_bound_before_either_listened_get_the_same_line() -> None:
    async with serving() as first:
        second = TcpListener("127.0.0.1", first.port, echo)
        with pytest.raises(GeodnsError, match=r"/tcp is taken by another program"):
            await second.start()
    early, late = TcpListener("127.0.0.1", 0, echo), TcpListener("127.0.0.1", 0, echo)
    early.bind()
    late.port = early.port
    late.bind()
    await early.start()
    with pytest.raises(GeodnsError, match=r"/tcp is taken by another program"):
        await late.start()
    await early.stop()


async def test_a_stopped_listener_gives_its_port_back_at_once() -> None:
    async with serving() as first:
        client = await Client.of(first)
        await client.ask()
    assert await client.closed()
    again = TcpListener("127.0.0.1", first.port, echo)
    await again.start()
    await again.stop()
    await again.stop()


async def test_stopping_lets_queued_replies_leave() -> None:
    reply = bytes(60_000)
    async with serving(lambda *_: reply) as listener:
        client = await Client.of(listener)
        await client.send(framed(*[QUERY] * 250))  # one read takes them all; unread input would mean a reset
        await until(lambda: bool(connection_of(listener)._blocked))
        stopping = asyncio.create_task(listener.stop())
        rendered = listener.stats.received
        assert 0 < rendered < 250
        assert [await client.reply() for _ in range(rendered)] == [reply] * rendered
        assert await client.closed()
        await stopping


async def test_stopping_does_not_wait_for_a_client_that_takes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("geodns.serve.tcp.STOP_WITHIN", 0.02)
    async with serving(lambda *_: bytes(60_000)) as listener:
        client = await Client.of(listener)
        await client.send(framed(*[QUERY] * 2000))
        await until(lambda: bool(connection_of(listener)._blocked))
        await listener.stop()
        await until(lambda: listener.open == 0)
        client.leave()
