"""UDP and TCP over IPv4 and IPv6: who asks an address is answered from it; TCP may be asked ahead."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable

import dns.message
import pytest
from e2e_support import UNCHECKED, Server

MANY = UNCHECKED + "  many: {A: [" + ", ".join(f"198.51.100.{n}" for n in range(1, 101)) + "]}\n"


@pytest.fixture(scope="module")
def server(serve: Callable[..., Server], ipv6: str) -> Server:
    return serve(MANY, listen=("0.0.0.0", "::")).start()


def _query(name: str, number: int = 7) -> bytes:
    query = dns.message.make_query(name, "A", use_edns=0, payload=1232)
    query.id = number
    return query.to_wire()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.53", "::1"])
def test_the_reply_leaves_from_the_address_that_was_asked(server: Server, host: str) -> None:
    """A wildcard socket that forgets the destination answers 127.0.0.53 from 127.0.0.1; clients drop that."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as client:
        client.settimeout(3)
        client.sendto(_query("static.shop.example"), (host, server.port))
        _, sender = client.recvfrom(1500)
    assert sender[:2] == (host, server.port)
    assert server.answers("static.shop.example", host=host, tcp=True) == ["192.0.2.100"]


def test_what_does_not_fit_is_cut_and_comes_whole_over_tcp(server: Server) -> None:
    cut = server.ask("many.shop.example")
    assert cut.flags & 0x0200
    assert cut.answer == []
    assert len(server.answers("many.shop.example", tcp=True)) == 100


def test_queries_are_pipelined(server: Server) -> None:
    """RFC 7766 §6.2.1.1: all sent before one is answered, the last in pieces; all answered, none mixed up."""
    names = [f"{name}.shop.example" for name in ("static", "many", "www", "nothing")] * 5
    stream = b"".join(
        struct.pack("!H", len(wire)) + wire for wire in (_query(name, n) for n, name in enumerate(names))
    )
    with socket.create_connection(("127.0.0.1", server.port), 3) as client:
        client.sendall(stream[:-7])
        client.sendall(stream[-7:])
        received = client.makefile("rb")
        replies = {}
        for _ in names:
            (size,) = struct.unpack("!H", received.read(2))
            reply = dns.message.from_wire(received.read(size))
            replies[reply.id] = (reply.question[0].name.to_text(omit_final_dot=True), reply.rcode())
    assert replies == {n: (name, 3 if name.startswith("nothing") else 0) for n, name in enumerate(names)}


def test_a_slow_client_holds_nobody_up(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), 3) as slow:
        slow.sendall(b"\0")
        assert server.answers(tcp=True) == ["192.0.2.1"]
