"""The probes of RFC 8906 §8, each named by its section, sent to the listeners over loopback.

Every one is what the RFC writes as a `dig` command; what it expects stands in the test. All are sent over UDP
and over TCP, to a server with nothing agreed and to one that knows cookies, NSID and keepalive. (§8.3 expects
of servers without EDNS that they answer all the same.) tests/e2e/test_rfc8906_dig.py has dig itself ask.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdatatype
import pytest

from geodns.core.cookies import Cookies
from geodns.core.terms import Terms
from geodns.serve.tcp import TcpListener
from geodns.serve.udp import UdpListener
from tests.core_support import PAYLOAD, Lab

ZONE = "zone.test."
FILES = {
    "zone.yaml": f"""
zone: {ZONE.rstrip(".")}
nameservers: {{ns1: 192.0.2.53}}
records:
  long: {{TXT: {"x" * 2000}}}
"""
}
AD, CD, RD, MBZ = 0x0020, 0x0010, 0x0100, 0x0040
DO, EDNS_MBZ = 0x8000, 0x0040
COOKIE, UNKNOWN_OPTION = 10, 100

AGREED = Terms(server=b"server", nsid=b"nsid", cookies=Cookies((bytes(16),)), idle=100)

Ask = Callable[..., Awaitable[dns.message.Message]]


@pytest.fixture(params=[None, AGREED], ids=["bare", "agreed"])
def terms(request: pytest.FixtureRequest) -> Terms | None:
    found: Terms | None = request.param
    return found


@pytest.fixture(params=["udp", "tcp"])
async def ask(request: pytest.FixtureRequest, tmp_path: Path, terms: Terms | None) -> AsyncIterator[Ask]:
    """Sends a packet to a server and reads its one reply; twice, since the second is answered from memory."""
    lab = Lab.of(tmp_path, FILES, terms=terms)
    udp = UdpListener("127.0.0.1", 0, lab.reply, PAYLOAD)
    tcp = TcpListener("127.0.0.1", 0, lab.reply)
    udp.start(asyncio.get_running_loop())
    await tcp.start()
    send, port = (_stream, tcp.port) if request.param == "tcp" else (_datagram, udp.port)

    async def exchange(packet: bytes) -> dns.message.Message:
        raw, again = [await asyncio.to_thread(send, port, packet) for _ in range(2)]
        assert raw == again
        assert raw[:2] == packet[:2]
        return dns.message.from_wire(raw)

    yield exchange
    udp.stop()
    await tcp.stop()


def _datagram(port: int, packet: bytes) -> bytes:
    with socket.socket(type=socket.SOCK_DGRAM) as client:
        client.settimeout(5)
        client.sendto(packet, ("127.0.0.1", port))
        return client.recv(65535)


def _stream(port: int, packet: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), 5) as client, client.makefile("rb") as replies:
        client.sendall(len(packet).to_bytes(2) + packet)
        return replies.read(int.from_bytes(replies.read(2)))


def query(rtype: int | str = "SOA", name: str = ZONE, *, flags: int = 0, opt: bytes = b"") -> bytes:
    number = dns.rdatatype.from_text(rtype) if isinstance(rtype, str) else rtype
    counts = b"\0\1\0\0\0\0" + (b"\0\1" if opt else b"\0\0")
    return (
        b"\x89\x06"
        + flags.to_bytes(2)
        + counts
        + dns.name.from_text(name).to_wire()
        + number.to_bytes(2)
        + b"\0\1"
        + opt
    )


def edns(version: int = 0, flags: int = 0, options: bytes = b"", payload: int = 1232) -> bytes:
    head = b"\0\0\x29" + payload.to_bytes(2) + bytes((0, version)) + flags.to_bytes(2)
    return head + len(options).to_bytes(2) + options


def option(code: int, value: bytes = b"") -> bytes:
    return code.to_bytes(2) + len(value).to_bytes(2) + value


def flags_of(reply: dns.message.Message) -> set[str]:
    return set(dns.flags.to_text(reply.flags).lower().split())


def expect_soa(reply: dns.message.Message) -> None:
    assert reply.rcode() == dns.rcode.NOERROR
    assert [rrset.rdtype for rrset in reply.answer] == [dns.rdatatype.SOA]
    assert "aa" in flags_of(reply)
    assert "ad" not in flags_of(reply)
    assert not reply.flags & MBZ


def expect_bad_version(reply: dns.message.Message) -> None:
    assert reply.rcode() == dns.rcode.BADVERS
    assert not reply.answer
    assert reply.edns == 0
    assert not flags_of(reply) & {"aa", "ad"}


async def test_8_1_1_and_8_1_5_is_the_server_configured_for_the_zone(ask: Ask) -> None:
    reply = await ask(query())
    expect_soa(reply)
    assert "rd" not in flags_of(reply)
    assert reply.opt is None


async def test_8_1_2_unknown_types(ask: Ask) -> None:
    reply = await ask(query(1000))
    assert reply.rcode() == dns.rcode.NOERROR
    assert not reply.answer
    assert [rrset.rdtype for rrset in reply.authority] == [dns.rdatatype.SOA]
    assert flags_of(reply) == {"qr", "aa"}
    assert reply.opt is None


@pytest.mark.parametrize("bit", [CD, AD, MBZ], ids=["8.1.3.1 CD=1", "8.1.3.2 AD=1", "8.1.3.3 reserved bit"])
async def test_8_1_3_header_bits(ask: Ask, bit: int) -> None:
    reply = await ask(query(flags=bit))
    expect_soa(reply)
    assert flags_of(reply) == {"qr", "aa"}
    assert reply.opt is None


async def test_8_1_3_4_recursive_queries(ask: Ask) -> None:
    reply = await ask(query(flags=RD))
    expect_soa(reply)
    assert flags_of(reply) == {"qr", "aa", "rd"}
    assert reply.opt is None


@pytest.mark.parametrize("opcode", [15, 1, 2, 3, 6, 7])
@pytest.mark.parametrize("rest", [bytes(8), query(opt=edns(1, options=option(COOKIE, b"cookie!!")))[4:]])
async def test_8_1_4_unknown_opcodes(ask: Ask, opcode: int, rest: bytes) -> None:
    """15, with a header only, is the RFC's probe; whatever stands behind it is not looked at."""
    reply = await ask(b"\x89\x06" + (opcode << 11).to_bytes(2) + rest)
    assert reply.rcode() == dns.rcode.NOTIMP
    assert reply.opcode() == opcode
    assert not any((reply.question, reply.answer, reply.authority, reply.additional))
    assert flags_of(reply) == {"qr"}
    assert reply.opt is None


