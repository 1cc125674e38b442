"""A started server in a process and a folder of its own, and real endpoints for it to probe."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from pathlib import Path
from threading import Thread
from typing import Any

import dns.edns
import dns.exception
import dns.message
import dns.query
import dns.rdatatype
import pytest

GEODNS = Path(sys.executable).with_name("geodns")
PATIENCE = 20.0  # seconds for what takes a fraction of one on an idle machine

ZONE = """
zone: shop.example
ttl: 2s
ttl_min: 1s
nameservers: {{ns1: 192.0.2.53}}
regions:
  east: {{title: East}}
  west: {{title: West}}
checks:
  quick: {{type: http, path: /healthz, interval: 200ms, timeout: 200ms, fall: 2, rise: 2, damping: 0}}
policies:
  in-order:
    - {{to: [east, west]}}
pools:
  web:
    check: quick
    policy: in-order
    regions:
      east:
        - {{name: east-1, address: 192.0.2.1, probe: 127.0.0.1, port: {east}}}
      west:
        - {{name: west-1, address: 192.0.2.2, probe: 127.0.0.1, port: {west}}}
records:
  www: {{steer: web}}
  static: {{A: 192.0.2.100}}
"""
UNCHECKED = """
zone: shop.example
ttl: 2s
nameservers: {ns1: 192.0.2.53}
regions:
  east: {title: East}
  west: {title: West}
policies:
  in-order:
    - {to: [east, west]}
pools:
  web:
    policy: in-order
    regions:
      east: 192.0.2.1
      west: 192.0.2.2
records:
  www: {steer: web}
  static: {A: 192.0.2.100}
