"""`geodns ask` against a small DNS responder on loopback."""

# ruff: noqa: F401, F811 - fixtures are imported by name

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from cli_support import Geodns, closed_port, geodns


class Responder:
    """Answers DNS over UDP and TCP on one port: what `reply` makes of each query."""

    def __init__(self) -> None:
        self.reply: Callable[[dns.message.Message, bool], bytes | None] = lambda query, tcp: None
        self.tcp = socket.create_server(("127.0.0.1", 0))
        self.port = int(self.tcp.getsockname()[1])
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", self.port))
        self.threads = [threading.Thread(target=f, daemon=True) for f in (self._udp, self._tcp)]
        for thread in self.threads:
            thread.start()

    def _udp(self) -> None:
        while True:
            packet, client = self.udp.recvfrom(4096)
            if not packet:
                return
            reply = self.reply(dns.message.from_wire(packet), False)
            if reply is not None:
                self.udp.sendto(reply, client)

    def _tcp(self) -> None:
        while True:
            connection, _ = self.tcp.accept()
            with connection:
                head = connection.recv(2)
                if not head:
                    return
                reply = self.reply(dns.message.from_wire(connection.recv(int.from_bytes(head))), True)
                if reply is not None:
                    connection.sendall(len(reply).to_bytes(2) + reply)

    def close(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
            waker.sendto(b"", ("127.0.0.1", self.port))
        socket.create_connection(("127.0.0.1", self.port)).close()
        for thread in self.threads:
            thread.join(5)
        self.udp.close()
        self.tcp.close()


@pytest.fixture
def responder(monkeypatch: pytest.MonkeyPatch, geodns: Geodns) -> Iterator[Responder]:
    found = Responder()
    monkeypatch.setenv("DNS_PORT", str(found.port))
    yield found
    found.close()


def steered(query: dns.message.Message, tcp: bool) -> bytes:
    """An answer with scope /24 for whom the query speaks."""
    reply = dns.message.make_response(query)
    reply.flags |= dns.flags.AA
    reply.answer = [dns.rrset.from_text(query.question[0].name, 15, "IN", "A", "192.0.2.10", "192.0.2.11")]
    sent = [option for option in query.options if isinstance(option, dns.edns.ECSOption)]
    if sent:
        reply.use_edns(0, options=[dns.edns.ECSOption(sent[0].address, sent[0].srclen, 24)])
    return reply.to_wire()


class TestAsk:
    def test_shows_the_answer_for_a_network(self, geodns: Geodns, responder: Responder) -> None:
        responder.reply = steered
        done = geodns("ask", "www.gslb.example.com", "--from", "10.1.0.0/16")
        assert done.code == 0
        first, second, *records = done.out.splitlines()
        assert first.startswith("NOERROR  qr aa  ") and first.endswith(f"127.0.0.1:{responder.port}/udp")
        assert second == "client 10.1.0.0/16  scope /24"
        assert sorted(records) == [  # the responder shuffles
            "www.gslb.example.com.  15  A  192.0.2.10",
            "www.gslb.example.com.  15  A  192.0.2.11",
        ]

    @pytest.mark.parametrize(
        ("client", "network"),
        [("10.1.2.3", "10.1.2.0/24"), ("2001:db8::1", "2001:db8::/56"), ("10.1.2.3/20", "10.1.0.0/20")],
    )
    def test_an_address_is_asked_for_as_resolvers_do(
        self, geodns: Geodns, responder: Responder, client: str, network: str
    ) -> None:
        responder.reply = steered
        found = json.loads(geodns("ask", "www.gslb.example.com", "--from", client, "-o", "json").out)
        assert found["client"] == {"network": network, "scope": 24}

    def test_json_has_everything(self, geodns: Geodns, responder: Responder) -> None:
        responder.reply = steered
        found = json.loads(geodns("ask", "www.gslb.example.com", "a", "--tcp", "-o", "json").out)
        assert (found["name"], found["type"], found["rcode"]) == ("www.gslb.example.com.", "A", "NOERROR")
        assert (found["flags"], found["client"]) == ("qr aa", None)
        assert found["server"] == f"127.0.0.1:{responder.port}/tcp"
        assert {"name": "www.gslb.example.com.", "ttl": 15, "type": "A", "data": "192.0.2.10"} in found[
            "answer"
        ]

    def test_an_answer_that_was_cut_short_is_fetched_over_tcp(
        self, geodns: Geodns, responder: Responder
    ) -> None:
        def cut(query: dns.message.Message, tcp: bool) -> bytes:
            if tcp:
                return steered(query, tcp)
            reply = dns.message.make_response(query)
            reply.flags |= dns.flags.TC
            return reply.to_wire()

        responder.reply = cut
        done = geodns("ask", "www.gslb.example.com")
        assert done.code == 0 and "/tcp" in done.out and "192.0.2.11" in done.out

    @pytest.mark.parametrize(("rcode", "code"), [("NOERROR", 0), ("NXDOMAIN", 0), ("REFUSED", 1)])
    def test_the_exit_code_tells_whether_it_was_answered(
        self, geodns: Geodns, responder: Responder, rcode: str, code: int
    ) -> None:
        def negative(query: dns.message.Message, tcp: bool) -> bytes:
            reply = dns.message.make_response(query)
            reply.set_rcode(dns.rcode.from_text(rcode))
            reply.authority = [
                dns.rrset.from_text(
                    "example.com.", 30, "IN", "SOA", "ns1.example.com. h.example.com. 1 2 3 4 5"
                )
            ]
            return reply.to_wire()

        responder.reply = negative
        done = geodns("ask", "nothing.example.com")
        assert done.code == code
        assert done.out.startswith(rcode)
        assert "no answer; authority:\nexample.com.  30  SOA  " in done.out

    def test_no_answer(self, geodns: Geodns, responder: Responder) -> None:
        done = geodns("ask", "www.example.com", "--timeout", "0.05")
        assert done.code == 1
        assert done.err.startswith(f"geodns: no answer from 127.0.0.1:{responder.port}: is a server running")

    def test_a_closed_port_is_told_at_once(self, geodns: Geodns) -> None:
        done = geodns("ask", "www.example.com", "--server", f"127.0.0.1:{closed_port()}", "--timeout", "60")
        assert done.code == 1 and "no answer from" in done.err

    @pytest.mark.parametrize("reply", [b"", b"\0", b"\xff" * 40])
    @pytest.mark.parametrize("over", ["--tcp", "--timeout=1"])
    def test_an_answer_that_is_none(
        self, geodns: Geodns, responder: Responder, reply: bytes, over: str
    ) -> None:
        responder.reply = lambda query, tcp: reply
        done = geodns("ask", "www.example.com", over)
        assert done.code == 1 and done.err.startswith("geodns: no ")
        assert done.err.count("\n") == 1
