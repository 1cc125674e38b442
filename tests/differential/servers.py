"""geodns, NSD, Knot and BIND on loopback: each in a folder of its own, started and ended from here."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.differential.written import write_masters, write_yaml
from tests.differential.zones import Zone, text, wire

LIMIT = 1232  # the UDP payload of all servers here
READY_WITHIN = 60.0
PEERS = {"nsd": "nsd", "knot": "knotd", "bind": "named"}
US = "geodns"


class ServerError(Exception):
    """A server that cannot be started, or that refused a zone; with its log."""


def program(name: str) -> str | None:
    """The path of a server's program, looked for in /usr/sbin too; None where there is none."""
    return str(Path(sys.executable).parent / US) if name == US else find(PEERS[name])


def find(program: str) -> str | None:
    places = os.pathsep.join((os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"))
    return shutil.which(program, path=places)


def free_port() -> int:
    """A port that is free for UDP and TCP on 127.0.0.1 just now."""
    while True:
        with socket.socket() as stream, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
            stream.bind(("127.0.0.1", 0))
            port = int(stream.getsockname()[1])
            with suppress(OSError):
                datagrams.bind(("127.0.0.1", port))
                return port


@contextmanager
def started(zones: list[Zone], folder: Path) -> Iterator[dict[str, int]]:
    """All four, answering for all zones: name -> port. Raises ServerError."""
    masters = folder / "masters"
    write_masters(zones, masters)
    running: dict[str, subprocess.Popen[bytes]] = {}
    ports: dict[str, int] = {}
    try:
        for name, configure in CONFIGURE.items():
            home = folder / name
            home.mkdir()
            ports[name] = free_port()
            command = [program(name) or name, *configure(zones, masters, home, ports[name])]
            with (home / "log").open("wb") as log:
                running[name] = subprocess.Popen(
                    command, cwd=home, stdin=subprocess.DEVNULL, stdout=log, stderr=log
                )
        for name, process in running.items():
            wait_ready(name, ports[name], zones, folder / name / "log", process)
        yield ports
    finally:
        for process in running.values():
            process.terminate()
        for process in running.values():
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _geodns(zones: list[Zone], masters: Path, home: Path, port: int) -> list[str]:
    write_yaml(zones, home / "zones")
    settings = {
        "listen": {"dns": [f"127.0.0.1:{port}"]},
        "zones": str(home / "zones"),
        "admin": {"listen": "127.0.0.1:0", "token_file": str(home / "token")},
        "state": str(home / "state.sqlite"),
        "limits": {"udp_payload": LIMIT},
        "identity": {"version": "v", "server": "s", "nsid": "n"},
    }
    (home / "geodns.yaml").write_text(json.dumps(settings))
    return ["serve", "--config", str(home / "geodns.yaml")]


def _nsd(zones: list[Zone], masters: Path, home: Path, port: int) -> list[str]:
    lines = [
        "server:",
        f"  ip-address: 127.0.0.1@{port}",
        "  server-count: 1",
        '  username: ""',
        '  database: ""',
        f'  zonesdir: "{masters}"',
        f'  pidfile: "{home}/pid"',
        f'  xfrdfile: "{home}/xfrd"',
        f'  xfrdir: "{home}"',
        f'  zonelistfile: "{home}/zonelist"',
        "  minimal-responses: yes",
        f"  ipv4-edns-size: {LIMIT}",
        "  rrl-ratelimit: 0",
        "  tcp-query-count: 0",
        '  version: "v"',
        '  identity: "s"',
        '  nsid: "ascii_n"',
        "  answer-cookie: yes",
        "remote-control:",
        "  control-enable: no",
    ]
    for number, zone in enumerate(zones):
        lines += ["zone:", f'  name: "{text(zone.apex)}"', f'  zonefile: "{number}.zone"']
    (home / "nsd.conf").write_text("\n".join(lines) + "\n")
    return ["-d", "-c", str(home / "nsd.conf")]


def _knot(zones: list[Zone], masters: Path, home: Path, port: int) -> list[str]:
    lines = [
        "server:",
        f'    rundir: "{home}"',
        f"    listen: 127.0.0.1@{port}",
        "    udp-workers: 1",
        "    tcp-workers: 1",
        "    background-workers: 1",
        f"    udp-max-payload: {LIMIT}",
        '    version: "v"',
        '    identity: "s"',
        '    nsid: "n"',
        "log:",
        "  - target: stderr",
        "    any: info",
        "database:",
        f'    storage: "{home}"',
        "mod-cookies:",
        "  - id: default",
        "template:",
        "  - id: default",
        "    global-module: mod-cookies/default",
        f'    storage: "{masters}"',
        "    semantic-checks: off",
        "    journal-content: none",
        "zone:",
    ]
    for number, zone in enumerate(zones):
        lines += [f'  - domain: "{text(zone.apex)}"', f'    file: "{number}.zone"']
    (home / "knot.conf").write_text("\n".join(lines) + "\n")
    return ["-c", str(home / "knot.conf")]


def _bind(zones: list[Zone], masters: Path, home: Path, port: int) -> list[str]:
    lines = [
        "options {",
        f'  directory "{home}"; pid-file "{home}/pid"; session-keyfile none; lock-file none;',
        f"  listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};",
        "  recursion no; allow-query { any; }; notify no; dnssec-validation no; empty-zones-enable no;",
        '  zero-no-soa-ttl no; version "v"; hostname "s"; server-id "n";',
        f"  minimal-responses no-auth; minimal-any no; max-udp-size {LIMIT}; edns-udp-size {LIMIT};",
        "  check-integrity no; check-wildcard no; check-mx ignore; check-mx-cname ignore;",
        "  check-srv-cname ignore; check-sibling no; check-names primary ignore; check-dup-records ignore;",
        "};",
        "controls { };",
        "logging { category default { stderr_log; }; channel stderr_log { stderr; severity info; }; };",
    ]
    for number, zone in enumerate(zones):
        lines.append(f'zone "{text(zone.apex)}" {{ type primary; file "{masters}/{number}.zone"; }};')
    (home / "named.conf").write_text("\n".join(lines) + "\n")
    return ["-g", "-n", "1", "-c", str(home / "named.conf")]


CONFIGURE = {US: _geodns, "nsd": _nsd, "knot": _knot, "bind": _bind}


def wait_ready(name: str, port: int, zones: list[Zone], log: Path, process: subprocess.Popen[bytes]) -> None:
    """Wait until every zone's SOA is answered. Raises ServerError with the log where that never comes."""
    deadline = time.monotonic() + READY_WITHIN
    with socket.socket(type=socket.SOCK_DGRAM) as client:
        client.settimeout(0.2)
        client.connect(("127.0.0.1", port))
        for zone in zones:
            query = b"\x12\x34\0\0\0\1\0\0\0\0\0\0" + wire(zone.apex) + b"\0\6\0\1"
            while True:
                with suppress(OSError):
                    client.send(query)
                    reply = client.recv(4096)
                    if reply[3] & 15 == 0 and reply[2] & 4:
                        break
                if process.poll() is not None or time.monotonic() > deadline:
                    said = [line for line in log.read_text().splitlines() if "warning" not in line]
                    raise ServerError(
                        f"{name} does not answer for {text(zone.apex)}:\n" + "\n".join(said[-30:])
                    )
                time.sleep(0.05)
