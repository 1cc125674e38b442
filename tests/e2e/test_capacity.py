"""Guard rails, the breaker, load and predictions, of a server that runs."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from e2e_support import Server, until

EAST, WEST, NORTH = "192.0.2.1", "192.0.2.2", "192.0.2.3"
ZONE = """
zone: shop.example
ttl: 2s
ttl_min: 1s
nameservers: {ns1: 192.0.2.53}
regions: {east: {}, west: {}, north: {}}
guards: {pair: {never_pause_together: [west, north]}}
policies: {in-order: {to: [east, west, north]}}
pools:
  web:
    policy: in-order
    regions:
      east: {capacity: 1000, endpoints: 192.0.2.1}
      west: {capacity: 1000, endpoints: 192.0.2.2}
      north: {capacity: 1000, endpoints: 192.0.2.3}
records: {www: {steer: web}}
"""


@pytest.fixture(scope="module")
def running(serve: Callable[..., Server]) -> Server:
    return serve(ZONE).start()


@pytest.fixture
def server(running: Server) -> Server:
    for region in ("east", "west", "north"):
        running.api("DELETE", f"/api/v1/regions/{region}/pause")
    return running


def told(server: Server) -> set[str]:
    return {address for _ in range(40) for address in server.answers()}


def test_a_rule_of_the_files_is_overruled_only_by_its_name_and_that_is_logged(server: Server) -> None:
    assert server.cli("pause", "west", "--reason", "first").returncode == 0
    refused = server.cli("pause", "north", "--reason", "second")
    assert refused.returncode == 1
    assert "west and north would be out together in pool shop.example/web" in refused.stderr
    made = server.cli(
        "pause", "north", "--reason", "second", "--overrule", "never-pause-together:shop.example/pair"
    )
    assert made.returncode == 0
    _, log = server.api("GET", "/api/v1/log?limit=3")
    assert [e["action"] for e in log["entries"]] == ["set", "overrule", "refuse"]


def test_who_is_full_gives_up_clients_and_who_goes_is_spread(server: Server) -> None:
    assert server.answers() == [EAST]
    for region, load in (("east", 2000), ("west", 500), ("north", 500)):
        status, _ = server.api("PUT", f"/api/v1/loads/{region}", {"load": load, "for": "2s"})
        assert status == 200
    assert told(server) == {EAST, WEST, NORTH}
    server.api("PUT", "/api/v1/regions/east/pause", {"reason": "x"})
    assert told(server) <= {WEST, NORTH}
    server.api("DELETE", "/api/v1/regions/east/pause")
    assert until(lambda: server.api("GET", "/api/v1/loads")[1]["regions"] == []) < 5, "loads are forgotten"
    assert told(server) == {EAST}


def test_a_dry_run_predicts_by_the_queries_that_were_counted(server: Server) -> None:
    server.answers()
    status, found = server.api("PUT", "/api/v1/regions/east/pause", {"reason": "x", "dry_run": True})
    queries = found["prediction"]["by_queries"]
    assert status == 200
    assert queries["weighed"] >= 1
    assert queries["pools"][0]["moves"][0]["from"] == "east"
    assert server.answers() == [EAST], "nothing has changed"
