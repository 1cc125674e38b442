"""The databases that places are measured with: what was put in is found by the usual reader."""

from __future__ import annotations

import random
from ipaddress import IPv4Address, IPv6Address, ip_address
from itertools import pairwise
from pathlib import Path

import maxminddb
import pytest

from bench import world
from bench.mmdb import Records, write

BERLIN = {
    "city": {"geoname_id": 2950159, "names": {"en": "Berlin", "zh-CN": "柏林"}},
    "country": {"iso_code": "DE"},
    "location": {"latitude": 52.5244, "longitude": 13.4105},
    "subdivisions": [{"iso_code": "BE"}],
}
LONG = {"names": {"en": "x" * 40, "de": "y" * 300}, "number": 0, "list": list(range(40))}
V4 = int(IPv4Address("10.0.0.0"))


@pytest.fixture
def reader(tmp_path: Path) -> maxminddb.Reader:
    records = Records()
    berlin, other = records.put(BERLIN), records.put(LONG)
    blocks = [(V4, 96 + 9, berlin), (V4 + (1 << 23), 96 + 10, other), (0x20010DB8 << 96, 33, berlin)]
    assert write(tmp_path / "City.mmdb", "City", blocks, records) == len(blocks)
    return maxminddb.open_database(tmp_path / "City.mmdb", maxminddb.MODE_MMAP_EXT)


@pytest.mark.parametrize(
    ("address", "record", "length"),
    [
        ("10.0.0.0", BERLIN, 9),
        ("10.127.255.255", BERLIN, 9),
        ("10.128.0.1", LONG, 10),
        ("10.192.0.0", None, 10),
        ("11.0.0.0", None, 8),
        ("2001:db8::1", BERLIN, 33),
        ("2001:db8:8000::", None, 33),
        ("::ffff:10.0.0.1", BERLIN, 105),
        ("2002:a00:1::", BERLIN, 25),
        ("2001:0:a00:1::", BERLIN, 41),
    ],
)
def test_the_usual_reader_finds_what_was_put_in(
    reader: maxminddb.Reader, address: str, record: object, length: int
) -> None:
    assert reader.get_with_prefix_len(ip_address(address)) == (record, length)


def test_records_share_what_is_the_same() -> None:
    records = Records()
    assert records.put(BERLIN) == records.put({**BERLIN})
    size = len(records.data)
    records.put({**BERLIN, "location": {"latitude": 1.0, "longitude": 2.0}})
    assert len(records.data) - size < 80


def test_a_world_s_blocks_ascend_and_lie_apart() -> None:
    found = [*world.blocks(random.Random(1), 90_000, 20_000)]
    assert 85_000 < sum(start < 1 << 32 for start, _, _ in found) < 130_000
    assert 15_000 < sum(start >= 1 << 32 for start, _, _ in found) < 25_000
    for (start, length, _), (following, _, _) in pairwise(found):
        assert not start & (1 << 128 - length) - 1
        assert start + (1 << 128 - length) <= following, IPv6Address(start)
