"""Databases are opened from a private, checked copy; whatever happens to the file, lookups go on."""

from __future__ import annotations

import os
from ipaddress import ip_address
from pathlib import Path

import maxminddb
import pytest
from geo_support import synthetic, write

from geodns.errors import GeodnsError
from geodns.geo import mmdb
from geodns.geo.mmdb import Kind, kind_of, open_database
from geodns.geo.reload import Databases

CN = {"country": {"iso_code": "CN"}}
DE = {"country": {"iso_code": "DE"}}


@pytest.mark.parametrize(
    ("database_type", "kind"),
    [
        ("GeoLite2-City", Kind.CITY),
        ("GeoIP2-City-Africa", Kind.CITY),
        ("GeoIP2-Enterprise", Kind.CITY),
        ("GeoLite2-Country", Kind.COUNTRY),
        ("GeoLite2-ASN", Kind.ASN),
        ("GeoIP2-ISP", Kind.ISP),
        ("GeoIP2-Precision-ISP", Kind.ISP),
        ("DBIP-ASN-Lite (compat=GeoLite2-ASN)", Kind.ASN),
        ("DBIP-Location-ISP (compat=Enterprise)", Kind.CITY),
        ("geodns-synthetic-City", Kind.CITY),
        ("GeoIP2-Anonymous-IP", None),
        ("GeoIP2-Domain", None),
    ],
)
def test_the_type_of_a_database_tells_its_kind(database_type: str, kind: Kind | None) -> None:
    assert kind_of(database_type) is kind


def test_a_lookup_gives_the_record_and_the_block_in_the_address_s_own_family(tmp_path: Path) -> None:
    path = write(tmp_path / "c.mmdb", "Country", {"10.1.0.0/16": CN, "2001:db8::/32": DE})
    database = open_database(path, Kind.COUNTRY)
    assert database.lookup(ip_address("10.1.2.3")) == (CN, 16)
    assert database.lookup(ip_address("10.0.2.3")) == ({}, 16)  # the hole beside it
    assert database.lookup(ip_address("10.2.2.3")) == ({}, 15)
    assert database.lookup(ip_address("2001:db8::1")) == (DE, 32)
    assert database.lookup(ip_address("2001:db9::1")) == ({}, 32)
    assert database.lookup(ip_address("8000::")) == ({}, 1)


def test_a_database_without_one_family_knows_nothing_of_the_whole_of_it(tmp_path: Path) -> None:
    old = open_database(write(tmp_path / "4.mmdb", "Country", {"10.0.0.0/8": CN}, version=4), Kind.COUNTRY)
    assert old.lookup(ip_address("10.1.1.1")) == (CN, 8)
    assert old.lookup(ip_address("2001:db8::1")) == ({}, 0)
    new = open_database(write(tmp_path / "6.mmdb", "Country", {"2001:db8::/32": DE}), Kind.COUNTRY)
    assert new.lookup(ip_address("10.1.1.1")) == ({}, 0)
    assert not old.errors
    assert not new.errors


def test_overwriting_and_truncating_the_live_file_does_not_touch_an_open_database(tmp_path: Path) -> None:
    path = synthetic(tmp_path, Kind.CITY)[Kind.CITY]
    database = open_database(path, Kind.CITY)
    before = database.lookup(ip_address("10.1.2.3"))
    with path.open("r+b") as live:  # in place: the inode stays, as with `cp new old`
        live.write(os.urandom(2000))
        live.truncate(100)
    assert database.lookup(ip_address("10.1.2.3")) == before
    assert not database.errors


def test_nothing_is_left_in_the_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = synthetic(tmp_path / "live")
    (tmp_path / "copies").mkdir()
    monkeypatch.setattr(mmdb.tempfile, "tempdir", str(tmp_path / "copies"))
    database = open_database(paths[Kind.CITY], Kind.CITY)
    with pytest.raises(GeodnsError):
        open_database(paths[Kind.CITY], Kind.ASN)
    assert list((tmp_path / "copies").iterdir()) == []
    assert database.lookup(ip_address("10.1.2.3"))[0]


