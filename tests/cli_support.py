"""One command line at a time, in an empty folder; a plugin of the tests that ask for `geodns`."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from admin_support import NOW, TOKEN, FakeControl

from geodns.admin.server import AdminServer
from geodns.cli import run
from geodns.demo import endpoints


class Out(NamedTuple):
    code: int
    out: str
    err: str


Geodns = Callable[..., Out]


@pytest.fixture
def geodns(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Geodns:
    """Runs one command line in an empty folder, as somebody for whom no demo runs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(endpoints, "control_path", lambda: tmp_path / "demo" / "control.sock")
    for name in ("DNS_PORT", "ADMIN_PORT", "GEODNS_TOKEN_FILE", "GEODNS_DEBUG"):
        monkeypatch.delenv(name, raising=False)

    def call(*arguments: str) -> Out:
        code = run(arguments)
        assert code is not None
        out, err = capfd.readouterr()
        assert "Traceback" not in out + err
        return Out(code, out, err)

    return call


class Running(NamedTuple):
    control: FakeControl
    url: str
    loop: asyncio.AbstractEventLoop


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    """A real admin API in a thread of its own; its token is where a server started here would put it."""
    (tmp_path / "token").write_text(TOKEN)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    control = FakeControl()
    server = AdminServer(control, TOKEN, clock=lambda: NOW)
    asyncio.run_coroutine_threadsafe(server.start("127.0.0.1", 0), loop).result(5)
    yield Running(control, f"http://127.0.0.1:{server.port}", loop)
    asyncio.run_coroutine_threadsafe(server.stop(), loop).result(5)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def closed_port() -> int:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        return int(holder.getsockname()[1])
