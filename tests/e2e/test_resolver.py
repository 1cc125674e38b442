"""A real resolver in front: unbound with Client Subnet, which caches by the scope that geodns gives."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import dns.edns
import dns.message
import dns.query
import pytest
from e2e_support import PATIENCE, Server, free_port, until

ZONE = """
zone: shop.example
ttl: 60s
nameservers: {ns1: 127.0.0.1}
regions: {cn: {}, eu: {}, us: {}}
policies:
  by-place:
    - {when: {country: CN}, to: cn}
    - {when: {continent: EU}, to: eu}
    - {to: us}
pools:
  web: {policy: by-place, regions: {cn: 192.0.2.1, eu: 192.0.2.2, us: 192.0.2.3}}
records:
  www: {steer: web}
  static: {A: 192.0.2.100}
"""
CONFIG = """
server:
  interface: 127.0.0.1@{port}
  do-daemonize: no
  username: ""
  chroot: ""
  directory: "{folder}"
  pidfile: ""
  use-syslog: no
  num-threads: 1
  do-not-query-localhost: no
  module-config: "subnetcache iterator"
  client-subnet-zone: "shop.example"
  client-subnet-always-forward: yes
  max-client-subnet-ipv4: 24
  access-control: 127.0.0.0/8 allow
  qname-minimisation: yes
remote-control:
  control-enable: no
stub-zone:
  name: "shop.example"
  stub-addr: 127.0.0.1@{geodns}
"""


@pytest.fixture(scope="module")
def geodns(serve: Callable[..., Server], databases: Mapping[str, Path]) -> Server:
    named = f"{{synthetic: true, city: {databases['city']}}}"
    return serve({"shop.example.yaml": ZONE}, f"databases: {named}\n").start()


@pytest.fixture(scope="module")
def resolver(
    geodns: Server, required: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[int]:
    folder, port = tmp_path_factory.mktemp("unbound"), free_port()
    config = folder / "unbound.conf"
    config.write_text(CONFIG.format(port=port, folder=folder, geodns=geodns.port))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([required("unbound"), "-c", config, "-d"], stdout=log, stderr=log)
    try:
        until(lambda: process.poll() is not None or _try(port))
        assert process.poll() is None, (folder / "log").read_text()
        yield port
    finally:
        process.terminate()
        process.wait(PATIENCE)


def _try(port: int) -> bool:
    try:
        return bool(_resolve(port, "static.shop.example"))
    except dns.exception.DNSException:
        return False


def _resolve(port: int, name: str, subnet: str = "") -> list[str]:
    options = [dns.edns.ECSOption(subnet, 24)] if subnet else []
    query = dns.message.make_query(name, "A", use_edns=0, options=options)
    reply = dns.query.udp(query, "127.0.0.1", timeout=2, port=port)
    return [data.to_text() for rrset in reply.answer for data in rrset]


def test_static_data_comes_through(resolver: int) -> None:
    assert _resolve(resolver, "static.shop.example") == ["192.0.2.100"]


def test_each_client_gets_the_answer_of_its_place_cached_or_not(resolver: int) -> None:
    """Twice, so that the second round comes from the cache, where a scope too wide would mix clients up."""
    clients = {"10.1.2.0": "192.0.2.1", "10.50.2.0": "192.0.2.2", "10.60.2.0": "192.0.2.3"}
    for _ in range(2):
        assert {client: _resolve(resolver, "www.shop.example", client) for client in clients} == {
            client: [address] for client, address in clients.items()
        }


def test_an_answer_is_shared_by_its_scope_and_by_no_more(geodns: Server, resolver: int) -> None:
    def asked() -> float:
        return geodns.metric("geodns_queries_total")

    _resolve(resolver, "www.shop.example", "10.13.16.0")
    before = asked()
    _resolve(resolver, "www.shop.example", "10.13.17.0")
    assert asked() == before, "the same /20: from the cache"
    _resolve(resolver, "www.shop.example", "10.13.32.0")
    assert asked() > before, "another /20"
