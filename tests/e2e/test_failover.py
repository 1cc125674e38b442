"""An endpoint fails, and clients are told another: the whole way, through real probes and real packets."""

from __future__ import annotations

import socket
import statistics
import time
from collections.abc import Callable

import dns.message
import pytest
from e2e_support import ZONE, Origin, Server, until

EAST, WEST = "192.0.2.1", "192.0.2.2"


@pytest.fixture(scope="module")
def east(origin: Callable[[], Origin]) -> Origin:
    return origin()


@pytest.fixture(scope="module")
def west(origin: Callable[[], Origin]) -> Origin:
    return origin()


@pytest.fixture(scope="module")
def server(serve: Callable[..., Server], east: Origin, west: Origin) -> Server:
    return serve(ZONE.format(east=east.port, west=west.port)).start()


def test_a_dead_endpoint_is_told_no_more_and_told_again_when_it_is_back(server: Server, east: Origin) -> None:
    assert server.answers() == [EAST]
    east.close()
    assert until(lambda: server.answers() == [WEST]) < 5
    east.open()
    assert until(lambda: server.answers() == [EAST]) < 5


def test_the_api_tells_who_found_it_and_why(server: Server, east: Origin) -> None:
    east.healthy = False
    until(lambda: server.answers() == [WEST])
    worst = server.api("GET", "/api/v1/health")[1]["checks"][0]
    assert worst["verdict"] == "down"
    assert worst["used_by"] == [
        {"pool": "shop.example/web", "region": "east", "endpoint": "east-1", "family": 4}
    ]
    assert "503" in worst["reason"]
    east.healthy = True
    until(lambda: server.answers() == [EAST])


def test_the_ttl_sinks_while_a_verdict_is_in_doubt_and_is_never_zero(server: Server, east: Origin) -> None:
    """The next probe may change the answer, so no resolver should keep it for longer than that."""
    assert server.ask("www.shop.example").answer[0].ttl == 2
    east.healthy = False
    seen = set()

    def gone() -> bool:
        reply = server.ask("www.shop.example").answer[0]
        seen.add(reply.ttl)
        return reply[0].to_text() == WEST

    until(gone)
    assert seen <= {1, 2}
    assert 1 in seen
    east.healthy = True
    until(lambda: server.answers() == [EAST])


def test_a_verdict_is_in_the_answers_within_100_ms_of_the_probes_result(server: Server, east: Origin) -> None:
    delays = []
    for healthy in (False, True) * 3:
        start = len(east.seen)
        east.healthy = healthy
        changed = _changed(server.port, EAST if healthy else WEST)
        due = east.verdict_due(start, 2, healthy)
        assert due is not None, "the answer changed before the second result"
        delays.append(changed - due)
    assert statistics.median(delays) < 0.1, delays


def _changed(port: int, wanted: str) -> float:
    """When the answer was `wanted` for the first time, asked for every millisecond or two."""
    packet = dns.message.make_query("www.shop.example", "A").to_wire()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(3)
        client.connect(("127.0.0.1", port))
        end = time.monotonic() + 10
        while time.monotonic() < end:
            client.send(packet)
            if client.recv(512).endswith(socket.inet_aton(wanted)):
                return time.monotonic()
            time.sleep(0.002)
    raise AssertionError(f"{wanted} was never answered")


def test_all_down_is_answered_as_if_all_were_up_and_counted(
    server: Server, east: Origin, west: Origin
) -> None:
    """Fail open: the checks may be wrong, and no address at all is certainly of no use."""
    east.healthy = west.healthy = False
    until(lambda: server.metric("geodns_fail_open_answers_total") or server.ask("www.shop.example") is None)
    assert server.answers() == [EAST]
    until(lambda: "event=alarm kind=pool-failing-open subjects=['shop.example/web']" in server.log())
    east.healthy = west.healthy = True
    until(lambda: {check["verdict"] for check in server.api("GET", "/api/v1/health")[1]["checks"]} == {"up"})
    until(
        lambda: "event=\"alarm cleared\" kind=pool-failing-open subjects=['shop.example/web']" in server.log()
    )