async def test_8_2_1_minimal_edns(ask: Ask) -> None:
    reply = await ask(query(opt=edns()))
    expect_soa(reply)
    assert reply.edns == 0


async def test_8_2_2_edns_version_negotiation(ask: Ask) -> None:
    expect_bad_version(await ask(query(opt=edns(version=1))))


async def test_8_2_3_unknown_edns_options(ask: Ask) -> None:
    reply = await ask(query(opt=edns(options=option(UNKNOWN_OPTION))))
    expect_soa(reply)
    assert reply.edns == 0
    assert not reply.options


async def test_8_2_4_unknown_edns_flags(ask: Ask) -> None:
    reply = await ask(query(opt=edns(flags=EDNS_MBZ)))
    expect_soa(reply)
    assert reply.edns == 0
    assert not reply.ednsflags & EDNS_MBZ


async def test_8_2_5_version_negotiation_with_unknown_flags(ask: Ask) -> None:
    reply = await ask(query(opt=edns(version=1, flags=EDNS_MBZ)))
    expect_bad_version(reply)
    assert not reply.ednsflags & EDNS_MBZ


async def test_8_2_6_version_negotiation_with_unknown_options(ask: Ask) -> None:
    reply = await ask(query(opt=edns(version=1, options=option(UNKNOWN_OPTION))))
    expect_bad_version(reply)
    assert not reply.options


async def test_8_2_7_truncated_responses(ask: Ask, request: pytest.FixtureRequest) -> None:
    """`+bufsize=512 +ignore`, of a set that is larger; nothing of a stream is cut off."""
    reply = await ask(query("TXT", f"long.{ZONE}", opt=edns(flags=DO, payload=512)))
    assert reply.rcode() == dns.rcode.NOERROR
    assert ("tc" in flags_of(reply)) == ("udp" in request.node.callspec.id)
    assert reply.edns == 0


async def test_8_2_8_do_is_handled(ask: Ask) -> None:
    reply = await ask(query(opt=edns(flags=DO)))
    expect_soa(reply)
    assert reply.edns == 0
    assert reply.ednsflags & DO


async def test_8_2_9_version_negotiation_with_do(ask: Ask) -> None:
    reply = await ask(query(opt=edns(version=1, flags=DO)))
    expect_bad_version(reply)
    assert reply.ednsflags & DO


async def test_8_2_10_several_defined_options(ask: Ask, terms: Terms | None) -> None:
    """`+cookie +nsid +expire +subnet=0.0.0.0/0`"""
    defined = option(COOKIE, b"cookie!!") + option(3) + option(9) + option(8, b"\0\1\0\0")
    reply = await ask(query(opt=edns(options=defined)))
    expect_soa(reply)
    assert reply.edns == 0
    assert {int(o.otype) for o in reply.options} == ({3, 8, COOKIE} if terms else {8})


async def test_8_2_2_and_a_cookie_in_a_version_that_nobody_knows(ask: Ask) -> None:
    """RFC 6891 §6.1.3: what options mean in version 1 is not known; BADVERS is all that can be said."""
    reply = await ask(query(opt=edns(version=1, options=option(COOKIE, b"cookie!!"))))
    expect_bad_version(reply)
    assert not reply.options


@pytest.mark.parametrize("opcode", [dns.opcode.NOTIFY, dns.opcode.UPDATE])
async def test_notify_and_update_are_refused_with_their_question(ask: Ask, opcode: dns.opcode.Opcode) -> None:
    """Known opcodes that are not for us (§3.1.4 and §7 are about those that nobody knows)."""
    reply = await ask(query(flags=opcode << 11, opt=edns()))
    assert reply.rcode() == dns.rcode.REFUSED
    assert reply.opcode() == opcode
    assert len(reply.question) == 1
    assert not reply.answer
    assert not reply.authority
    assert flags_of(reply) == {"qr"}
    assert reply.edns == 0
