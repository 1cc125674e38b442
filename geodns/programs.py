"""Programs of the operator's, run without a shell, and bounded in every respect but time: the caller's.

A program is the head of a process group of its own: that ends with it, or when whoever runs it is cancelled.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

MAX_OUTPUT = 64 * 1024  # octets; whoever writes more is ended
_KEPT = 1024  # octets of these, for the first line
_LINGER = 0.2  # seconds for what is in the pipe, once the program has ended
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Ended(NamedTuple):
    """How a program ended: its exit code (a signal's number negative), the first line that it wrote to either
    output, and how many octets in all.
    """

    code: int
    line: str
    written: int

    @property
    def how(self) -> str:
        """`exit code 3`, `killed by SIGKILL`, or that it wrote too much."""
        if self.written > MAX_OUTPUT:
            return f"ended: it wrote more than {MAX_OUTPUT // 1024} KiB"
        return f"exit code {self.code}" if self.code >= 0 else f"killed by {_signal(-self.code)}"

    @property
    def well(self) -> bool:
        return self.code == 0 and self.written <= MAX_OUTPUT


async def run(arguments: Sequence[str], environment: Mapping[str, str], given: bytes = b"") -> Ended:
    """Run a program with `given` on its standard input, and `environment` beside a usual PATH.

    No deadline of its own; cancelled, it leaves nothing. Raises OSError where there is no such program.
    """
    transport, running = await asyncio.get_running_loop().subprocess_exec(
        _Run,
        *arguments,
        stdin=subprocess.PIPE if given else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd="/",
        env={"PATH": _PATH, "LANG": "C.UTF-8", **environment},
        start_new_session=True,
    )
    try:
        if given:
            _give(transport, given)
        await running.ended
    finally:
        await _end(transport, running)
    return Ended(transport.get_returncode() or 0, running.first_line(), running.written)


def _give(transport: asyncio.SubprocessTransport, given: bytes) -> None:
    pipe = transport.get_pipe_transport(0)
    assert isinstance(pipe, asyncio.WriteTransport)
    pipe.write(given)
    pipe.close()  # once it is written, or the program reads no more


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


async def _end(transport: asyncio.SubprocessTransport, running: _Run) -> None:
    """End all of the group: what a program leaves behind would go on, and hold its output open."""
    with suppress(ProcessLookupError, PermissionError):  # all gone; or it has taken on another user's rights
        os.killpg(transport.get_pid(), signal.SIGKILL)
    try:
        await asyncio.wait([running.closed], timeout=_LINGER)
    finally:
        transport.close()


class _Run(asyncio.SubprocessProtocol):
    """A running program. `ended` when it has ended or must be; `closed` when its output has."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[None] = loop.create_future()
        self.closed: asyncio.Future[None] = loop.create_future()
        self.written = 0
        self._kept = bytearray()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self.written += len(data)
        self._kept += data[: _KEPT - len(self._kept)]
        if self.written > MAX_OUTPUT:
            self.process_exited()

    def process_exited(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_result(None)

    def first_line(self) -> str:
        lines = bytes(self._kept).decode("utf-8", "replace").splitlines()
        return next((line.strip() for line in lines if line.strip()), "")
