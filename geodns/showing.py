"""The demo: the real server on loopback, over endpoints that it starts itself, told as it happens."""

from __future__ import annotations

import asyncio
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from geodns.app import Server
from geodns.config.settings import load_settings
from geodns.core.compile.bodies import SheetSpec
from geodns.core.health import Health, Probe, probes_of
from geodns.core.steer.odds import available, decide
from geodns.core.world import World, families
from geodns.demo.databases import EXAMPLES, FILES, build
from geodns.demo.endpoints import HOST, Endpoints, control_path, serve_control
from geodns.demo.narrate import narrate
from geodns.geo.mmdb import Kind
from geodns.loading import Request, read_model
from geodns.model import Model
from geodns.observe.log import setup
from geodns.operations import client_of, question_of

NAME = "www.gslb.example.com"
CLIENTS = {title: network for title, network in EXAMPLES.items() if ":" not in network}


def run(dns_port: int, admin_port: int, lane: str) -> None:
    """Run until Ctrl-C. Raises GeodnsError where it cannot start."""
    setup("warning")
    asyncio.run(_run(dns_port, admin_port, lane))


async def _run(dns_port: int, admin_port: int, lane: str) -> None:
    home = Path.cwd()
    databases = home / "data" / "synthetic"
    build(databases)
    with tempfile.TemporaryDirectory(prefix="geodns-demo-") as folder:
        flags = _settings(home, databases, Path(folder), dns_port, admin_port)
        settings = load_settings(None, flags | {"lane": lane}, {})
        model, _ = read_model(Request(settings.zones, None, frozenset(Kind), settings.limits.zone_bytes))
        endpoints = Endpoints(ports(model))
        story = Story(endpoints)
        story.server = server = Server(settings, story.heard)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, server.stop)
        await endpoints.start()
        control: asyncio.Server | None = None
        try:
            control = await serve_control(endpoints)
            await server.run(lambda: print(greeting(dns_port, admin_port, server.lane.name), flush=True))
        finally:
            if control is not None:
                control.close()
                _clean_up()
            await endpoints.stop()
        print("the demo has stopped", flush=True)


def _settings(home: Path, databases: Path, state: Path, dns_port: int, admin_port: int) -> dict[str, str]:
    return {
        "listen.dns": f"{HOST}:{dns_port}",
        "admin.listen": f"{HOST}:{admin_port}",
        "admin.token_file": str(token_path()),
        "zones": str(home / "zones"),
        "state": str(state / "state.sqlite"),
        "databases.synthetic": "true",
        "probes.allow": f"{HOST}/32",
    } | {
        f"databases.{kind.value}": str(databases / name)
        for kind, name in zip(Kind, FILES.values(), strict=True)
    }


def _clean_up() -> None:
    """Leave nothing where other terminals looked for this demo."""
    for path in (control_path(), token_path()):
        path.unlink(missing_ok=True)
    with suppress(OSError):  # something of the user's own lies there
        control_path().parent.rmdir()


def token_path() -> Path:
    """Where the demo's token is, beside its control socket, so that other terminals find it."""
    return control_path().parent / "token"


def ports(model: Model) -> dict[int, str]:
    """The loopback ports that the zones' endpoints are probed at, with the region of each."""
    return {
        endpoint.port: region.region
        for pool in model.pools.values()
        for region in pool.regions
        for endpoint in region.endpoints
        if endpoint.probe == HOST and endpoint.port is not None
    }


def greeting(dns_port: int, admin_port: int, lane: str) -> str:
    """The handful of lines to try, fit to be pasted as they are."""
    geodns = Path(sys.argv[0]).resolve()
    token = f"$(cat {token_path()})"
    env = f"DNS_PORT={dns_port} " if dns_port != 5300 else ""
    admin_env = f"ADMIN_PORT={admin_port} " if admin_port != 8053 else ""
    dig = f"dig @{HOST} -p {dns_port} {NAME} +short"
    lines = [
        f"geodns answers on {HOST}:{dns_port} (UDP and TCP, {lane} lane), its API on port {admin_port}; "
        "Ctrl-C stops it.",
        "The geo databases are synthetic: the clients below are made up. In another terminal, try:",
        f"  {dig} +subnet={CLIENTS['Telecom Guangdong']}     # China Telecom, Guangdong",
        f"  {dig} +subnet={CLIENTS['Frankfurt']}     # Frankfurt",
        f"  {env}{geodns} ask {NAME} --from {CLIENTS['Oregon']}     # the same without dig",
        f"  {admin_env}{geodns} explain {NAME} --from {CLIENTS['Telecom Guangdong']}",
        f"  {geodns} demo break cn-south     # and watch here; then: {geodns} demo mend cn-south",
        f"  {admin_env}{geodns} pause eu-west --reason 'trying it out' --for 1m",
        f'  curl -s -H "Authorization: Bearer {token}" http://{HOST}:{admin_port}/api/v1/status',
    ]
    return "\n".join(lines)


class Story:
    """Tells, when a region falls or returns, who is answered from elsewhere now."""

    server: Server

    def __init__(self, endpoints: Endpoints) -> None:
        self._endpoints = endpoints

    def heard(self, before: World, after: World, changes: Mapping[Probe, Health]) -> None:
        now = time.time()
        for region in after.regions:
            was, is_ = self._up(before, region), self._up(after, region)
            if was is None or was == is_ or not self._endpoints.changed_at:
                continue
            reason = next((h.reason for p, h in changes.items() if region in _regions(after, p)), "")
            since = self._endpoints.changed_at.get(region, now)
            verdict, streak = "up" if is_ else "down", reason.partition(":")[0]
            shifts = self._shifts(before, after)
            print(narrate(region, verdict, streak, now - since, shifts), flush=True)

    def _shifts(self, before: World, after: World) -> list[tuple[str, str, str]]:
        return [
            (title, self._serving(before, network), self._serving(after, network))
            for title, network in CLIENTS.items()
        ]

    def _serving(self, world: World, network: str) -> str:
        """The region that most answers to a client of the network come from."""
        spec, plan = self._spec()
        located = self.server.geography.locate(client_of(network).subnet.ip())
        order = self.server.sheets.classes[plan].plan.order(located.place).order
        shares = decide(world.pools[spec.pool], order, world, 4).shares()
        return max(shares, key=lambda region: shares[region], default="")

    def _up(self, world: World, region: str) -> bool | None:
        """Whether a region may serve NAME; None where its pool lacks the region.

        Other pools fall at other moments, and nobody's answer to NAME changes then.
        """
        pool = world.pools[self._spec()[0].pool]
        found = pool.region(region)
        return None if found is None else available(pool, found, world)

    def _spec(self) -> tuple[SheetSpec, int]:
        """What NAME's sheet is made for, and its plan."""
        made = self.server.replay.look_up(*question_of(NAME, "A"))
        assert made is not None
        sheets = self.server.sheets
        return sheets.specs[made.sheet], sheets.sheets[made.sheet].plan


def _regions(world: World, probe: Probe) -> set[str]:
    return {
        region.region
        for pool in world.pools.values()
        for region in pool.regions
        for endpoint in region.endpoints
        for family in families(endpoint)
        if probe in probes_of(endpoint, family)
    }
