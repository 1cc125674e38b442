"""A pause by hand: in the answers when the call returns, kept through a crash, ended by itself."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from e2e_support import UNCHECKED, Server, until

EAST, WEST = "192.0.2.1", "192.0.2.2"
PAUSE = "/api/v1/regions/east/pause"
ALL_THE_SAME = {"overrule": ["leaves-no-region"]}


@pytest.fixture(scope="module")
def running(serve: Callable[..., Server]) -> Server:
    return serve(UNCHECKED).start()


@pytest.fixture
def server(running: Server) -> Server:
    for region in ("east", "west"):
        running.api("DELETE", f"/api/v1/regions/{region}/pause")
    return running


def test_the_call_returns_when_the_answers_are_changed(server: Server) -> None:
    assert server.answers() == [EAST]
    before = datetime.now(UTC)
    status, told = server.api("PUT", PAUSE, {"reason": "a new router", "actor": "kim"})
    assert server.answers() == [WEST]
    assert (status, told["region"], told["reason"], told["actor"]) == (200, "east", "a new router", "kim")
    effective, clear = (datetime.fromisoformat(told[key]) for key in ("effective_at", "caches_clear_at"))
    assert before - timedelta(seconds=1) <= effective <= datetime.now(UTC)
    assert clear - effective == timedelta(seconds=2), "the record's TTL"
    assert [p["subject"] for p in server.status()["paused"]] == ["east"]
    status, told = server.api("DELETE", PAUSE)
    assert server.answers() == [EAST]
    assert (status, told["changed"]) == (200, True)


def test_the_same_from_the_command_line(server: Server) -> None:
    assert (
        "east is paused until it is resumed" in server.cli("pause", "east", "--reason", "a new router").stdout
    )
    assert server.answers() == [WEST]
    shown = server.cli("regions").stdout
    assert "a new router" in shown
    assert "east serves again" in server.cli("resume", "east").stdout
    assert server.answers() == [EAST]
    told = json.loads(server.cli("regions", "-o", "json").stdout)
    assert [region["paused"] for region in told["regions"]] == [None, None]


def test_what_is_inside_a_region_is_set_apart_from_it(server: Server) -> None:
    """A pool's region, an endpoint; a weight that lets go some of the clients; all undone in one batch."""
    inside = "east:shop.example%2Fweb"
    assert server.api("PUT", f"/api/v1/overrides/{inside}/pause", {"reason": "x"})[0] == 200
    assert server.answers() == [WEST]
    assert server.cli("resume", "east:shop.example/web").returncode == 0
    assert server.answers() == [EAST]
    assert server.cli("force-down", "east:shop.example/web:192.0.2.1", "-r", "smoke").returncode == 0
    assert server.answers() == [WEST]
    changes = [{"lift": "force", "subject": "east:shop.example/web:192.0.2.1"}]
    changes.append({"set": "weight", "subject": "east", "value": "50%"})
    assert server.api("POST", "/api/v1/batch", {"reason": "mended", "changes": changes})[0] == 200
    assert {server.answers()[0] for _ in range(40)} == {EAST, WEST}
    server.stop(signal.SIGKILL)
    server.start()
    assert [(o["kind"], o["value"]) for o in server.status()["overrides"]] == [("weight", 50)]
    assert "lifted" in server.cli("lift", "weight", "east").stdout
    assert {server.answers()[0] for _ in range(20)} == {EAST}


def test_a_pause_ends_by_itself(server: Server) -> None:
    server.api("PUT", PAUSE, {"reason": "one moment", "for": "1s"})
    assert server.answers() == [WEST]
    assert until(lambda: server.answers() == [EAST]) < 5
    assert server.status()["paused"] == []


def test_the_last_region_is_refused_unless_overruled(server: Server) -> None:
    """And when everything is paused the name is there, with no address."""
    server.api("PUT", PAUSE, {"reason": "first"})
    status, problem = server.api("PUT", "/api/v1/regions/west/pause", {"reason": "second"})
    assert (status, problem["code"], problem["names"]) == (409, "leaves-no-region", ["www.shop.example"])
    assert server.answers() == [WEST]
    refused = server.cli("pause", "west", "--reason", "second")
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert "www.shop.example" in refused.stderr
    made = server.cli("pause", "west", "--reason", "second", "--overrule", "leaves-no-region")
    assert made.returncode == 0
    _, log = server.api("GET", "/api/v1/log?action=overrule&limit=1")
    assert [(e["subject"], e["after"]["rule"]) for e in log["entries"]] == [("west", "leaves-no-region")]
    reply = server.ask("www.shop.example")
    assert (reply.rcode(), reply.answer, reply.authority[0].rdtype) == (0, [], 6)


def test_no_token_no_pause(server: Server) -> None:
    status, problem = server.api("PUT", PAUSE, {"reason": "x"}, token=False)
    assert (status, problem["code"]) == (401, "unauthorized")
    assert server.answers() == [EAST]
    assert server.token_file.stat().st_mode & 0o777 == 0o600


def test_a_pause_outlives_kill_9(server: Server) -> None:
    server.api("PUT", PAUSE, {"reason": "kept"})
    server.api("PUT", "/api/v1/regions/west/pause", {"reason": "gone by then", "for": "1s", **ALL_THE_SAME})
    server.stop(signal.SIGKILL)
    server.start()
    paused = server.status()["paused"]
    assert (paused[0]["subject"], paused[0]["reason"]) == ("east", "kept")
    until(lambda: server.answers() == [WEST])
    assert server.api("DELETE", PAUSE)[1]["changed"] is True


def test_a_pause_is_lifted_though_its_region_is_gone_from_the_files(server: Server) -> None:
    server.api("PUT", PAUSE, {"reason": "to be taken down"})
    server.write(
        "shop.example.yaml",
        "\n".join(line for line in UNCHECKED.splitlines() if "east: " not in line).replace(
            "[east, west]", "west"
        ),
    )
    until(lambda: len(server.api("GET", "/api/v1/regions")[1]["regions"]) == 1)
    assert server.api("DELETE", PAUSE)[0] == 200
    assert server.status()["paused"] == []
    assert server.api("DELETE", PAUSE)[0] == 404
    server.write("shop.example.yaml", UNCHECKED)
    until(lambda: len(server.api("GET", "/api/v1/regions")[1]["regions"]) == 2)
    assert server.answers() == [EAST]


def test_a_reload_that_leaves_only_a_paused_region_is_told(server: Server) -> None:
    server.api("PUT", PAUSE, {"reason": "a new router"})
    server.write("shop.example.yaml", UNCHECKED.replace("      west: 192.0.2.2\n", ""))
    until(lambda: "event=alarm kind=pool-out subjects=['shop.example/web']" in server.log())
    server.write("shop.example.yaml", UNCHECKED)
    until(lambda: server.answers() == [WEST])
