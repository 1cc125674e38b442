"""Packets that nobody should send: an answer or silence, never an exception, never a lost server."""

from __future__ import annotations

import random
import socket
import struct
from collections.abc import Callable, Iterator

import dns.message
import pytest
from e2e_support import UNCHECKED, Server

PACKETS = 4000


@pytest.fixture(scope="module")
def server(serve: Callable[..., Server]) -> Server:
    return serve(UNCHECKED).start()


def _queries() -> list[bytes]:
    made = [dns.message.make_query("www.shop.example", "A", use_edns=False)]
    made += [dns.message.make_query("a.b.c.shop.example", "TXT", use_edns=0, payload=4096)]
    made += [dns.message.make_query("static.shop.example", "ANY", want_dnssec=True)]
    wires = [query.to_wire() for query in made]
    subnet = struct.pack("!HHHBB", 8, 7, 1, 24, 0) + bytes((10, 1, 2))
    opt = b"\0" + struct.pack("!HHIH", 41, 1232, 0, len(subnet)) + subnet
    plain = wires[0]
    return [*wires, plain[:11] + b"\1" + plain[12:] + opt]


def _garbage(dice: random.Random) -> Iterator[bytes]:
    """Random octets; queries with octets changed, cut off, put in, counts lied about, pointers in circles."""
    good = _queries()
    for _ in range(PACKETS // 4):
        yield dice.randbytes(dice.randrange(0, 600))
        bent = bytearray(dice.choice(good))
        for _ in range(dice.randrange(1, 6)):
            bent[dice.randrange(len(bent))] = dice.randrange(256)
        yield bytes(bent)
        whole = dice.choice(good)
        cut = dice.randrange(len(whole))
        yield whole[:cut] + dice.randbytes(dice.randrange(8)) + whole[cut + dice.randrange(4) :]
        yield (
            dice.randbytes(2)
            + b"\0\0\0\1\0\0\0\0\0\0"
            + bytes((0xC0, dice.randrange(64))) * dice.randrange(1, 200)
        )


def test_garbage_over_udp_while_answers_go_on(server: Server) -> None:
    dice = random.Random(2)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.setblocking(False)
        for number, packet in enumerate(_garbage(dice)):
            client.sendto(packet, ("127.0.0.1", server.port))
            if number % 200 == 0:
                assert server.answers() == ["192.0.2.1"]
            for reply in _replies(client):
                assert len(reply) >= 12, "a reply is a whole header at least"
                assert reply[2] & 0x80, "and a reply, so that two servers never talk to each other for ever"
    assert server.metric("geodns_faults_total") == 0
    assert server.metric("geodns_packets_aside_total") > 0


def _replies(client: socket.socket) -> Iterator[bytes]:
    while True:
        try:
            yield client.recv(65535)
        except BlockingIOError:
            return


def test_garbage_over_tcp_while_answers_go_on(server: Server) -> None:
    dice = random.Random(3)
    for number, packet in enumerate(_garbage(dice)):
        if number == PACKETS // 20:
            break
        framed = struct.pack("!H", len(packet)) + packet if dice.random() < 0.8 else packet
        with socket.create_connection(("127.0.0.1", server.port), 3) as client:
            client.sendall(framed)
            client.shutdown(socket.SHUT_WR)
            while client.recv(4096):
                pass
        if number % 40 == 0:
            assert server.answers(tcp=True) == ["192.0.2.1"]
    assert server.metric("geodns_faults_total") == 0
    assert "Traceback" not in server.log()
    assert "exception" not in server.log()


@pytest.mark.parametrize("first", ["response", "short", "update", "opcode"])
def test_what_each_kind_gets(server: Server, first: str) -> None:
    good = dns.message.make_query("www.shop.example", "A", use_edns=False).to_wire()
    packet, rcode = {
        "response": (good[:2] + b"\x80" + good[3:], None),
        "short": (good[:7], None),
        "update": (good[:2] + b"\x28" + good[3:], 5),
        "opcode": (good[:2] + b"\x30" + good[3:], 4),
    }[first]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(0.3)
        client.sendto(packet, ("127.0.0.1", server.port))
        if rcode is None:
            with pytest.raises(TimeoutError):
                client.recv(512)
        else:
            assert client.recv(512)[3] & 15 == rcode
