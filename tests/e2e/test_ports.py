"""A taken port gives one clear line and exit 1: two servers by mistake must never share the traffic."""

from __future__ import annotations

import signal
import socket
import subprocess
from collections.abc import Callable

import pytest
from e2e_support import GEODNS, PATIENCE, UNCHECKED, Server


@pytest.mark.parametrize(
    ("kind", "shared"),
    [("udp", False), ("udp", True), ("tcp", True), ("admin", True)],
    ids=["udp", "udp SO_REUSEPORT", "tcp SO_REUSEPORT", "admin SO_REUSEPORT"],
)
def test_a_taken_port_is_told_in_one_line(serve: Callable[..., Server], kind: str, shared: bool) -> None:
    server = serve(UNCHECKED)
    port = server.admin_port if kind == "admin" else server.port
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM) as holder:
        if shared:
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind(("127.0.0.1", port))
        if kind != "udp":
            holder.listen()
        failed = _start(server)
    assert failed.returncode == 1
    lines = failed.stderr.strip().splitlines()
    assert [line for line in lines if str(port) in line and "taken" in line], failed.stderr
    assert len(lines) == 1, failed.stderr
    assert "Traceback" not in failed.stderr


def test_a_second_server_on_the_same_state_is_refused(serve: Callable[..., Server]) -> None:
    first = serve(UNCHECKED).start()
    other = serve(UNCHECKED)
    other.config.write_text(
        other.config.read_text().replace("state.sqlite", str(first.folder / "state.sqlite"))
    )
    failed = _start(other)
    assert failed.returncode == 1
    assert "in use by another geodns" in failed.stderr
    assert failed.stderr.count("\n") == 1
    assert first.answers() == ["192.0.2.1"]


def _start(server: Server) -> subprocess.CompletedProcess[str]:
    command = [GEODNS, "serve", "--config", server.config]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE, env=server.environ(), check=False
    )


def test_bad_settings_are_told_with_their_line(serve: Callable[..., Server]) -> None:
    failed = _start(serve(UNCHECKED, "zonez: here\nlimits: {udp_payload: 100}\n"))
    assert failed.returncode == 1
    assert "geodns.yaml:5:1: unknown key 'zonez'" in failed.stderr
    assert "geodns.yaml:6:23: 100 is not between 512 and 4096" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_bad_zones_keep_a_server_from_starting(serve: Callable[..., Server]) -> None:
    failed = _start(serve(UNCHECKED.replace("192.0.2.2", "192.0.2.2222")))
    assert failed.returncode == 1
    assert "shop.example.yaml:16:13: '192.0.2.2222' is no IPv4 or IPv6 address" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_ctrl_c_ends_it_at_once_and_cleanly(serve: Callable[..., Server]) -> None:
    server = serve(UNCHECKED).start()
    assert server.stop(signal.SIGINT) == 0
    assert list((server.folder / "tmp").iterdir()) == []
    assert "Traceback" not in server.log()
