"""The disk of the state file is full: answers go on, changes are refused or held in memory, and when there is
room again nobody has to do anything.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from disk_support import Disk, OnDisk
from e2e_support import ZONE, Origin, Server, until

__all__ = ["Server"]  # in both lanes
EAST, WEST = "192.0.2.1", "192.0.2.2"
PAUSE = "/api/v1/regions/east/pause"


@pytest.fixture
def east(origin: Callable[[], Origin]) -> Origin:
    return origin()


@pytest.fixture
def server(
    required: Callable[[str], str],
    lacking: Callable[[str], NoReturn],
    tmp_path: Path,
    origin: Callable[[], Origin],
    east: Origin,
) -> Iterator[OnDisk]:
    for tool in ("unshare", "nsenter"):
        required(tool)
    disk = Disk(tmp_path / "disk")
    if not disk.mounted:
        lacking("the right to mount a file system")
    server = OnDisk(
        tmp_path / "geodns",
        {"shop.example.yaml": ZONE.format(east=east.port, west=origin().port)},
        disk,
    )
    yield server.start()
    server.stop()
    disk.close()


def fill(server: OnDisk) -> None:
    """Until the state file itself has no room left in it."""
    server.disk.fill()
    for _ in range(200):
        status, problem = server.api("PUT", "/api/v1/overrides/west/weight", {"reason": "x", "value": "99%"})
        if status == 507:
            assert (problem["code"], problem["full"]) == ("state-not-written", True)
            return
    raise AssertionError("the disk is not full")


def volatile(server: OnDisk) -> dict[str, bool]:
    """Whether the overrides hold in memory only, by subject."""
    return {o["subject"]: o["volatile"] for o in server.api("GET", "/api/v1/overrides")[1]["overrides"]}


def rows(server: OnDisk, action: str) -> list[tuple[str, object]]:
    """Subject and what is after of the log's rows, the newest first."""
    found = server.api("GET", f"/api/v1/log?action={action}&limit=1000")[1]["entries"]
    return [(entry["subject"], entry["after"]) for entry in found]


def test_answers_verdicts_and_new_files_go_on(server: OnDisk, east: Origin) -> None:
    fill(server)
    assert server.answers() == [EAST]
    east.close()
    until(lambda: server.answers() == [WEST])
    server.write(
        "shop.example.yaml", (server.zones / "shop.example.yaml").read_text().replace("2.100", "2.101")
    )
    until(lambda: server.answers("static.shop.example") == ["192.0.2.101"])
    assert server.status()["problem"] is None
    east.open()
    until(lambda: server.answers() == [EAST])
    assert server.status()["unwritten"]["log_rows"] > 0
    server.disk.free()
    until(lambda: server.status()["unwritten"] is None)
    told = [after["verdict"] for _, after in rows(server, "verdict")]  # type: ignore[index]
    assert told[:2] == ["up", "down"], "what happened meanwhile is in the log"
    assert server.api("GET", "/api/v1/log/verify")[1]["ok"] is True


def test_a_pause_is_refused_or_held_in_memory_and_is_written_when_there_is_room(server: OnDisk) -> None:
    fill(server)
    status, problem = server.api("PUT", PAUSE, {"reason": "a new router"})
    assert (status, problem["full"]) == (507, True)
    assert "--volatile" in problem["detail"]
    assert server.answers() == [EAST]
    status, told = server.api("PUT", PAUSE, {"reason": "a new router", "volatile": True})
    assert (status, told["volatile"]) == (200, True)
    assert server.answers() == [WEST]
    assert volatile(server)["east"] is True
    (paused,) = [r["paused"] for r in server.api("GET", "/api/v1/regions")[1]["regions"] if r["paused"]]
    assert paused["volatile"] is True
    assert server.status()["unwritten"]["overrides"] == [{"kind": "pause", "subject": "east", "set": True}]
    shown = server.cli("status").stdout
    assert "NOT WRITTEN" in shown
    assert "pause of east set in memory only" in shown
    assert server.metric("geodns_unwritten") >= 2
    server.disk.free()
    until(lambda: server.status()["unwritten"] is None)
    assert volatile(server)["east"] is False
    assert server.stop(signal.SIGKILL) == -signal.SIGKILL
    server.start()
    assert server.answers() == [WEST]
    (subject, after), *_ = rows(server, "set")
    assert (subject, after["volatile"]) == ("east", True)  # type: ignore[index]
    assert server.cli("log", "--verify").stdout.startswith("rows 1 to ")


def test_what_is_lifted_in_memory_only_is_back_after_a_crash(server: OnDisk) -> None:
    server.api("PUT", PAUSE, {"reason": "a new router"})
    fill(server)
    assert server.api("DELETE", PAUSE)[0] == 507
    told = server.cli("resume", "east", "--volatile").stdout
    assert "IN MEMORY ONLY" in told
    assert server.answers() == [EAST]
    server.stop(signal.SIGKILL)
    server.start()
    assert server.answers() == [WEST], "the disk knows of the pause only, and it started though full"
    assert server.cli("resume", "east", "--volatile").returncode == 0
    assert server.answers() == [EAST]
    server.disk.free()
    until(lambda: server.status()["unwritten"] is None)
    server.stop(signal.SIGKILL)
    server.start()
    assert server.answers() == [EAST]


def test_what_is_never_written_is_told_at_the_end(server: OnDisk) -> None:
    fill(server)
    server.cli("pause", "east", "-r", "a new router", "--volatile")
    assert server.stop() == 0
    assert "lost, because the disk refuses" in server.log()
    assert "Traceback" not in server.log()


def test_it_starts_where_there_is_no_room_at_all(server: OnDisk) -> None:
    server.api("PUT", PAUSE, {"reason": "a new router"})
    assert server.stop() == 0
    server.disk.fill()
    server.start()
    assert server.answers() == [WEST]
    assert server.api("DELETE", PAUSE)[0] == 507
    server.disk.free()
    until(lambda: server.api("DELETE", PAUSE)[0] == 200)
