"""Checks by programs, gRPC, HTTP/2, heartbeats and what other checks find: the whole way to the answers."""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import grpc
import pytest
from e2e_support import GEODNS, Origin, Server, free_port, run, until
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from geodns.core.heartbeats import sign

EAST, WEST = "192.0.2.1", "192.0.2.2"
SECRET = "s3cret-of-the-agents-in-hex"
KEYS = "heartbeats: {keys: {agents: {file: secret}, others: {file: other}}}\nlimits: {commands: 2}\n"
ZONE = """
zone: shop.example
ttl: 2s
ttl_min: 1s
nameservers: {{ns1: 192.0.2.53}}
regions: {{east: {{}}, west: {{}}}}
policies: {{in-order: [{{to: [east, west]}}]}}
checks:
  pace: {{type: http, interval: 200ms, timeout: 200ms, fall: 2, rise: 2, damping: 0}}
  program: {{like: pace, type: exec, timeout: 1s, command: [/bin/sh, -c, '. {folder}/script']}}
  grpc: {{like: pace, type: grpc, port: {grpc}, service: shop.Cart}}
  http2: {{like: pace, type: http, version: 2, method: POST, path: /a, port: {grpc}, probe: 127.0.0.1,
           headers: {{te: trailers, content-type: application/grpc}}}}
  beat: {{type: heartbeat, key: agents, interval: 1s, fall: 2, rise: 2, damping: 0}}
  web: {{like: pace, port: {web}}}
  both: {{type: follow, of: [web, http2]}}
pools:
  program: {{check: program, policy: in-order, regions: {regions}}}
  grpc: {{check: grpc, policy: in-order, regions: {regions}}}
  beat: {{check: beat, policy: in-order, regions: {regions}}}
  both: {{check: both, policy: in-order, regions: {regions}}}
records:
  program: {{steer: program}}
  grpc: {{steer: grpc}}
  beat: {{steer: beat}}
  both: {{steer: both}}
"""
REGIONS = (
    "{east: {name: e1, address: 192.0.2.1, probe: 127.0.0.1}, "
    "west: {name: w1, address: 192.0.2.2, check: none}}"
)


class Grpc:
    """A real gRPC server that can be ended and begun again at its port."""

    def __init__(self) -> None:
        self.health = health.HealthServicer()
        self.port = free_port()
        self.server: grpc.Server
        self.open()

    def open(self) -> None:
        self.server = grpc.server(ThreadPoolExecutor(2))
        health_pb2_grpc.add_HealthServicer_to_server(self.health, self.server)
        self.server.add_insecure_port(f"127.0.0.1:{self.port}")
        self.server.start()
        self.serving(True)

    def serving(self, well: bool) -> None:
        state = health_pb2.HealthCheckResponse
        self.health.set("shop.Cart", state.SERVING if well else state.NOT_SERVING)


class Shop(NamedTuple):
    server: Server
    grpc: Grpc
    web: Origin

    def leads_to(self, name: str, address: str) -> None:
        until(lambda: self.server.answers(f"{name}.shop.example") == [address])

    def script(self, text: str) -> None:
        path = self.server.folder / "script"
        path.with_suffix(".new").write_text(text)
        path.with_suffix(".new").rename(path)

    def beat(
        self, *words: str, key: str = "agents", file: str = "secret"
    ) -> subprocess.CompletedProcess[str]:
        where = ("--url", f"http://127.0.0.1:{self.server.admin_port}")
        secret = ("--secret-file", self.server.folder / file)
        return run("heartbeat", "east:shop.example/beat:e1", "--key", key, *secret, *words, *where)


@pytest.fixture(scope="module")
def shop(
    serve: Callable[..., Server], origin: Callable[[], Origin], monkeypatch_module: pytest.MonkeyPatch
) -> Iterator[Shop]:
    monkeypatch_module.setenv("GEODNS_PROBES_EXEC", "true")
    backend, web = Grpc(), origin()
    server = serve("", KEYS)
    told = {"folder": server.folder, "grpc": backend.port, "web": web.port, "regions": REGIONS}
    server.write("shop.example.yaml", ZONE.format(**told))
    for name, secret in (("secret", SECRET), ("other", "f" * 32)):
        (server.folder / name).write_text(secret)
        (server.folder / name).chmod(0o600)
    made = Shop(server, backend, web)
    made.script("exit 0")
    server.start()
    yield made
    backend.server.stop(None)


@pytest.fixture(scope="module")
def monkeypatch_module() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


def test_a_program_s_exit_code_decides_and_its_first_line_is_the_reason(shop: Shop) -> None:
    shop.leads_to("program", EAST)
    shop.script("echo the disk of $GEODNS_ADDRESS is full; exit 2")
    shop.leads_to("program", WEST)
    checks = shop.server.api("GET", "/api/v1/health")[1]["checks"]
    assert [c["reason"] for c in checks if c["kind"] == "exec"] == [
        "2 of 2: exit code 2: the disk of 127.0.0.1 is full"
    ]
    shop.script("sleep 60")
    time.sleep(2)
    shop.script("exit 0")
    shop.leads_to("program", EAST)
    assert "unexpected" not in shop.server.log()


