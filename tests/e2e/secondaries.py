"""NSD, Knot and BIND as secondaries of a started geodns: each in a folder and with a key of its own."""

from __future__ import annotations

import subprocess
from base64 import b64encode
from collections.abc import Callable, Iterable
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import dns.rdatatype
import dns.tsigkeyring
import dns.xfr
import dns.zone
from e2e_support import free_port

PROGRAMS = {"nsd": "nsd", "knot": "knotd", "bind": "named"}


class Secondary:
    """One of them. It is not started yet; `secret` is that of the key that has its name."""

    def __init__(self, name: str, folder: Path, zones: Iterable[str]) -> None:
        self.name = name
        self.folder = folder
        self.zones = list(zones)
        self.port = free_port()
        self.secret = b64encode(name.encode() * 10).decode()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, program: str, primary: int) -> None:
        """Run it as a secondary of the server at a port of 127.0.0.1; everybody may transfer from it."""
        self.folder.mkdir()
        words = CONFIGURE[self.name](self, primary)
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [program, *words], cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def ask(self, name: str, rtype: str) -> dns.message.Message:
        return ask(self.port, name, rtype)

    def serial(self, zone: str) -> int | None:
        """The serial it answers with; None while it has no such zone."""
        try:
            reply = self.ask(zone, "SOA")
        except dns.exception.DNSException:
            return None
        return reply.answer[0][0].serial if reply.answer else None

    def zone(self, name: str) -> dns.zone.Zone:
        """What it has, transferred from it."""
        return transferred(self.port, name)


def ask(port: int, name: str, rtype: str) -> dns.message.Message:
    query = dns.message.make_query(name, rtype, flags=0, use_edns=0, payload=1232)
    return dns.query.udp(query, "127.0.0.1", timeout=1.0, port=port)


def transferred(port: int, name: str, key: tuple[str, str] | None = None) -> dns.zone.Zone:
    """A zone as a server transfers it; `key` is a name and a base64 secret (hmac-sha256)."""
    zone = dns.zone.Zone(name, relativize=False)
    query, _ = dns.xfr.make_query(zone)
    if key is not None:
        query.use_tsig(dns.tsigkeyring.from_text({key[0]: ("hmac-sha256", key[1])}))
    dns.query.inbound_xfr("127.0.0.1", zone, query, port=port, timeout=5.0)
    return zone


def _nsd(self: Secondary, primary: int) -> list[str]:
    lines = [
        "server:",
        f"  ip-address: 127.0.0.1@{self.port}",
        "  server-count: 1",
        '  username: ""',
        '  database: ""',
        f'  zonesdir: "{self.folder}"',
        f'  pidfile: "{self.folder}/pid"',
        f'  xfrdfile: "{self.folder}/xfrd"',
        f'  xfrdir: "{self.folder}"',
        f'  zonelistfile: "{self.folder}/zonelist"',
        "  xfrd-reload-timeout: 0",
        "  minimal-responses: yes",
        "remote-control:",
        "  control-enable: no",
        "key:",
        '  name: "nsd"',
        "  algorithm: hmac-sha256",
        f'  secret: "{self.secret}"',
    ]
    for number, zone in enumerate(self.zones):
        lines += [
            "zone:",
            f'  name: "{zone}"',
            f'  zonefile: "{number}.zone"',
            "  allow-notify: 127.0.0.1 nsd",
            f"  request-xfr: 127.0.0.1@{primary} nsd",
            "  provide-xfr: 127.0.0.1 NOKEY",
        ]
    (self.folder / "nsd.conf").write_text("\n".join(lines) + "\n")
    return ["-d", "-c", str(self.folder / "nsd.conf")]


def _knot(self: Secondary, primary: int) -> list[str]:
    lines = [
        "server:",
        f'    rundir: "{self.folder}"',
        f"    listen: 127.0.0.1@{self.port}",
        "    udp-workers: 1",
        "    tcp-workers: 1",
        "    background-workers: 1",
        "log:",
        "  - target: stderr",
        "    any: info",
        "database:",
        f'    storage: "{self.folder}"',
        "key:",
        "  - id: knot",
        "    algorithm: hmac-sha256",
        f"    secret: {self.secret}",
        "remote:",
        "  - id: primary",
        f"    address: 127.0.0.1@{primary}",
        "    key: knot",
        "acl:",
        "  - id: notify",
        "    address: 127.0.0.1",
        "    key: knot",
        "    action: notify",
        "  - id: transfer",
        "    address: 127.0.0.1",
        "    action: transfer",
        "template:",
        "  - id: default",
        f'    storage: "{self.folder}"',
        "    master: primary",
        "    acl: [notify, transfer]",
        "zone:",
        *(f'  - domain: "{zone}"' for zone in self.zones),
    ]
    (self.folder / "knot.conf").write_text("\n".join(lines) + "\n")
    return ["-c", str(self.folder / "knot.conf")]


def _bind(self: Secondary, primary: int) -> list[str]:
    lines = [
        f'key "bind" {{ algorithm hmac-sha256; secret "{self.secret}"; }};',
        "options {",
        f'  directory "{self.folder}"; pid-file "{self.folder}/pid"; session-keyfile none; lock-file none;',
        f"  listen-on port {self.port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};",
        "  recursion no; allow-query { any; }; notify no; dnssec-validation no; empty-zones-enable no;",
        "  minimal-responses no-auth; allow-transfer { 127.0.0.1; }; zero-no-soa-ttl no;",
        "  check-names secondary ignore; serial-query-rate 1000; transfers-per-ns 20; transfers-in 20;",
        "};",
        "controls { };",
        "logging { category default { stderr_log; }; channel stderr_log { stderr; severity info; }; };",
    ]
    for number, zone in enumerate(self.zones):
        lines.append(
            f'zone "{zone}" {{ type secondary; file "{number}.zone"; allow-notify {{ key bind; }};'
            f" primaries {{ 127.0.0.1 port {primary} key bind; }}; }};"
        )
    (self.folder / "named.conf").write_text("\n".join(lines) + "\n")
    return ["-g", "-n", "1", "-c", str(self.folder / "named.conf")]


CONFIGURE: dict[str, Callable[[Secondary, int], list[str]]] = {"nsd": _nsd, "knot": _knot, "bind": _bind}