"""


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nobody has, for UDP and for TCP; none of those that the system gives to whoever asks."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for _ in range(50):
        port = secrets.choice(range(20_000, 32_000))
        with (
            socket.socket(family, socket.SOCK_STREAM) as tcp,
            socket.socket(family, socket.SOCK_DGRAM) as udp,
            suppress(OSError),
        ):
            tcp.bind((host, port))
            udp.bind((host, port))
            return port
    raise AssertionError("no port is free for both")


def until(what: Callable[[], object], seconds: float = PATIENCE) -> float:
    """Wait for something to come true; how long it took. Fails when it does not."""
    began = time.monotonic()
    while not what():
        if time.monotonic() - began > seconds:
            pytest.fail(f"not within {seconds:g} s")
        time.sleep(0.01)
    return time.monotonic() - began


class Server:
    """`geodns serve` with a settings file in `folder`; zones are given as file name -> content.

    `lane` answers in those made from now on, where their settings do not say which one.
    """

    lane = "python"
    within: tuple[str, ...] = ()  # the words that the command is started by

    def __init__(
        self,
        folder: Path,
        zones: Mapping[str, str],
        settings: str = "",
        listen: tuple[str, ...] = ("127.0.0.1",),
    ) -> None:
        self.folder = folder
        self.zones = folder / "zones"
        self.zones.mkdir(parents=True)
        (folder / "tmp").mkdir()
        for name, content in zones.items():
            self.write(name, content)
        self.port = free_port(listen[0])
        self.admin_port = free_port()
        self.token_file = folder / "token"
        shown = ", ".join(
            f'"[{host}]:{self.port}"' if ":" in host else f"{host}:{self.port}" for host in listen
        )
        self.config = folder / "geodns.yaml"
        self.config.write_text(
            f"listen: {{dns: [{shown}]}}\nzones: zones\nstate: state.sqlite\n"
            f"admin: {{listen: 127.0.0.1:{self.admin_port}, token_file: token}}\n{settings}"
            'probes: {allow: [127.0.0.0/8, "::1"]}\n'
            + ("" if "lane:" in settings else f"lane: {self.lane}\nthreads: 1\n")
        )
        self.process: subprocess.Popen[bytes] | None = None

    def write(self, name: str, content: str) -> None:
        """Replace a zone file at once, as editors and deployments do."""
        new = self.folder / f"{name}.new"
        new.write_text(content)
        new.replace(self.zones / name)

    def start(self, *, ready: bool = True) -> Server:
        with (self.folder / "log").open("ab") as log:
            command = [*self.within, GEODNS, "serve", "--config", self.config]
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=self.environ())
        until(lambda: self._ended() or self.readiness() is not None)
        if ready:
            until(lambda: self._ended() or (self.readiness() or {}).get("ready"))
        assert self.process.poll() is None, self.log()
        return self

    def environ(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if key not in ("DNS_PORT", "ADMIN_PORT")}
        return {**kept, "TMPDIR": str(self.folder / "tmp")}

    def _ended(self) -> bool:
        return self.process is None or self.process.poll() is not None

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End the process and wait; its exit code."""
        if self.process is None:
            return 0
        self.process.send_signal(number)
        code = self.process.wait(PATIENCE)
        self.process = None
        return code

    def hang_up(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGHUP)

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def ask(
        self, name: str, rtype: str = "A", *, subnet: str = "", host: str = "127.0.0.1", tcp: bool = False
    ) -> dns.message.Message:
        options = []
        if subnet:
            network = ip_network(subnet)
            options.append(dns.edns.ECSOption(str(network.network_address), network.prefixlen))
        query = dns.message.make_query(name, rtype, use_edns=0, payload=1232, options=options)
        send = dns.query.tcp if tcp else dns.query.udp
        return send(query, host, timeout=3.0, port=self.port)

    def answers(self, name: str = "www.shop.example", rtype: str = "A", **how: Any) -> list[str]:
        """The rdata of the answer section, sorted."""
        return sorted(data.to_text() for rrset in self.ask(name, rtype, **how).answer for data in rrset)

    def readiness(self) -> dict[str, Any] | None:
        """What /readyz says; None where nothing listens yet."""
        try:
            return self.api("GET", "/readyz", token=False)[1]
        except OSError:
            return None

    def status(self) -> dict[str, Any]:
        return self.api("GET", "/api/v1/status")[1]

    def api(
        self, method: str, path: str, body: Mapping[str, object] | None = None, *, token: bool = True
    ) -> tuple[int, dict[str, Any]]:
        """One call; its status and its JSON."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.admin_port}{path}", method=method)
        if token:
            request.add_header("Authorization", f"Bearer {self.token_file.read_text().strip()}")
        data = None if body is None else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(request, data, timeout=5) as reply:
                return reply.status, json.load(reply)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def metric(self, name: str) -> float:
        """The sum of a metric's samples at `/metrics`."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.admin_port}/metrics")
        request.add_header("Authorization", f"Bearer {self.token_file.read_text().strip()}")
        with urllib.request.urlopen(request, timeout=5) as reply:
            lines = reply.read().decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith((f"{name}{{", f"{name} ")))

    def cli(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A verb of the command line as another terminal would call it, against this server."""
        where = ["--url", f"http://127.0.0.1:{self.admin_port}", "--token-file", str(self.token_file)]
        return run(*words, *where, environ=self.environ())


def run(
    *words: str | Path, environ: Mapping[str, str] | None = None, folder: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """The command line; never a traceback, whatever comes out."""
    done = subprocess.run(
        [GEODNS, *words],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env=environ,
        cwd=folder,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


class Origin:
    """A real HTTP server on loopback that answers /healthz, says 503, or refuses connections."""

    def __init__(self) -> None:
        self.healthy = True
        self.seen: list[tuple[float, bool]] = []
        """When each probe was answered (monotonic seconds), and whether well."""
        self.port = 0
        self._server: ThreadingHTTPServer | None = None
        self.open()

    def open(self) -> None:
        origin = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                healthy = origin.healthy
                origin.seen.append((time.monotonic(), healthy))
                self.send_response(200 if healthy else 503)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        ThreadingHTTPServer.allow_reuse_address = True
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        """Refuse connections from now on, as a dead machine's port does."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def verdict_due(self, since: int, streak: int, healthy: bool) -> float | None:
        """When the probe that makes the verdict was answered, looking from entry `since` on."""
        run = 0
        for moment, ok in self.seen[since:]:
            run = run + 1 if ok is healthy else 0
            if run == streak:
                return moment
        return None


class Deaf:
    """Takes connections and says nothing."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]

    def close(self) -> None:
        self._socket.close()