def test_grpc_s_health_service_decides(shop: Shop) -> None:
    shop.leads_to("grpc", EAST)
    shop.grpc.serving(False)
    shop.leads_to("grpc", WEST)
    shop.grpc.serving(True)
    shop.leads_to("grpc", EAST)
    shop.grpc.server.stop(None).wait()
    shop.leads_to("grpc", WEST)
    shop.grpc.open()
    shop.leads_to("grpc", EAST)


def test_a_check_that_follows_two_needs_both(shop: Shop) -> None:
    shop.leads_to("both", EAST)
    shop.web.healthy = False
    shop.leads_to("both", WEST)
    shop.web.healthy = True
    shop.leads_to("both", EAST)
    shop.grpc.server.stop(None).wait()
    shop.leads_to("both", WEST)
    told = shop.server.cli("explain", "both.shop.example", "--from", "192.0.2.99", "-o", "json").stdout
    assert "1 of 2 up, 2 must be: http 2 of 2: connection refused" in told
    shop.grpc.open()
    shop.leads_to("both", EAST)


def test_an_endpoint_says_that_it_is_there_drains_and_falls_silent(shop: Shop) -> None:
    until(lambda: "is up" in shop.beat().stdout)
    assert shop.server.answers("beat.shop.example") == [EAST]
    told = shop.beat("--draining", "--load", "70", "--capacity", "100")
    assert told.stdout == "east:shop.example/beat:e1 is down: draining\n"
    assert shop.server.answers("beat.shop.example") == [WEST], "in the answers when the call returns"
    [report] = shop.server.api("GET", "/api/v1/loads")[1]["reports"]
    assert (report["subject"], report["load"], report["capacity"]) == ("east:shop.example/beat:e1", 70, 100)
    assert "is down" in shop.beat().stdout
    assert "is up" in shop.beat().stdout, "rise is 2"
    heard = time.monotonic()
    assert shop.server.answers("beat.shop.example") == [EAST]
    shop.leads_to("beat", WEST)
    assert 1.5 < time.monotonic() - heard < 4, "interval x fall is 2 s"
    status = shop.server.status()
    assert status["heartbeats"]["taken"] >= 4
    assert "heartbeats" in shop.server.cli("status").stdout
    assert shop.server.metric("geodns_heartbeats_total") >= 4


def test_a_loop_keeps_it_up(shop: Shop) -> None:
    where = ["--url", f"http://127.0.0.1:{shop.server.admin_port}", "--every", "300ms"]
    key = ["--key", "agents", "--secret-file", str(shop.server.folder / "secret")]
    agent = subprocess.Popen([GEODNS, "heartbeat", "east:shop.example/beat:e1", *key, *where])
    try:
        shop.leads_to("beat", EAST)
        for _ in range(30):
            assert shop.server.answers("beat.shop.example") == [EAST]
            time.sleep(0.1)
    finally:
        agent.terminate()
        agent.wait(5)
    shop.leads_to("beat", WEST)


def test_what_is_forged_replayed_or_somebody_else_s_does_not_count(shop: Shop) -> None:
    assert "sign the body" in shop.beat(file="other").stderr
    assert "has no heartbeat check with the key 'others'" in shop.beat(key="others", file="other").stderr
    body = json.dumps({"endpoint": "east:shop.example/beat:e1", "at": time.time()}).encode()
    signature = sign(SECRET.encode(), body)
    assert post(shop, body, signature) == 200
    assert post(shop, body, signature) == 409
    assert post(shop, body.replace(b"e1", b"w1"), signature) == 401
    old = json.dumps({"endpoint": "east:shop.example/beat:e1", "at": time.time() - 60}).encode()
    assert post(shop, old, sign(SECRET.encode(), old)) == 409


def post(shop: Shop, body: bytes, signature: str) -> int:
    headers = {"Geodns-Key": "agents", "Geodns-Signature": signature}
    url = f"http://127.0.0.1:{shop.server.admin_port}/api/v1/heartbeat"
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=5) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_what_was_overheard_does_not_outlive_a_restart(shop: Shop) -> None:
    body = json.dumps({"endpoint": "east:shop.example/beat:e1", "at": time.time()}).encode()
    signature = sign(SECRET.encode(), body)
    assert post(shop, body, signature) == 200
    assert shop.server.stop() == 0
    shop.server.start()
    assert post(shop, body, signature) == 409


def test_programs_and_keys_that_the_settings_do_not_know_are_told_with_their_place(tmp_path: Path) -> None:
    (tmp_path / "zones").mkdir()
    text = ZONE.format(folder=tmp_path, grpc=1, web=1, regions=REGIONS)
    (tmp_path / "zones" / "shop.example.yaml").write_text(text)
    (tmp_path / "geodns.yaml").write_text("zones: zones\n")
    environ = {name: value for name, value in os.environ.items() if name != "GEODNS_PROBES_EXEC"}
    done = run("check", tmp_path / "geodns.yaml", folder=tmp_path, environ=environ)
    assert done.returncode == 1
    assert "shop.example.yaml:10:3: checks may not run programs here: exec is off" in done.stdout
    assert "there is no heartbeat key 'agents' (define it in heartbeats.keys in geodns.yaml)" in done.stdout
