"""Probes that ask a DNS server, or ping."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import dns.message
import dns.rcode
import dns.rrset
import pytest
from probe_support import listening

from geodns.core.health import Outcome, Probe
from geodns.model import Check
from geodns.monitor.probes import Prober


class Answering(asyncio.DatagramProtocol):
    """A DNS server that knows www.example; `mangle` changes what it sends."""

    def __init__(self, mangle: Callable[[bytes], list[bytes]]) -> None:
        self.mangle = mangle

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        for reply in self.mangle(answered(data)):
            self.transport.sendto(reply, addr)


def answered(packet: bytes) -> bytes:
    query = dns.message.from_wire(packet)
    reply = dns.message.make_response(query)
    if query.question[0].name.to_text() != "www.example.":
        reply.set_rcode(dns.rcode.NXDOMAIN)
    else:
        reply.answer.append(dns.rrset.from_text("www.example.", 30, "IN", "A", "192.0.2.1", "192.0.2.2"))
    return reply.to_wire()


@asynccontextmanager
async def dns_server(mangle: Callable[[bytes], list[bytes]] = lambda reply: [reply]) -> AsyncIterator[int]:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: Answering(mangle), ("127.0.0.1", 0))
    yield transport.get_extra_info("sockname")[1]
    transport.close()


@pytest.mark.parametrize(
    ("check", "detail"),
    [
        ({}, "NOERROR in"),
        ({"answer": "192.0.2.2"}, "NOERROR in"),
        ({"query": "none.example", "rcode": "NXDOMAIN"}, "NXDOMAIN in"),
        ({"answer": "192.0.2.3"}, "no A '192.0.2.3' in the answer"),
        ({"query": "none.example"}, "NXDOMAIN, want NOERROR"),
        ({"record": "AAAA", "answer": "192.0.2.1"}, "no AAAA '192.0.2.1' in the answer"),
    ],
)
async def test_dns(prober: Prober, check: dict[str, str], detail: str) -> None:
    async with dns_server() as port:
        found = await prober(Probe(Check("dns", **({"query": "www.example"} | check)), "127.0.0.1", port))  # type: ignore[arg-type]
    assert found.ok == detail.endswith("in")
    assert found.detail.startswith(detail)


async def test_dns_over_tcp(prober: Prober) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reply = answered(await reader.readexactly(int.from_bytes(await reader.readexactly(2))))
        writer.write(len(reply).to_bytes(2) + reply)
        writer.close()

    async def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(10)
        writer.close()

    check = Check("dns", query="www.example", answer="192.0.2.1", transport="tcp")
    async with listening(answer) as port:
        assert (await prober(Probe(check, "127.0.0.1", port))).ok
    async with listening(close) as port:
        assert not (await prober(Probe(check, "127.0.0.1", port))).ok


async def test_a_dns_server_that_is_silent_and_answers_to_other_questions(prober: Prober) -> None:
    check = Check("dns", query="www.example", timeout=0.2)
    for mangle in (
        lambda reply: [],
        lambda reply: [bytes([reply[0] ^ 1]) + reply[1:]],
        lambda reply: [reply[:9]],
    ):
        async with dns_server(mangle) as port:
            found = await prober(Probe(check, "127.0.0.1", port))
        assert found == Outcome(False, "timed out after 0.2 s")
    forged = lambda reply: [b"\0" * 5, bytes([reply[0] ^ 1]) + reply[1:], reply]  # noqa: E731
    async with dns_server(forged) as port:
        assert (await prober(Probe(check, "127.0.0.1", port))).ok


async def test_dns_where_nobody_listens(prober: Prober, closed_port: int) -> None:
    for transport, said in (("udp", "timed out after 0.2 s"), ("tcp", "connection refused")):
        check = Check("dns", query="www.example", timeout=0.2, transport=transport)
        assert await prober(Probe(check, "127.0.0.1", closed_port)) == Outcome(False, said)


def may_ping() -> bool:
    try:
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP).close()
    except PermissionError:
        return False
    return True


async def test_icmp_or_why_not(prober: Prober) -> None:
    found = await prober(Probe(Check("icmp", timeout=0.5), "127.0.0.1", 0))
    assert found.ok is may_ping()
    assert found.detail.startswith("answered in" if found.ok else "this process may not ping: ")
