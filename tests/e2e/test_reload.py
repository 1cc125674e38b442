"""Files change under a serving server: taken whole, or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from threading import Event, Thread

import pytest
from e2e_support import PATIENCE, UNCHECKED, Server, until

SHOP = "shop.example.yaml"
EDITED = UNCHECKED.replace("192.0.2.100", "192.0.2.101")


@pytest.fixture(scope="module")
def running(serve: Callable[..., Server]) -> Server:
    return serve(UNCHECKED).start()


@pytest.fixture
def server(running: Server) -> Iterator[Server]:
    yield running
    if (running.zones / SHOP).read_text() != UNCHECKED:
        running.write(SHOP, UNCHECKED)
    until(lambda: running.status()["problem"] is None and _static(running) == ["192.0.2.100"])


def _static(server: Server) -> list[str]:
    return server.answers("static.shop.example")


def _serial(server: Server) -> int:
    return server.status()["zones"][0]["serial"]


def test_an_edit_is_taken_by_itself_and_the_serial_rises(server: Server) -> None:
    """Whether the file was replaced, as deployments do, or written in place, as some editors do."""
    first = _serial(server)
    server.write(SHOP, EDITED)
    until(lambda: _static(server) == ["192.0.2.101"])
    second = _serial(server)
    (server.zones / SHOP).write_text(UNCHECKED)
    until(lambda: _static(server) == ["192.0.2.100"])
    assert first < second < _serial(server)


def test_sighup_reads_again(server: Server) -> None:
    before = server.status()["loaded_at"]
    serial = _serial(server)
    server.hang_up()
    until(lambda: server.status()["loaded_at"] > before)
    assert _serial(server) == serial, "the same content, the same serial"


def test_a_bad_edit_changes_nothing_and_is_told_with_its_line(server: Server) -> None:
    before = server.status()
    bad = EDITED.replace("west: 192.0.2.2", "west: 192.0.2.2222").replace("A: 192.0.2.101", "A: nonsense")
    server.write(SHOP, bad)
    until(lambda: server.status()["problem"])
    told = server.status()
    assert told["problem"] == [
        f"{server.zones / SHOP}:16:13: '192.0.2.2222' is no IPv4 or IPv6 address",
        f"{server.zones / SHOP}:19:15: 'nonsense' is no IPv4 address (four numbers from 0 to 255)",
    ], "both in one run, and only those"
    assert (told["loaded_at"], told["zones"]) == (before["loaded_at"], before["zones"])
    assert _static(server) == ["192.0.2.100"]
    until(lambda: "zones/shop.example.yaml:16:13" in server.log())
    shown = server.cli("status").stdout
    assert "NOT TAKEN" in shown
    assert "shop.example.yaml:16:13" in shown
    server.write(SHOP, EDITED)
    until(lambda: _static(server) == ["192.0.2.101"])
    assert server.status()["problem"] is None


def test_a_zone_comes_and_goes(server: Server) -> None:
    other = "zone: other.example\nnameservers: {ns1: 192.0.2.53}\nrecords: {www: {A: 192.0.2.7}}\n"
    assert server.ask("www.other.example").rcode() == 5
    server.write("other.example.yaml", other)
    until(lambda: server.answers("www.other.example") == ["192.0.2.7"])
    (server.zones / "other.example.yaml").unlink()
    until(lambda: server.ask("www.other.example").rcode() == 5)


def test_no_answer_is_lost_or_mixed_while_files_are_read(server: Server) -> None:
    """Two values change in one edit; nobody ever sees one old and one new."""
    old = UNCHECKED + "  pair: {A: [192.0.2.30, 192.0.2.31]}\n"
    new = UNCHECKED + "  pair: {A: [192.0.2.40, 192.0.2.41]}\n"
    server.write(SHOP, old)
    until(lambda: server.answers("pair.shop.example"))
    done, seen = Event(), set()

    def ask() -> None:
        while not done.is_set():
            seen.add(tuple(server.answers("pair.shop.example")))

    asking = Thread(target=ask)
    asking.start()
    server.write(SHOP, new)
    until(lambda: ("192.0.2.40", "192.0.2.41") in seen)
    done.set()
    asking.join(PATIENCE)
    assert seen <= {("192.0.2.30", "192.0.2.31"), ("192.0.2.40", "192.0.2.41")}
    assert len(seen) == 2


GEO = """
zone: geo.example
nameservers: {ns1: 192.0.2.53}
regions: {here: {}, there: {}}
policies:
  by-country:
    - {when: {country: DE}, to: here}
    - {to: there}
pools:
  web: {policy: by-country, regions: {here: 192.0.2.1, there: 192.0.2.2}}
records:
  www: {steer: web}
"""


def test_a_broken_database_changes_nothing_and_a_new_one_is_taken(
    serve: Callable[..., Server], databases: Mapping[str, Path], tmp_path: Path
) -> None:
    """Overwritten in place while in use, which kills a process that maps the live file; then replaced."""
    live = tmp_path / "City.mmdb"
    live.write_bytes(databases["city"].read_bytes())
    settings = f"databases: {{synthetic: true, city: {live}}}\n"
    server = serve({"geo.example.yaml": GEO}, settings).start()

    def german(network: str) -> bool:
        return server.answers("www.geo.example", subnet=network) == ["192.0.2.1"]

    assert german("10.50.0.0/24")
    assert not german("10.60.0.0/24")
    with live.open("r+b") as file:
        file.write(os.urandom(4096))
        file.truncate(4096)
    until(lambda: "a geo database was not taken" in server.log())
    assert str(live) in server.status()["database_problem"][0]
    assert german("10.50.0.0/24")
    assert not german("10.60.0.0/24")
    new = tmp_path / "new"
    new.write_bytes(_moved(databases["city"]))
    new.replace(live)
    until(lambda: german("10.60.0.0/24"))
    assert server.status()["database_problem"] is None
    assert "Traceback" not in server.log()


def _moved(path: Path) -> bytes:
    """The database with Oregon's network in Germany: the countries' codes have the same length."""
    content = path.read_bytes()
    assert content.count(b"\x42US") >= 1
    return content.replace(b"\x42US", b"\x42DE")
