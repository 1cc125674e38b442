"""`make demo` in a folder of its own: the real zones, probed at free ports and faster than in earnest."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
PATIENCE = 30.0


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody has, for UDP and for TCP, all different."""
    found: dict[int, None] = {}
    while len(found) < count:
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            tcp.bind(("127.0.0.1", 0))
            port = int(tcp.getsockname()[1])
            with suppress(OSError):
                udp.bind(("127.0.0.1", port))
                found[port] = None
    return list(found)


class Demo:
    """A demo of its own that others on this machine do not disturb."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        shutil.copy(ROOT / "Makefile", folder)
        self._copy_zones()
        self.dns_port, self.admin_port = free_ports(2)
        self.environ = {
            **os.environ,
            "TMPDIR": str(self.temporary),
            "DNS_PORT": str(self.dns_port),
            "ADMIN_PORT": str(self.admin_port),
            "PATH": f"{BIN}:{os.environ['PATH']}",
        }
        self.process: subprocess.Popen[bytes] | None = None

    def _copy_zones(self) -> None:
        """Each endpoint's port replaced by a free one, and probes six times as often."""
        (self.folder / "zones").mkdir()
        texts = {path.name: path.read_text() for path in (ROOT / "zones").iterdir()}
        old = sorted(set(re.findall(r"port: (\d+)", "".join(texts.values()))))
        new = dict(zip(old, free_ports(len(old)), strict=True))
        for name, text in texts.items():
            moved = re.sub(r"port: (\d+)", lambda match: f"port: {new[match[1]]}", text)
            (self.folder / "zones" / name).write_text(
                moved.replace("interval: 3s", "interval: 500ms").replace("timeout: 2s", "timeout: 500ms")
            )

    def start(self) -> Demo:
        """As `make demo` does, in the environment that these tests run in."""
        made_already = ("-o", str(BIN.parent / ".installed"), "-o", "geodns/_native.abi3.so")
        command = ["make", "-s", *made_already, f"VENV={BIN.parent}", "demo"]
        assert (BIN / "geodns").exists()
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=self.folder, env=self.environ, start_new_session=True
            )
        self.wait_for(r"Ctrl-C stops it")
        self.wait_for(r"/api/v1/status")
        return self

    def said(self) -> str:
        return (self.folder / "log").read_text()

    def wait_for(self, pattern: str) -> None:
        """Wait until the demo has said what the pattern is found in."""
        self.wait_until(lambda said: re.search(pattern, said))

    def wait_until(self, heard: Callable[[str], object]) -> None:
        """Wait until what the demo has said is what one waits for. Fails when it ends or keeps silent."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if heard(self.said()):
                return
            if self.process is None or self.process.poll() is not None:
                break
            time.sleep(0.02)
        pytest.fail(f"the demo never said that, but:\n{self.said()}")

    def token(self) -> str:
        return (self.temporary / f"geodns-demo-{os.getuid()}" / "token").read_text().strip()

    def shell(self, line: str) -> subprocess.CompletedProcess[str]:
        """Run a line as somebody would in another terminal."""
        return subprocess.run(
            ["bash", "-c", line],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            cwd=self.folder,
            env=self.environ,
            check=False,
        )

    def interrupt(self) -> None:
        """Ctrl-C in the demo's terminal; returns when it has ended."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGINT)
            self.process.wait(PATIENCE)

    def left(self) -> list[str]:
        """What the demo has left behind: processes of its group, files in the temporary folder."""
        assert self.process is not None
        files = [str(path) for path in self.temporary.rglob("*")]
        try:
            os.killpg(self.process.pid, 0)
        except ProcessLookupError:
            return files
        return [f"processes of group {self.process.pid}", *files]


@contextmanager
def demo(folder: Path) -> Iterator[Demo]:
    started = Demo(folder)
    try:
        yield started.start()
    finally:
        if started.process is not None and started.process.poll() is None:
            started.interrupt()
