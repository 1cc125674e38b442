"""Which lane is on is told wherever one may look: the start-up log, the status, the metrics."""

from __future__ import annotations

import platform
from collections.abc import Callable

import pytest
from e2e_support import UNCHECKED, Server, until

LANES_OF_ITS_OWN = True
SHOWN = {
    "python": (
        {"lane": "python", "lane_why": "the settings say so"},
        'lane=python lane_why="the settings say so"',
        "python lane: the settings say so",
    ),
    "native": (
        {"lane": "native", "threads": 2},
        "lane=native threads=2",
        "native lane, 2 threads on each address",
    ),
}


@pytest.mark.parametrize("lane", SHOWN)
def test_it_is_told(serve: Callable[..., Server], lane: str, request: pytest.FixtureRequest) -> None:
    if lane == "native":
        request.getfixturevalue("native_lane")
    status, logged, told = SHOWN[lane]
    server = serve(UNCHECKED, f"lane: {lane}\nthreads: 2\n").start()
    assert server.answers("static.shop.example") == ["192.0.2.100"]
    found = server.status()
    assert {key: found[key] for key in ("lane", "lane_why", "threads") if key in found} == status
    until(lambda: "event=answering" in server.log())
    [line] = [line for line in server.log().splitlines() if "event=answering" in line]
    assert logged in line
    assert server.cli("status").stdout.splitlines()[0].endswith(f", {told}")
    build = f'geodns_build_info{{lane="{lane}",python="{platform.python_version()}",version="0.1.0"}}'
    assert server.metric(build) == 1
