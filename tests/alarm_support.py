"""Whoever is told of alarms: a real HTTP server on loopback that verifies, fails, hangs and redirects."""

from __future__ import annotations

import json
import re
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

from readme_support import ROOT

SECRET = b"a secret of the tests"
HANG = -1  # in place of a status


def documented() -> Callable[[Mapping[str, str], bytes, bytes], bool]:
    """The function that docs/alarms.md tells receivers to verify with."""
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "alarms.md").read_text(), re.DOTALL)
    found: dict[str, Any] = {}
    exec(block, found)
    return found["genuine"]  # type: ignore[no-any-return]


class Receiver:
    """Answers with `statuses`, one after the other, then with 204; `got` is what came, genuine or not."""

    def __init__(self, *statuses: int, certificate: Path | None = None) -> None:
        self.statuses = list(statuses)
        self.got: list[tuple[bool, dict[str, Any]]] = []
        self.at: list[float] = []
        self.released = Event()
        receiver, genuine = self, documented()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.at.append(time.monotonic())
                receiver.got.append((genuine(dict(self.headers), body, SECRET), json.loads(body)))
                status = receiver.statuses.pop(0) if receiver.statuses else 204
                if status == HANG:
                    receiver.released.wait(20)
                    return
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.send_header("Location", f"{receiver.url}/elsewhere")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        if certificate is not None:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(certificate)
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
            self.url = f"https://localhost:{self._server.server_address[1]}"
        self._thread = Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def told(self, kind: str = "") -> list[tuple[str, str]]:
        """(event, key) of all genuine messages, in order."""
        return [
            (message["event"], message["alarm"]["key"])
            for genuine, message in self.got
            if genuine and kind in ("", message["alarm"]["kind"])
        ]

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def receivers() -> Iterator[Callable[..., Receiver]]:
    """For a fixture: makes receivers, and closes them in the end."""
    made: list[Receiver] = []

    def make(*statuses: int, certificate: Path | None = None) -> Receiver:
        made.append(Receiver(*statuses, certificate=certificate))
        return made[-1]

    yield make
    for receiver in made:
        receiver.close()


def script(path: Path, text: str) -> Path:
    """An executable of the shell."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path
