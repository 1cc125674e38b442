"""The native lane over databases: threads know who is where, and what they cannot read is Python's."""

from __future__ import annotations

import io
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path

import maxminddb
import pytest
from e2e_support import Server, until
from geo_support import write

LANES_OF_ITS_OWN = True
ZONE = """
zone: shop.example
ttl: 2s
nameservers: {ns1: 192.0.2.53}
regions: {east: {at: [23, 113]}, west: {at: [50, 8]}}
policies: {p: [{when: {country: CN}, to: east}, {to: nearest}]}
pools: {web: {policy: p, regions: {east: 192.0.2.1, west: 192.0.2.2}}}
records: {www: {steer: web}}
"""
CHINA, GERMANY = "10.1.0.0/24", "10.50.0.0/24"
COUNTRIES = "databases: {{city: {city}, synthetic: true}}\nlane: native\nthreads: 2\n"


@pytest.fixture
def city(tmp_path: Path) -> Path:
    """A City database that the test may change, of more blocks than are looked at when it is opened."""
    said = {f"1.{i >> 8}.{i & 255}.0/24": {"country": {"iso_code": ("JP", "KR")[i % 2]}} for i in range(600)}
    said[CHINA], said[GERMANY] = {"country": {"iso_code": "CN"}}, {"country": {"iso_code": "DE"}}
    return write(tmp_path / "city.mmdb", "City", said)


def answers(server: Server) -> tuple[list[str], list[str]]:
    return server.answers(subnet=CHINA), server.answers(subnet=GERMANY)


def passed(server: Server) -> float:
    return server.metric("geodns_passed_queries_total")


@pytest.mark.usefixtures("native_lane")
def test_threads_know_where_clients_are(serve: Callable[..., Server], city: Path) -> None:
    server = serve(ZONE, COUNTRIES.format(city=city)).start()
    for _ in range(20):
        assert answers(server) == (["192.0.2.1"], ["192.0.2.2"])
    assert passed(server) == 0
    assert server.metric("geodns_queries_total") >= 40
    assert server.metric('geodns_steered_answers_total{pool="shop.example/web",region="east"}') >= 20


@pytest.mark.usefixtures("native_lane")
def test_a_database_that_threads_cannot_read_leaves_steered_names_to_python(
    serve: Callable[..., Server], city: Path
) -> None:
    """A pointer of the tree that leads nowhere, where nobody comes along who looks up one address."""
    whole = city.read_bytes()
    city.write_bytes(_damaged(whole))
    server = serve(ZONE, COUNTRIES.format(city=city)).start()
    assert "cannot be read as a whole" in server.status()["lane_why"]
    assert answers(server) == (["192.0.2.1"], ["192.0.2.2"])
    until(lambda: passed(server) >= 2)  # threads book behind the answers
    city.with_suffix(".new").write_bytes(whole)
    city.with_suffix(".new").replace(city)
    until(lambda: "lane_why" not in server.status())
    before = passed(server)
    assert answers(server) == (["192.0.2.1"], ["192.0.2.2"])
    assert passed(server) == before


def _damaged(whole: bytes) -> bytes:
    """The tree's record for the last of the blocks before our clients' leads far beyond the file."""
    about = maxminddb.open_database(io.BytesIO(whole), maxminddb.MODE_FD).metadata()
    size = about.record_size // 4  # octets of a node, which is two records
    network = ip_network("1.2.87.0/24")
    node, address = 0, int(network.network_address)
    for bit in range(127, -1, -1):
        at = size * node + size // 2 * (address >> bit & 1)
        node = int.from_bytes(whole[at : at + size // 2])
        if node >= about.node_count:
            assert node > about.node_count, "there is a record"
            return whole[:at] + b"\xff" * (size // 2) + whole[at + size // 2 :]
    raise AssertionError("the tree does not end")
