"""Where the server listens on a machine whose kernel knows no IPv6."""

from __future__ import annotations

import errno
import socket
from pathlib import Path
from typing import Any

import pytest

from geodns import app
from geodns.config.settings import Settings, load_settings


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
