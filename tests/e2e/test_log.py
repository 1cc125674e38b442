"""What was done is written down as a chain that outlives kill -9."""

from __future__ import annotations

import signal
from collections.abc import Callable

from e2e_support import UNCHECKED, Server, until

PAUSE = "/api/v1/regions/east/pause"


def done(server: Server) -> list[tuple[str, str, str]]:
    """What was done, oldest first."""
    entries = server.api("GET", "/api/v1/log")[1]["entries"]
    return [(e["action"], e["subject"], e["actor"]) for e in reversed(entries)]


def test_everything_that_changes_answers_is_in_the_log(serve: Callable[..., Server]) -> None:
    server = serve(UNCHECKED).start()
    server.api("PUT", PAUSE, {"reason": "a new router", "actor": "kim", "for": "1s"})
    server.api("PUT", "/api/v1/regions/west/pause", {"reason": "both", "actor": "lee"})
    until(lambda: ("expire", "east", "clock") in done(server))
    server.write("shop.example.yaml", UNCHECKED + "  extra: {A: 192.0.2.101}\n")
    until(lambda: ("load", "zones", "files") in done(server)[1:])
    server.write("shop.example.yaml", "zone: [")
    until(lambda: ("raise", "zones", "watch") in done(server))
    assert done(server) == [
        ("load", "zones", "files"),
        ("set", "east", "kim"),
        ("refuse", "west", "lee"),
        ("expire", "east", "clock"),
        ("load", "zones", "files"),
        ("reject", "zones", "files"),
        ("raise", "zones", "watch"),
    ]
    proof = server.cli("log", "--verify").stdout
    assert proof.startswith("rows 1 to 7 are those that were written")
    server.stop(signal.SIGKILL)
    server.write("shop.example.yaml", UNCHECKED)
    server.start()
    until(lambda: len(done(server)) == 8)
    head = proof.split()[-1]
    assert server.cli("log", "--verify", "--head", head).returncode == 0
    shown = server.cli("log", "--subject", "east").stdout
    assert "a new router" in shown
    assert "both" not in shown
