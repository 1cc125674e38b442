"""A started server under a flood: who is limited and who is not, and what the query log tells meanwhile."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from threading import Event, Thread

import dns.edns
import dns.flags
import dns.message
import dns.query
import pytest
from e2e_support import GEODNS, PATIENCE, UNCHECKED, Server, until

QUERY = dns.message.make_query("www.shop.example", "A").to_wire()
LIMITED = 'geodns_rate_limited_queries_total{{outcome="{}"}}'


@pytest.fixture(scope="module")
def server(serve: Callable[..., Server]) -> Server:
    return serve(UNCHECKED, "rate: {responses: 1, exempt: 127.0.9.0/24}\n").start()


@pytest.fixture(scope="module")
def flood(server: Server) -> Iterator[Callable[[], int]]:
    """Some hundred queries a second from 127.0.0.1; tells how many of the replies were no TC."""
    over = Event()
    whole = [0]

    def run() -> None:
        with _socket("127.0.0.1") as sock:
            sock.settimeout(1.0)
            while not over.wait(0.005):
                for _ in range(5):
                    sock.sendto(QUERY, ("127.0.0.1", server.port))
                with suppress(TimeoutError):
                    for _ in range(5):
                        whole[0] += not _cut(sock.recv(4096))

    thread = Thread(target=run)
    thread.start()
    until(lambda: server.metric(LIMITED.format("slipped")) > 50)
    yield lambda: whole[0]
    over.set()
    thread.join(PATIENCE)


def _socket(source: str) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((source, 0))
    return sock


def _cut(reply: bytes) -> bool:
    return bool(reply[2] & 2)


def replies(port: int, source: str, packets: list[bytes], wait: float = 3.0) -> list[bytes]:
    """What a client gets to its packets, sent one after the other; what is not answered is left out."""
    found = []
    with _socket(source) as sock:
        sock.settimeout(wait)
        for packet in packets:
            sock.sendto(packet, ("127.0.0.1", port))
            with suppress(TimeoutError):
                found.append(sock.recv(4096))
    return found


def test_the_flooding_network_gets_its_rate_and_the_word_to_come_by_tcp(
    server: Server, flood: Callable[[], int]
) -> None:
    began, before = time.monotonic(), flood()
    until(lambda: time.monotonic() - began > 1.0)
    assert flood() - before <= 2 + (time.monotonic() - began)
    neighbour = replies(server.port, "127.0.0.77", [QUERY] * 5)
    assert sum(map(_cut, neighbour)) >= 4, "it is the network that is limited"


@pytest.mark.usefixtures("flood")
def test_dig_in_that_network_comes_by_tcp_and_has_its_answer(
    server: Server, required: Callable[[str], str]
) -> None:
    command = [required("dig"), "@127.0.0.1", "-p", str(server.port), "www.shop.example", "+nocookie"]
    said = ""
    for _ in range(3):  # one in some hundred times the token is dig's own
        said = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True).stdout
        assert "192.0.2.1" in said
        if "retrying in TCP mode" in said:
            break
    assert "retrying in TCP mode" in said


@pytest.mark.usefixtures("flood")
def test_a_client_of_another_network_is_not_affected(server: Server) -> None:
    (reply,) = replies(server.port, "127.0.1.1", [QUERY])
    assert not _cut(reply)
    assert dns.message.from_wire(reply).answer


@pytest.mark.usefixtures("flood")
def test_an_exempt_network_is_not_limited(server: Server) -> None:
    assert sum(map(_cut, replies(server.port, "127.0.9.1", [QUERY] * 30))) == 0
    assert server.metric(LIMITED.format("exempt")) >= 20


@pytest.mark.usefixtures("flood")
def test_who_has_a_good_cookie_is_not_limited_even_in_the_flooding_network(server: Server) -> None:
    theirs = b"ourname!"
    asked = _with_cookie(theirs)
    given = dns.query.tcp(asked, "127.0.0.1", timeout=3.0, port=server.port)
    (cookie,) = [o for o in given.options if o.otype == dns.edns.OptionType.COOKIE]
    whole = _with_cookie(cookie.to_wire() or b"").to_wire()
    assert sum(map(_cut, replies(server.port, "127.0.0.1", [whole] * 30))) == 0
    forged = _with_cookie(theirs + bytes(16)).to_wire()
    assert sum(map(_cut, replies(server.port, "127.0.0.1", [forged] * 10))) >= 9
    elsewhere = replies(server.port, "127.0.0.2", [whole] * 10)
    assert sum(map(_cut, elsewhere)) >= 9, "a cookie is good for the address that it was given to"
    assert server.metric(LIMITED.format("cookie")) >= 20


def _with_cookie(value: bytes) -> dns.message.Message:
    option = dns.edns.GenericOption(dns.edns.OptionType.COOKIE, value)
    return dns.message.make_query("www.shop.example", "A", use_edns=0, options=[option])


@pytest.mark.usefixtures("flood")
def test_the_metrics_tell_of_it(server: Server) -> None:
    assert server.metric(LIMITED.format("dropped")) == 0, "slip is 1"
    assert server.metric("geodns_rate_blocks") >= 1
    assert server.metric('geodns_overflow_total{what="rate blocks"}') == 0


def test_a_dry_run_limits_nobody_and_counts(serve: Callable[..., Server]) -> None:
    dry = serve(UNCHECKED, "rate: {responses: 1, dry_run: true}\n").start()
    assert sum(map(_cut, replies(dry.port, "127.0.0.1", [QUERY] * 30))) == 0
    assert dry.metric(LIMITED.format("dry run")) >= 20


def test_slip_0_is_silence_over_udp_and_tcp_goes_on(serve: Callable[..., Server]) -> None:
    silent = serve(UNCHECKED, "rate: {responses: 2, slip: 0}\nlog: {queries: 1, format: json}\n").start()
    with _socket("127.0.0.1") as sock:
        for _ in range(200):
            sock.sendto(QUERY, ("127.0.0.1", silent.port))
        sock.settimeout(0.5)
        got = 0
        with suppress(TimeoutError):
            while True:
                sock.recv(4096)
                got += 1
    assert 2 <= got <= 8
    assert silent.metric(LIMITED.format("dropped")) >= 192
    assert silent.answers(tcp=True) == ["192.0.2.1"]
    logged = _logged(silent)
    assert len(logged) <= 3 * 100, "the bound of lines in a second"
    assert any(line.get("silence") == "rate limit" for line in logged)


def _logged(server: Server) -> list[dict[str, object]]:
    lines = [json.loads(line) for line in server.log().splitlines()]
    return [line for line in lines if line["event"] == "query"]


def test_the_query_log_tells_what_the_client_was_told(serve: Callable[..., Server]) -> None:
    server = serve(UNCHECKED, "log: {queries: 1, format: json}\n").start()
    server.ask("www.shop.example", subnet="10.1.2.0/24")
    server.ask("static.shop.example", tcp=True)
    server.ask("a\\027\\[31m.shop.example")
    until(lambda: len(_logged(server)) == 3)
    steered, static, hostile = _logged(server)
    assert {
        key: steered[key] for key in ("client", "transport", "name", "subnet", "zone", "pool", "region")
    } == {
        "client": "127.0.0.1",
        "transport": "udp",
        "name": "www.shop.example.",
        "subnet": "10.1.2.0/24",
        "zone": "shop.example.",
        "pool": "shop.example/web",
        "region": "east",
    }
    assert (steered["rcode"], steered["answers"], steered["class"], steered["scope"]) == ("NOERROR", 1, 0, 0)
    assert (static["transport"], static["answers"], "pool" in static) == ("tcp", 1, False)
    assert (hostile["name"], hostile["rcode"]) == ("a\\027[31m.shop.example.", "NXDOMAIN")


def test_a_log_that_nobody_reads_holds_up_no_answer(serve: Callable[..., Server]) -> None:
    server = serve(UNCHECKED, "log: {queries: 1}\nlimits: {logged_queries: 100000}\n")
    with subprocess.Popen(
        [GEODNS, "serve", "--config", server.config], stderr=subprocess.PIPE, env=server.environ()
    ) as process:
        server.process = process
        try:
            until(lambda: (server.readiness() or {}).get("ready"))
            lost = 0.0
            for _ in range(30):  # threads that answer leave it to another one to tell
                assert len(replies(server.port, "127.0.0.1", [QUERY] * 1800)) == 1800
                lost = server.metric('geodns_overflow_total{what="log lines"}')
                if lost:
                    break
            assert lost
            began = time.monotonic()
            assert server.stop() == 0
            assert time.monotonic() - began < 5.0, "nor the end"
        finally:
            process.kill()
