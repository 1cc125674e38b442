"""The event stream of a running server: what is done is told at once, and who comes back misses nothing."""

from __future__ import annotations

import json
import signal
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPResponse
from threading import Thread

import pytest
from e2e_support import UNCHECKED, ZONE, Origin, Server

PAUSE = "/api/v1/regions/east/pause"


class Stream:
    """One connection to the stream."""

    def __init__(self, reply: HTTPResponse) -> None:
        self._reply = reply
        assert self.block() == {"retry": "2000"}

    def block(self) -> dict[str, str]:
        """The lines up to the next empty one, by their keys; nothing at the end of the stream."""
        found: dict[str, str] = {}
        while line := self._reply.readline().decode().rstrip("\n"):
            key, _, value = line.partition(": ")
            found[key] = value
        return found

    def until(self, kind: str) -> tuple[str, dict[str, object]]:
        """The next event of a kind: its id and its data."""
        while (found := self.block()).get("event") != kind:
            assert found, f"the stream ended before a {kind}"
        return found["id"], json.loads(found["data"])


@contextmanager
def follow(server: Server, last: str = "") -> Iterator[Stream]:
    request = urllib.request.Request(f"http://127.0.0.1:{server.admin_port}/api/v1/events")
    request.add_header("Authorization", f"Bearer {server.token_file.read_text().strip()}")
    if last:
        request.add_header("Last-Event-ID", last)
    with urllib.request.urlopen(request, timeout=20) as reply:
        yield Stream(reply)


@pytest.fixture
def server(serve: Callable[..., Server]) -> Iterator[Server]:
    server = serve(UNCHECKED).start()
    yield server
    server.stop()


def test_verdicts_overrides_and_reloads_are_told(
    serve: Callable[..., Server], origin: Callable[[], Origin]
) -> None:
    east, west = origin(), origin()
    server = serve(ZONE.format(east=east.port, west=west.port)).start()
    with follow(server) as stream:
        east.close()
        _, fallen = stream.until("verdict")
        [check] = [c for c in server.api("GET", "/api/v1/health")[1]["checks"] if c["port"] == east.port]
        of = check["used_by"][0]
        assert fallen["subject"] == f"{of['region']}:{of['pool']}:{of['endpoint']}"
        assert fallen["after"] == {"verdict": "down", "check": check["id"]}
        server.api("PUT", "/api/v1/regions/east/pause", {"reason": "a dead disk", "actor": "kim"})
        _, paused = stream.until("set")
        assert (paused["subject"], paused["actor"], paused["reason"]) == ("east", "kim", "a dead disk")
        server.write("shop.example.yaml", "zone: [")
        assert "shop.example.yaml:2:1: " in str(stream.until("reject")[1]["reason"])
        server.write(
            "shop.example.yaml", ZONE.format(east=east.port, west=west.port) + "  more: {A: 192.0.2.9}\n"
        )
        assert stream.until("load")[1]["actor"] == "files"


def test_who_comes_back_is_told_what_it_missed(server: Server) -> None:
    with follow(server) as stream:
        server.api("PUT", PAUSE, {"reason": "first"})
        first, _ = stream.until("set")
    server.api("DELETE", PAUSE)
    server.api("PUT", PAUSE, {"reason": "second"})
    with follow(server, first) as stream:
        assert [stream.block()["event"] for _ in range(2)] == ["lift", "set"]


def test_after_a_restart_nobody_can_tell_and_that_is_told(server: Server) -> None:
    with follow(server) as stream:
        server.api("PUT", PAUSE, {"reason": "x"})
        known, _ = stream.until("set")
    server.stop(signal.SIGKILL)
    server.start()
    with follow(server, known) as stream:
        assert stream.block()["event"] == "gap"
        assert stream.until("load")[0].partition(":")[0] != known.partition(":")[0]


def test_who_follows_does_not_hold_up_the_end(server: Server) -> None:
    with follow(server) as stream:
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 2
        assert stream.block() == {}


def test_from_the_command_line(server: Server) -> None:
    done: list[str] = []
    follower = Thread(target=lambda: done.append(server.cli("events", "-n", "1", "-o", "json").stdout))
    follower.start()
    number = 0
    while follower.is_alive():  # when it listens cannot be seen from here
        number += 1
        server.api("PUT", PAUSE, {"reason": f"number {number}"})
        time.sleep(0.1)
    told = json.loads(done[0])
    assert (told["action"], told["subject"]) == ("set", "east")