class TestOneLineSaysWhatIsWrong:
    """Never a traceback, never a Python type; the file is named."""

    def refused(self, path: Path, kind: Kind = Kind.CITY) -> str:
        with pytest.raises(GeodnsError) as caught:
            open_database(path, kind)
        assert "\n" not in str(caught.value)
        assert caught.value.__suppress_context__ or caught.value.__context__ is None
        return str(caught.value)

    def test_missing(self, tmp_path: Path) -> None:
        assert self.refused(tmp_path / "no.mmdb") == f"{tmp_path}/no.mmdb: No such file or directory"

    def test_a_folder(self, tmp_path: Path) -> None:
        assert self.refused(tmp_path).startswith(f"{tmp_path}: ")

    def test_a_pipe_does_not_hold_us(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        assert self.refused(tmp_path / "pipe") == f"{tmp_path}/pipe: not a file"

    def test_too_large(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = synthetic(tmp_path)[Kind.CITY]
        monkeypatch.setattr(mmdb, "MAX_BYTES", 1000)
        assert "at most 1000 are taken" in self.refused(path)

    @pytest.mark.parametrize("size", [0, 1, 100, 3000, -1, -50])
    def test_truncated(self, tmp_path: Path, size: int) -> None:
        path = synthetic(tmp_path)[Kind.CITY]
        path.write_bytes(path.read_bytes()[:size])
        assert self.refused(path) == f"{path}: not a MaxMind DB file, or a truncated one; download it again"

    def test_text(self, tmp_path: Path) -> None:
        (tmp_path / "x.mmdb").write_text("<html>Please log in</html>")
        assert "not a MaxMind DB file" in self.refused(tmp_path / "x.mmdb")

    def test_a_tree_that_leads_nowhere(self, tmp_path: Path) -> None:
        path = synthetic(tmp_path)[Kind.CITY]
        data = bytearray(path.read_bytes())
        data[:1500] = b"\xff" * 1500
        path.write_bytes(data)
        assert self.refused(path) == f"{path}: the database is damaged; download it again"

    def test_empty(self, tmp_path: Path) -> None:
        path = write(tmp_path / "e.mmdb", "City", {})
        assert self.refused(path).startswith(f"{path}: ")

    def test_another_kind(self, tmp_path: Path) -> None:
        path = synthetic(tmp_path)[Kind.ASN]
        assert self.refused(path, Kind.CITY) == (
            f"databases.city: {path} is a 'geodns-synthetic-ASN' database; put it under databases.asn"
        )

    def test_a_kind_that_nobody_asks_for(self, tmp_path: Path) -> None:
        path = write(tmp_path / "d.mmdb", "Domain", {"10.0.0.0/8": {"domain": "example.com"}})
        assert self.refused(path, Kind.ISP) == (
            f"databases.isp: {path} is a 'GeoLite2-Domain' database; a GeoIP2-ISP is wanted"
        )

    def test_written_while_it_is_read(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = synthetic(tmp_path)[Kind.CITY]
        copy = mmdb.shutil.copyfileobj

        def meddled(source: object, target: object, length: int) -> None:
            copy(source, target, length)
            os.utime(path, (1, 1))

        monkeypatch.setattr(mmdb.shutil, "copyfileobj", meddled)
        assert "was being written while it was read" in self.refused(path)

    def test_no_room_for_the_copy(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = synthetic(tmp_path)[Kind.CITY]
        monkeypatch.setattr(mmdb.tempfile, "tempdir", str(tmp_path / "nowhere"))
        assert "set TMPDIR" in self.refused(path)

    def test_no_c_reader(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = synthetic(tmp_path)[Kind.CITY]
        monkeypatch.setattr(maxminddb, "_extension", None)
        assert "lacks its C extension" in self.refused(path)


def test_the_reader_is_the_c_one(tmp_path: Path) -> None:
    database = open_database(synthetic(tmp_path)[Kind.CITY], Kind.CITY)
    assert type(database._reader).__module__ != "maxminddb.reader"


class TestFollowingTheFiles:
    def test_a_replaced_file_is_noticed_once_and_taken(self, tmp_path: Path) -> None:
        path = write(tmp_path / "c.mmdb", "Country", {"10.0.0.0/8": CN})
        databases = Databases({Kind.COUNTRY: path}, synthetic=True)
        assert not databases.changed()
        write(tmp_path / "new", "Country", {"10.0.0.0/8": DE}).replace(path)
        assert databases.changed()
        before = databases.current
        assert databases.reload() == ()
        assert not databases.changed()
        address = ip_address("10.1.1.1")
        assert databases.current[Kind.COUNTRY].lookup(address) == (DE, 8)
        assert before[Kind.COUNTRY].lookup(address) == (CN, 8)  # whoever still holds it may go on

    def test_a_broken_file_leaves_the_old_database_and_is_told_once(self, tmp_path: Path) -> None:
        paths = synthetic(tmp_path)
        databases = Databases(paths, synthetic=True)
        old = databases.current
        paths[Kind.CITY].write_bytes(b"half a download")
        assert databases.changed()
        (problem,) = databases.reload()
        assert str(problem).startswith(f"{paths[Kind.CITY]}: not a MaxMind DB file")
        assert databases.current == old
        assert not databases.changed()

    def test_a_good_file_is_taken_beside_a_broken_one(self, tmp_path: Path) -> None:
        paths = synthetic(tmp_path)
        databases = Databases(paths, synthetic=True)
        old = databases.current
        paths[Kind.CITY].unlink()
        os.utime(paths[Kind.ASN], (1, 1))
        (problem,) = databases.reload()
        assert str(problem) == f"{paths[Kind.CITY]}: No such file or directory"
        assert databases.current[Kind.CITY] is old[Kind.CITY]
        assert databases.current[Kind.ASN] is not old[Kind.ASN]

    def test_the_start_wants_every_file_and_names_all_that_fail(self, tmp_path: Path) -> None:
        paths = synthetic(tmp_path)
        paths[Kind.CITY].unlink()
        paths[Kind.ASN].write_bytes(b"")
        with pytest.raises(GeodnsError) as caught:
            Databases(paths, synthetic=True)
        assert len(str(caught.value).splitlines()) == 2

    def test_no_files_no_databases(self) -> None:
        databases = Databases({}, synthetic=False)
        assert databases.current == {}
        assert not databases.changed()


def test_synthetic_databases_are_refused_unless_allowed(tmp_path: Path) -> None:
    paths = synthetic(tmp_path, Kind.CITY)
    assert Databases(paths, synthetic=True).current
    with pytest.raises(GeodnsError, match=r"is synthetic.*databases\.synthetic: true"):
        Databases(paths, synthetic=False)


def test_every_octet_of_the_metadata_may_be_damaged_and_is_told_in_one_line(tmp_path: Path) -> None:
    path = write(tmp_path / "City.mmdb", "City", {"10.0.0.0/8": CN})
    whole = path.read_bytes()
    refused = 0
    for at in range(whole.rindex(b"MaxMind.com") + 11, len(whole)):
        damaged = bytearray(whole)
        damaged[at] ^= 0xFF
        path.write_bytes(damaged)
        try:
            open_database(path, Kind.CITY)
        except GeodnsError as error:
            refused += 1
            assert str(error).isprintable()
    assert refused > 20


@pytest.mark.parametrize("version", [4, 6])
def test_all_records_are_those_that_the_library_finds(tmp_path: Path, version: int) -> None:
    entries = {f"10.{i}.0.0/{16 + i % 9}": {"country": {"iso_code": f"C{i}"}} for i in range(40)}
    if version == 6:
        entries |= {"2001:db8::/32": DE, "ffff::/16": CN}
    path = write(tmp_path / "City.mmdb", "City", entries, version=version)
    expected = [record for _, record in maxminddb.open_database(path, maxminddb.MODE_FILE)]
    found = list(open_database(path, Kind.CITY))
    assert [record for record in found if record in expected] == found
    assert all(record in found for record in expected)


def test_a_tree_that_leads_back_into_itself_is_damaged(tmp_path: Path) -> None:
    path = write(tmp_path / "City.mmdb", "City", {"10.0.0.0/8": CN, "192.0.2.0/24": DE}, version=4)
    whole = path.read_bytes()
    metadata = maxminddb.open_database(path).metadata()
    tree = metadata.node_count * metadata.record_size // 4  # octets
    path.write_bytes(bytes(tree) + whole[tree:])  # all nodes lead to the first one
    with pytest.raises(GeodnsError, match="the database is damaged; download it again"):
        open_database(path, Kind.CITY)
