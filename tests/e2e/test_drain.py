"""Going and coming slowly, on a real server: drains, ramps, failback by hand; also through a crash."""

from __future__ import annotations

import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from e2e_support import ZONE, Origin, Server, until

EAST, WEST = "192.0.2.1", "192.0.2.2"
ASKED = 200  # how often, where a share is looked at
SHORT = ZONE.replace("ttl: 2s", "ttl: 1s").replace(
    "records:",
    """  strict:
    check: quick
    policy: in-order
    failback: manual
    regions:
      east: {{name: east-1, address: 192.0.2.1, probe: 127.0.0.1, port: {east}}}
      west: {{name: west-1, address: 192.0.2.2, probe: 127.0.0.1, port: {west}}}
records:
  strict: {{steer: strict}}""",
)
STRICT = "strict.shop.example"
DRAIN = "/api/v1/overrides/east/drain"


@pytest.fixture(scope="module")
def east(origin: Callable[[], Origin]) -> Origin:
    return origin()


@pytest.fixture(scope="module")
def west(origin: Callable[[], Origin]) -> Origin:
    return origin()


@pytest.fixture(scope="module")
def server(serve: Callable[..., Server], east: Origin, west: Origin) -> Server:
    return serve(SHORT.format(east=east.port, west=west.port)).start()


@pytest.fixture(autouse=True)
def as_usual(server: Server, east: Origin, west: Origin) -> None:
    east.healthy = west.healthy = True
    until(lambda: up(server) == [1, 1])
    for region in ("east", "west"):
        server.cli("resume", region)
    assert server.status()["overrides"] == []
    assert server.answers() == server.answers(STRICT) == [EAST]


def up(server: Server) -> list[int]:
    """How many endpoints of each region are up, of the larger of their pools."""
    return [region["endpoints"]["up"] // 2 for region in server.api("GET", "/api/v1/regions")[1]["regions"]]


def kinds(server: Server, subject: str = "east") -> list[str]:
    return [o["kind"] for o in server.status()["overrides"] if o["subject"] == subject]


def share(server: Server) -> float:
    """The share of answers that are the east."""
    return sum(server.answers() == [EAST] for _ in range(ASKED)) / ASKED


def value(server: Server) -> str:
    found = server.api("GET", "/api/v1/overrides")[1]["overrides"]
    return str(found[0]["value"]) if found else ""


def test_a_drain_goes_down_and_pauses(server: Server) -> None:
    _, told = server.api("PUT", DRAIN, {"reason": "a new router", "over": "8s"})
    assert told["value"] == "80%"
    assert 0.65 < share(server) < 0.95
    paused, drained = (datetime.fromisoformat(told[key]) for key in ("paused_at", "drained_at"))
    assert (drained - paused).total_seconds() == 2, "the lowest TTL and a second of the clock"
    assert "drain 80%" in server.cli("overrides").stdout
    until(lambda: value(server) == "40%")
    assert 0.2 < share(server) < 0.6
    until(lambda: value(server) == "0%")
    assert server.answers() == [WEST]
    assert [p["kind"] for p in server.status()["paused"]] == ["drain"]
    assert "a new router" in server.cli("regions").stdout
    assert "serves again" in server.cli("resume", "east").stdout
    assert share(server) == 1


def test_a_crash_in_the_middle_changes_nothing(server: Server) -> None:
    """The share is where time says it is, also where the end was during the crash."""
    server.api("PUT", DRAIN, {"reason": "a new router", "over": "20s"})
    until(lambda: value(server) == "80%")
    server.stop(signal.SIGKILL)
    server.start()
    assert value(server) in ("80%", "70%", "60%", "50%", "40%")
    assert share(server) < 0.95
    server.cli("resume", "east")
    server.api("PUT", DRAIN, {"reason": "a new router", "over": "1s"})
    server.stop(signal.SIGKILL)
    server.start()
    until(lambda: value(server) == "0%")
    assert server.answers() == [WEST]


def test_a_ramp_goes_up_to_the_whole(server: Server) -> None:
    server.cli("pause", "east", "-r", "a new router")
    shown = server.cli("ramp", "east", "--over", "6s", "-r", "it is in").stdout
    assert "east serves 10%" in shown
    assert share(server) < 0.3
    seen = set()
    until(lambda: seen.add(value(server)) or value(server) == "")
    assert seen == {"10%", "25%", "50%", ""}
    assert share(server) == 1
    assert "there is nothing to ramp" in server.cli("ramp", "east", "-r", "again").stdout


def test_a_ramp_is_aborted_by_a_failure(server: Server, east: Origin, west: Origin) -> None:
    """And what it leaves behind keeps the region out, but for when nothing else is there."""
    server.cli("pause", "east", "-r", "a new router")
    server.cli("ramp", "east", "--over", "1m", "-r", "it is in")
    east.healthy = False
    until(lambda: kinds(server) == ["hold"])
    east.healthy = True
    until(lambda: up(server) == [1, 1])
    assert server.answers() == [WEST]
    west.healthy = False
    until(lambda: server.answers() == [EAST])
    body = {"name": "www.shop.example", "from": "127.0.0.1"}
    assert server.api("POST", "/api/v1/explain", body)[1]["stage"] == "held"
    west.healthy = True
    until(lambda: server.answers() == [WEST])


def test_a_planned_pause_bites_at_its_moment(server: Server) -> None:
    """TTLs sink towards it, it outlives a crash, and ends by itself."""
    begins = datetime.now(UTC) + timedelta(seconds=6)
    told = server.cli("pause", "east", "-r", "a router", "--from", begins.isoformat(), "--for", "3s").stdout
    assert "planned as " in told
    assert "a router" in server.cli("overrides").stdout
    server.stop(signal.SIGKILL)
    server.start()
    assert server.answers() == [EAST]
    until(lambda: server.answers() == [WEST])
    assert -0.1 < (datetime.now(UTC) - begins).total_seconds() < 2
    assert (kinds(server), server.status()["planned"]) == (["pause"], [])
    until(lambda: server.answers() == [EAST])


def test_one_that_comes_again_is_kept_until_it_is_dropped(server: Server) -> None:
    server.cli("weight", "east", "40%", "-r", "backup", "--every", "0 3 * * 6", "--for", "2h")
    (plan,) = server.status()["planned"]
    server.stop(signal.SIGKILL)
    server.start()
    assert server.status()["planned"] == [plan]
    assert "planned no more" in server.cli("lift", "plan", plan["id"]).stdout
    assert "nothing is planned as" in server.cli("lift", "plan", plan["id"]).stdout
    assert "unplan" in server.cli("log").stdout


def test_failback_by_hand_outlives_a_crash(server: Server, east: Origin) -> None:
    east.healthy = False
    until(lambda: server.answers() == [WEST])
    east.healthy = True
    until(lambda: server.answers() == [EAST])
    assert server.answers(STRICT) == [WEST]
    server.stop(signal.SIGKILL)
    server.start()
    until(lambda: server.answers() == [EAST])
    assert server.answers(STRICT) == [WEST]
    assert "is held out: it failed" in server.cli("status").stdout
    assert "out until it is resumed" in server.cli("regions").stdout
    assert "held out: it failed" in server.cli("explain", STRICT, "--from", "127.0.0.1").stdout
    server.cli("resume", "east")
    assert server.answers(STRICT) == [EAST]
    assert "it failed" in server.cli("log").stdout
