"""geodns itself under measure, and zones of any size for it."""

from __future__ import annotations

import json
import signal
import sys
import urllib.request
from pathlib import Path
from typing import Any

from bench import data, machine
from bench.machine import BenchError
from bench.server import Server, version_of

HOLDER = "_shared.yaml"
FALL = 2  # failed probes in a row that make an endpoint down


class Geodns(Server):
    """One lane of geodns, with the settings' defaults. The subclasses say which."""

    lane = ""
    program = "geodns"
    ready_within = 120.0

    def __init__(self, folder: Path, mmdb: Path, names: int = data.NAMES, threads: int = 1) -> None:
        super().__init__(folder, mmdb, names, threads)
        self.admin = 0
        self.probes: dict[str, int] = {}  # region: port of the HTTP server that answers for it
        self.all_answers = False  # each answer has all addresses of its region

    @classmethod
    def executable(cls) -> str:
        found = Path(sys.executable).parent / "geodns"
        if not found.exists():
            raise BenchError(f"geodns: {found} is not there; run `make install`")
        if cls.lane != "python" and not is_setting("lane"):
            raise BenchError(f"{cls.title}: there is no such lane in this build (`lane` is no setting)")
        return str(found)

    @classmethod
    def version(cls) -> str:
        return version_of(
            [
                sys.executable,
                "-c",
                "from importlib.metadata import version as v; print('geodns', v('geodns'))",
            ]
        )

    @property
    def zones(self) -> Path:
        return self.folder / "zones"

    @property
    def token(self) -> Path:
        return self.folder / "token"

    def prepare(self) -> None:
        self.admin = machine.free_port()
        self.zones.mkdir()
        (self.zones / HOLDER).write_text(self.shared())
        zone_file(self.zones).write_text(zone(self.names))
        settings = {
            "listen": {"dns": [f"127.0.0.1:{self.port}"]},
            "zones": str(self.zones),
            "databases": {"city": str(self.mmdb), "synthetic": True},
            "admin": {"listen": f"127.0.0.1:{self.admin}", "token_file": str(self.token)},
            "state": str(self.folder / "state.sqlite"),
            "probes": {"allow": ["127.0.0.0/8"]},
            **({"lane": self.lane} if is_setting("lane") else {}),
            **({"threads": self.threads} if self.threads > 1 else {}),
        }
        (self.folder / "geodns.yaml").write_text(json.dumps(settings, indent=2))  # JSON is YAML

    def shared(self) -> str:
        """Regions, the policy and the pool; checked over HTTP at the probes' ports, else not at all."""
        lines = ["regions:"]
        lines += [f"  {r.id}: {{title: {r.id}, at: [{r.at[0]}, {r.at[1]}]}}" for r in self.regions]
        if self.probes:
            lines += [
                "checks:",
                f"  web: {{type: http, path: /, interval: 1s, timeout: 1s, fall: {FALL}, rise: 2,",
                "        damping: 0}",
            ]
        lines += ["policies:", "  world:"]
        lines += [f"    - {{when: {{country: {c}}}, to: {r}}}" for c, r in data.BY_COUNTRY.items()]
        lines += [f"    - {{when: {{continent: {c}}}, to: {r}}}" for c, r in data.BY_CONTINENT.items()]
        lines += [f"    - {{to: {data.DEFAULT_REGION}}}", "pools:", "  web:", "    policy: world"]
        lines += ["    check: web"] if self.probes else []
        lines += ["    answers: all"] if self.all_answers else []
        lines.append("    regions:")
        for region in self.regions:
            lines.append(f"      {region.id}:")
            for address, weight in zip(region.addresses, data.WEIGHTS, strict=True):
                probe = f", probe: 127.0.0.1, port: {self.probes[region.id]}" if self.probes else ""
                lines.append(f"        - {{address: {address}, weight: {weight}{probe}}}")
        return "\n".join(lines) + "\n"

    def command(self) -> list[str]:
        return [self.executable(), "serve", "--config", str(self.folder / "geodns.yaml")]

    def start(self) -> float:
        """As every server; BenchError where another lane answers than the one to be measured."""
        took = super().start()
        lane = self.status()["lane"]
        if lane != self.lane:
            self.stop()
            raise BenchError(f"{self.title}: the lane that answers is '{lane}'")
        return took

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self.api("GET", "/api/v1/status")
        return found

    def api(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """A call of the admin API; the JSON it answers with. OSError where it refuses."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.admin}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {self.token.read_text().strip()}",
                "Content-Type": "application/json",
            },
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            text = response.read()
        return json.loads(text) if text else None

    def reload(self) -> None:
        """Ask the running server to read its files anew."""
        assert self.process is not None
        self.process.send_signal(signal.SIGHUP)


class GeodnsPython(Geodns):
    id = "geodns-python"
    title = "geodns (Python lane)"
    lane = "python"


class GeodnsNative(Geodns):
    id = "geodns-native"
    title = "geodns (native lane)"
    lane = "native"


LANES: tuple[type[Geodns], ...] = (GeodnsPython, GeodnsNative)


def is_setting(key: str) -> bool:
    """Whether geodns.yaml has this key in the geodns that is installed."""
    from geodns.config.schema.settings import Settings  # noqa: PLC0415  the peers are measured without it

    return key in Settings.model_fields


def zone_file(zones: Path) -> Path:
    return zones / f"{data.ZONE}.yaml"


def zone(names: int, ttl: int = data.TTL) -> str:
    """A zone whose names all steer to the one pool."""
    lines = [f"zone: {data.ZONE}", f"ttl: {ttl}s", "nameservers:"]
    lines += [f"  {ns}: [{address}]" for ns, address in data.NAMESERVERS.items()]
    lines.append("records:")
    lines += [f"  {name}: {{steer: web}}" for name in data.names(names)]
    return "\n".join(lines) + "\n"
