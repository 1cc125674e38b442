"""One DNS question over the network and its answer as plain values; dnspython does the wire."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable
from ipaddress import ip_address, ip_network

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
from dns.edns import ECSOption

from geodns.errors import GeodnsError

PAYLOAD = 1232


class BadQuestionError(ValueError):
    """A name, type or client that cannot be asked for; the message says which."""


def query(name: str, rtype: str, client: str | None) -> dns.message.QueryMessage:
    """A query with EDNS, and with Client Subnet where a client is given. Raises BadQuestionError."""
    try:
        number = dns.rdatatype.from_text(rtype)
    except (dns.exception.DNSException, ValueError) as error:
        raise BadQuestionError(f"'{rtype}' is no type such as A or TYPE65280") from error
    options = None if client is None else [_subnet(client)]
    try:
        return dns.message.make_query(name, number, use_edns=0, payload=PAYLOAD, options=options, flags=0)
    except (dns.exception.DNSException, ValueError) as error:
        raise BadQuestionError(f"'{name}' is no domain name: {error}") from error


def _subnet(client: str) -> dns.edns.Option:
    """An address is asked for as resolvers do (RFC 7871 §11.1): with its /24, or its /56."""
    try:
        bits = "" if "/" in client else "/24" if ip_address(client).version == 4 else "/56"
        network = ip_network(client + bits, strict=False)
    except ValueError as error:
        raise BadQuestionError(f"'{client}' is neither a network nor an address") from error
    return ECSOption(str(network.network_address), network.prefixlen)


def exchange(
    question: dns.message.QueryMessage, host: str, port: int, *, tcp: bool, timeout: float
) -> dict[str, object]:
    """Ask, over TCP too where UDP's answer was cut short. Raises GeodnsError where no answer is usable."""
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    started = time.monotonic()
    try:
        reply = None if tcp else _over_udp(question, host, port, timeout)
        over_tcp = reply is None or bool(reply.flags & dns.flags.TC)
        if reply is None or over_tcp:
            reply = _over_tcp(question, host, port, timeout)
    except (dns.exception.Timeout, TimeoutError, ConnectionRefusedError) as error:
        raise GeodnsError(
            f"no answer from {where}: is a server running there? (`geodns serve` or `make demo` starts one)"
        ) from error
    except (dns.exception.DNSException, OSError, EOFError, ValueError) as error:
        raise GeodnsError(f"no usable answer from {where}: {error or type(error).__name__}") from error
    milliseconds = round((time.monotonic() - started) * 1000, 1)
    return _plain(question, reply, f"{where}/{'tcp' if over_tcp else 'udp'}", milliseconds)


def _over_udp(
    question: dns.message.QueryMessage, host: str, port: int, timeout: float
) -> dns.message.Message:
    """The first datagram that answers the question. The socket is connected: a closed port tells at once."""
    deadline = time.monotonic() + timeout
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.connect((host, port))
        udp.send(question.to_wire())
        while True:
            udp.settimeout(max(0.001, deadline - time.monotonic()))
            reply = dns.message.from_wire(udp.recv(65535))
            if question.is_response(reply):
                return reply


def _over_tcp(
    question: dns.message.QueryMessage, host: str, port: int, timeout: float
) -> dns.message.Message:
    from dns.query import tcp  # slow to import, and seldom needed

    return tcp(question, host, timeout, port)


def _plain(
    question: dns.message.QueryMessage, reply: dns.message.Message, server: str, milliseconds: float
) -> dict[str, object]:
    asked = question.question[0]
    return {
        "name": asked.name.to_text(),
        "type": dns.rdatatype.to_text(asked.rdtype),
        "server": server,
        "rcode": dns.rcode.to_text(reply.rcode()),
        "flags": dns.flags.to_text(reply.flags).lower(),
        "client": _client(question, reply),
        "answer": _rows(reply.answer),
        "authority": _rows(reply.authority),
        "additional": _rows(reply.additional),
        "milliseconds": milliseconds,
    }


def _client(question: dns.message.Message, reply: dns.message.Message) -> dict[str, object] | None:
    sent, back = _ecs(question), _ecs(reply)
    if sent is None:
        return None
    return {"network": f"{sent.address}/{sent.srclen}", "scope": None if back is None else back.scopelen}


def _ecs(message: dns.message.Message) -> ECSOption | None:
    return next((option for option in message.options if isinstance(option, ECSOption)), None)


def _rows(section: Iterable[dns.rrset.RRset]) -> list[dict[str, object]]:
    return [
        {
            "name": rrset.name.to_text(),
            "ttl": rrset.ttl,
            "type": dns.rdatatype.to_text(rrset.rdtype),
            "data": rdata.to_text(),
        }
        for rrset in section
        for rdata in rrset
    ]
