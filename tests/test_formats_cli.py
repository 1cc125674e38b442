"""`geodns import` and `geodns export`, as one calls them."""

# ruff: noqa: F401, F811 - fixtures are imported by name

from __future__ import annotations

from pathlib import Path

import pytest
from cli_support import Geodns, geodns

from geodns.config import yaml

MASTER = """\
$ORIGIN z.example.
$TTL 300
@ SOA ns host 7 7200 1800 1209600 60
@ NS ns
ns A 192.0.2.53
www A 192.0.2.80
"""
ZONE = """\
zone: z.example
ttl: 5m
soa: {mname: ns, rname: host, serial: 7, refresh: 2h, retry: 30m, expire: 14d, minimum: 1m, ttl: 5m}
nameservers:
  ns: [192.0.2.53]
records:
  www: {A: 192.0.2.80}
"""
STEERED = """\
  '@': {steer: {pool: web, answers: all}, TXT: x}
pools: {web: {regions: {eu: 192.0.2.10}}}
regions: {eu: {}}
"""


@pytest.fixture
def here(geodns: Geodns, tmp_path: Path) -> Path:
    """The folder that commands run in, with a master file in it."""
    (tmp_path / "db.z").write_text(MASTER)
    return tmp_path


def test_a_master_file_becomes_a_zone_file_that_is_right(geodns: Geodns, here: Path) -> None:
    assert geodns("import", "db.z") == (0, ZONE, "")
    (here / "zones").mkdir()
    assert geodns("import", "db.z", "--output", "zones/z.example.yaml") == (0, "", "")
    assert (here / "zones" / "z.example.yaml").read_text() == ZONE
    assert geodns("check", "zones") == (0, "0 errors, 0 warnings\n", "")


def test_a_file_that_is_there_stays_unless_forced(geodns: Geodns, here: Path) -> None:
    (here / "z.yaml").write_text("mine")
    done = geodns("import", "db.z", "--output", "z.yaml")
    assert (done.code, done.err) == (1, "geodns: z.yaml is there already: --force overwrites it\n")
    assert (here / "z.yaml").read_text() == "mine"
    assert geodns("import", "db.z", "--output", "z.yaml", "--force").code == 0
    assert (here / "z.yaml").read_text() == ZONE
    assert sorted(path.name for path in here.iterdir()) == ["db.z", "z.yaml"]


def test_a_bad_file_changes_nothing(geodns: Geodns, here: Path) -> None:
    (here / "z.yaml").write_text("mine")
    (here / "db.z").write_text(MASTER + "bad A 192.0.2\n")
    done = geodns("import", "db.z", "--output", "z.yaml", "--force")
    assert (done.code, done.out, done.err) == (1, "", "geodns: db.z:7:1: 'bad A 192.0.2' cannot be read\n")
    assert (here / "z.yaml").read_text() == "mine"


def test_what_is_lost_is_told_beside_the_output(geodns: Geodns, here: Path) -> None:
    (here / "db.z").write_text(MASTER + "a.other. A 192.0.2.1\n")
    done = geodns("import", "db.z")
    assert (done.code, done.out) == (0, ZONE)
    assert done.err == "geodns: db.z:7:1: warning: what lies outside the zone z.example. is left out\n"


def test_origin_names_the_zone(geodns: Geodns, here: Path) -> None:
    (here / "db.z").write_text(MASTER.partition("\n")[2])
    assert geodns("import", "db.z").code == 1
    assert geodns("import", "db.z", "--origin", "z.example") == (0, ZONE, "")
    assert geodns("import", "db.z", "--origin", "a..b").code == 2


def test_octets_that_are_no_text_may_stand_in_a_comment(geodns: Geodns, here: Path) -> None:
    (here / "db.z").write_bytes(b"\xef\xbb\xbf; caf\xe9\r\n" + MASTER.encode().replace(b"\n", b"\r\n"))
    assert geodns("import", "db.z") == (0, ZONE, "")


def test_a_file_that_is_too_big_or_not_there(
    geodns: Geodns, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert geodns("import", "none").err == "geodns: none cannot be read: No such file or directory\n"
    assert geodns("import", "db.z", "--output", "none/z.yaml").err.endswith("No such file or directory\n")
    monkeypatch.setattr(yaml, "MAX_BYTES", 10)
    told = "geodns: db.z is larger than 10 bytes, more than a zone file may be\n"
    assert geodns("import", "db.z") == (1, "", told)


def served(here: Path, text: str) -> None:
    (here / "zones").mkdir()
    (here / "zones" / "z.example.yaml").write_text(text)
    (here / "geodns.yaml").write_text("zones: zones\n")


def test_export_gives_the_static_part_and_tells_of_the_rest(geodns: Geodns, here: Path) -> None:
    served(here, ZONE + STEERED)
    assert geodns("export", "Z.example.", "--config", "geodns.yaml").out.splitlines() == [
        "z.example. 300 IN SOA ns.z.example. host.z.example. 7 7200 1800 1209600 60",
        "z.example. 300 IN NS ns.z.example.",
        'z.example. 300 IN TXT "x"',
        "www.z.example. 300 IN A 192.0.2.80",
        "ns.z.example. 300 IN A 192.0.2.53",
        "; z.example. 300 is steered to pool z.example/web by policy nearest, weighted, answers all",
    ]


def test_export_of_a_zone_without_a_serial_says_which_it_takes(geodns: Geodns, here: Path) -> None:
    served(here, "zone: z.example\nnameservers: ns.example.net.\n")
    comment, soa, _ = geodns("export", "z.example").out.splitlines()
    assert comment.startswith("; the file gives no serial")
    assert int(soa.split()[6]) > 1_700_000_000


def test_export_of_what_is_not_there(geodns: Geodns, here: Path) -> None:
    served(here, ZONE)
    done = geodns("export", "y.example")
    assert (done.code, done.err) == (
        1,
        "geodns: there is no zone y.example in zones; there are: z.example.\n",
    )
    assert geodns("export", "a..b").code == 2


def test_export_of_files_with_a_mistake(geodns: Geodns, here: Path) -> None:
    served(here, ZONE.replace("192.0.2.80", "192.0.2.800"))
    done = geodns("export", "z.example")
    assert done.code == 1
    assert "z.example.yaml:7:12: '192.0.2.800' is no IPv4 address" in done.err
