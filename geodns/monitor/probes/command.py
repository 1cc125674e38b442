"""An exec check: the endpoint is well when a program of the operator's ends with exit code 0.

It is run from its list of arguments, without a shell, and knows of the server what its environment says and
nothing else. It is the head of a process group of its own: that ends with it, or when its time is over.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from contextlib import suppress

from geodns.core.health import Outcome, Probe
from geodns.monitor.probes.failure import describe, shorten

MAX_OUTPUT = 64 * 1024  # octets; whoever writes more is ended
_KEPT = 1024  # octets of these, for the first line
_LINGER = 0.2  # seconds for what is in the pipe, once the program has ended
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


async def probe(p: Probe, address: str) -> Outcome:
    """Run the program for `address` (numeric). No deadline of its own; cancelled, it leaves nothing."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        transport, run = await loop.subprocess_exec(
            _Run,
            *p.check.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd="/",
            env=_environment(p, address),
            start_new_session=True,
        )
    except OSError as error:
        return Outcome(False, shorten(f"cannot run {p.check.command[0]}: {describe(error)}"))
    try:
        await run.ended
    finally:
        await _end(transport, run)
    if run.written > MAX_OUTPUT:
        return Outcome(False, f"ended: it wrote more than {MAX_OUTPUT // 1024} KiB")
    took = f"in {(loop.time() - began) * 1000:.0f} ms"
    return _judged(transport.get_returncode() or 0, run.first_line(), took)


def _judged(code: int, line: str, took: str) -> Outcome:
    if code == 0:
        return Outcome(True, shorten(line) or f"exit code 0 {took}")
    how = f"exit code {code}" if code > 0 else f"killed by {_signal(-code)}"
    return Outcome(False, shorten(f"{how}: {line}" if line else how))


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _environment(p: Probe, address: str) -> dict[str, str]:
    port = {"GEODNS_PORT": str(p.port)} if p.port else {}
    told = {"GEODNS_ADDRESS": address, "GEODNS_HOST": p.address, "GEODNS_TIMEOUT": f"{p.check.timeout:g}"}
    return {"PATH": _PATH, "LANG": "C.UTF-8", **told, **port}


async def _end(transport: asyncio.SubprocessTransport, run: _Run) -> None:
    """End all of the group: what a program leaves behind would go on, and hold its output open."""
    with suppress(ProcessLookupError, PermissionError):  # all gone; or it has taken on another user's rights
        os.killpg(transport.get_pid(), signal.SIGKILL)
    try:
        await asyncio.wait([run.closed], timeout=_LINGER)
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
