"""A backend: one process on a loopback address of its own, that can be killed, hung and restored."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

SERVING = Path(__file__).with_name("serving.py")
KILLED, HUNG = "killed", "hung"


class Backend:
    """Serves from its making on. Moments are seconds of `time.monotonic`."""

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port
        self._start()

    def fail(self, how: str) -> float:
        """From now on it refuses connections (KILLED: kill -9), or takes them and says nothing (HUNG: it is
        stopped). When that was.
        """
        moment = time.monotonic()
        self._process.send_signal(signal.SIGKILL if how == KILLED else signal.SIGSTOP)
        return moment

    def restore(self, how: str) -> float:
        """Serve again: a new process, or the stopped one goes on. When it did."""
        if how == KILLED:
            self.close()
            self._start()
        else:
            self._process.send_signal(signal.SIGCONT)
        return time.monotonic()

    def close(self) -> None:
        self._process.kill()
        with self._process:
            pass

    def _start(self) -> None:
        command = [sys.executable, "-I", "-S", str(SERVING), self.host, str(self.port)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        assert self._process.stdout.readline(), f"no backend at {self.host}:{self.port}"
