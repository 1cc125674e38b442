"""Where the server listens, on a machine whose kernel knows no IPv6, and with how many open files."""

from __future__ import annotations

import errno
import resource
import socket
from pathlib import Path
from typing import Any

import pytest

from geodns import app
from geodns.config.settings import Settings, load_settings
from geodns.serve.sockets import descriptors


@pytest.fixture
def without_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.socket

    def refuses(family: int = -1, *more: Any) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        return real(family, *more)

    monkeypatch.setattr(socket, "socket", refuses)


def listened(tmp_path: Path, dns: str | None = None) -> list[str]:
    settings: Settings = load_settings(None, {"listen.dns": dns} if dns else {}, {})
    return [str(at) for at in app._listen(settings)]


@pytest.mark.usefixtures("without_ipv6")
def test_the_default_leaves_ipv6_out_where_there_is_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert listened(tmp_path) == ["0.0.0.0:53"]
    assert "this machine has no IPv6" in capsys.readouterr().out


@pytest.mark.usefixtures("without_ipv6")
@pytest.mark.parametrize("dns", ["[::]:53", "[::1]:53, 127.0.0.1:53"])
def test_what_was_asked_for_is_tried_all_the_same(tmp_path: Path, dns: str) -> None:
    assert listened(tmp_path, dns) == dns.split(", ")


def test_otherwise_both_are_listened_on(tmp_path: Path, ipv6: str) -> None:
    assert listened(tmp_path) == ["0.0.0.0:53", "[::]:53"]


# open files


def test_as_many_open_files_are_asked_for_as_connections_and_probes_need(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(app, "descriptors", lambda wanted: asked.append(wanted) or wanted)
    settings = load_settings(None, {"limits.tcp_connections": "3000", "limits.probes": "70"}, {})
    assert app._connections(settings, 2) == 3000
    assert asked == [2 * 3000 + 70 + app.OTHER_FILES]


@pytest.mark.parametrize(("allowed", "each"), [(1024, 256), (500, 1)])
def test_where_there_are_not_so_many_there_are_fewer_connections(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], allowed: int, each: int
) -> None:
    monkeypatch.setattr(app, "descriptors", lambda _: allowed)
    assert app._connections(load_settings(None, {}, {}), 2) == each
    assert "too few open files" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("soft", "hard", "wanted", "raised", "found"),
    [
        (1024, 4096, 1000, [], 1000),
        (1024, 4096, 2000, [(2000, 4096)], 2000),
        (1024, 4096, 9000, [(4096, 4096)], 4096),
        (1024, resource.RLIM_INFINITY, 9000, [(9000, resource.RLIM_INFINITY)], 9000),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, 9000, [], 9000),
    ],
)
def test_the_limit_of_open_files_is_raised_as_far_as_it_may(
    monkeypatch: pytest.MonkeyPatch,
    soft: int,
    hard: int,
    wanted: int,
    raised: list[tuple[int, int]],
    found: int,
) -> None:
    limits: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limit: limits.append(limit))
    assert descriptors(wanted) == found
    assert limits == raised


def test_a_system_that_raises_nothing_leaves_it_at_that(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: object) -> None:
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 4096))
    monkeypatch.setattr(resource, "setrlimit", refuses)
    assert descriptors(2000) == 1024
