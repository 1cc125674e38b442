"""The verbs that read files and run servers: check, serve, demo, schema; and the installed command."""

# ruff: noqa: F401, F811 - fixtures are imported by name

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cli_support import Geodns, geodns

from geodns import app as geodns_app
from geodns import native, showing
from geodns.demo import endpoints
from geodns.demo.databases import FILES, build
from geodns.errors import GeodnsError
from geodns.native import Availability

ZONES = Path(__file__).parent.parent / "zones"


class TestCheck:
    def test_the_demos_zones_are_right_and_fast_enough(self, geodns: Geodns) -> None:
        done = geodns("check", str(ZONES))
        assert done.code == 0
        assert "www.gslb.example.com." in done.out
        assert done.out.endswith("0 errors, 0 warnings\n")
        found = json.loads(geodns("check", str(ZONES), "-o", "json").out)
        assert found["ok"] is True and found["problems"] == []
        assert all(each["seconds"] <= found["failover_budget"] for each in found["failover"])

    def test_every_problem_has_its_place(self, geodns: Geodns, tmp_path: Path) -> None:
        (tmp_path / "zones").mkdir()
        (tmp_path / "zones" / "a.yaml").write_text(
            "zone: a.example\nttl: soon\nnameservers: {ns1: [192.0.2.1]}\nrecords:\n  www: {A: 192.0.2.300}\n"
        )
        done = geodns("check", "zones")
        assert done.code == 1
        assert "zones/a.yaml:2:6: " in done.out and "zones/a.yaml:5:12: " in done.out
        assert done.out.endswith("2 errors, 0 warnings\n")
        found = json.loads(geodns("check", "zones", "-o", "json").out)
        assert found["ok"] is False
        assert [(p["line"], p["column"], p["severity"]) for p in found["problems"]] == [
            (2, 6, "error"), (5, 12, "error"),
        ]  # fmt: skip

    def test_settings_are_checked_like_zones(self, geodns: Geodns, tmp_path: Path) -> None:
        (tmp_path / "geodns.yaml").write_text("zonse: here\n")
        done = geodns("check", "geodns.yaml")
        assert done.code == 1
        assert done.out.startswith("geodns.yaml:1:1: unknown key 'zonse'")

    def test_settings_are_named_as_for_serve(self, geodns: Geodns, tmp_path: Path) -> None:
        (tmp_path / "mine.yaml").write_text("failover_budget: 1s\ndatabases: {city: none.mmdb}\n")
        (tmp_path / "zones").mkdir()
        assert geodns("check", "--config", "mine.yaml").out.startswith("databases: none.mmdb: ")
        over = geodns("check", str(ZONES), "-c", "mine.yaml")
        assert "the budget of 1 s" in over.out and "none.mmdb" in over.out
        both = geodns("check", "mine.yaml", "--config", "mine.yaml")
        assert (both.code, both.out) == (1, "")
        assert "names another one" in both.err

    def test_rules_need_their_databases(self, geodns: Geodns, tmp_path: Path) -> None:
        (tmp_path / "geodns.yaml").write_text(f"zones: {ZONES}\n")
        done = geodns("check", "geodns.yaml")
        assert done.code == 1
        assert "database is configured" in done.out

    def test_a_value_that_no_database_knows_is_told_with_its_place(
        self, geodns: Geodns, tmp_path: Path
    ) -> None:
        build(tmp_path)
        zone = (ZONES / "gslb.example.com.yaml").read_text().replace("country: [CN, HK]", "country: [CN, AQ]")
        (tmp_path / "zones").mkdir()
        (tmp_path / "zones" / "gslb.example.com.yaml").write_text(zone)
        (tmp_path / "zones" / "_shared.yaml").write_text((ZONES / "_shared.yaml").read_text())
        named = ", ".join(f"{kind.lower()}: {name}" for kind, name in FILES.items())
        (tmp_path / "geodns.yaml").write_text(f"databases: {{synthetic: true, {named}}}\n")
        done = geodns("check", "geodns.yaml")
        assert done.code == 0
        assert ".yaml:43:7: warning: no database knows the country 'AQ'" in done.out

    def test_a_database_that_is_missing_is_one_line(self, geodns: Geodns, tmp_path: Path) -> None:
        (tmp_path / "geodns.yaml").write_text(f"zones: {ZONES}\ndatabases: {{city: gone.mmdb}}\n")
        done = geodns("check", "geodns.yaml")
        assert done.code == 1
        assert done.out.startswith("databases: gone.mmdb: No such file or directory\n")
        assert "1 error, 0 warnings" in done.out

    def test_whatever_takes_longer_than_the_budget_is_a_warning(self, geodns: Geodns, tmp_path: Path) -> None:
        build(tmp_path)
        named = f"{{synthetic: true, city: {FILES['City']}, asn: {FILES['ASN']}}}"
        settings = f"zones: {ZONES}\ndatabases: {named}\nfailover_budget: 25s\n"
        (tmp_path / "geodns.yaml").write_text(settings)
        done = geodns("check", "geodns.yaml")
        assert "warning: a failure behind www.gslb.example.com. may be told for 26 s" in done.out

    def test_nothing_there(self, geodns: Geodns) -> None:
        assert (
            geodns("check", "gone").err == "geodns: there is no gone: name a zones folder or a geodns.yaml\n"
        )

    def test_a_lane_that_cannot_be_had_is_an_error(
        self, geodns: Geodns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "native.yaml").write_text("lane: native\n")
        (tmp_path / "python.yaml").write_text("lane: python\n")
        monkeypatch.setattr(native, "available", lambda: Availability(False, "it rains"))
        done = geodns("check", str(ZONES), "-c", "native.yaml")
        assert done.code == 1
        assert "lane: native cannot be had: it rains" in done.out
        assert "it rains" not in geodns("check", str(ZONES), "-c", "python.yaml").out


class TestServe:
    @pytest.fixture
    def served(self, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
        found: list[Any] = []
        monkeypatch.setattr(geodns_app, "serve", found.append)
        return found

    def test_flags_are_laid_over_the_file(self, geodns: Geodns, served: list[Any], tmp_path: Path) -> None:
        (tmp_path / "my.yaml").write_text(
            'listen: {dns: [127.0.0.1:53, "[::1]:53"]}\n'
            "admin: {listen: 127.0.0.2:8053}\nlog: {level: warning}\n"
        )
        done = geodns(
            "serve", "--config", "my.yaml", "--zones", "elsewhere", "--dns-port", "5399",
            "--admin-port", "8099", "--set", "log.level=debug", "--set", "startup_wait=1s",
        )  # fmt: skip
        assert done.code == 0, done.err
        (settings,) = served
        assert [str(at) for at in settings.listen.dns] == ["127.0.0.1:5399", "[::1]:5399"]
        assert str(settings.admin.listen) == "127.0.0.2:8099"
        assert (settings.zones, settings.log.level, settings.startup_wait) == (
            Path("elsewhere"),
            "debug",
            1.0,
        )

    def test_a_flag_chooses_the_lane(self, geodns: Geodns, served: list[Any]) -> None:
        assert geodns("serve", "--lane", "python").code == 0
        assert served[0].lane == "python"
        done = geodns("serve", "--lane", "fast")
        assert (done.code, done.err) == (1, "geodns: --lane: 'fast' is none of auto, python, native\n")

    def test_the_environment_may_choose_the_ports(
        self, geodns: Geodns, served: list[Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DNS_PORT", "5399")
        monkeypatch.setenv("ADMIN_PORT", "8099")
        geodns("serve")
        assert {at.port for at in served[0].listen.dns} == {5399}
        assert served[0].admin.listen.port == 8099

    def test_a_bad_setting_is_told_by_its_flag(self, geodns: Geodns, served: list[Any]) -> None:
        done = geodns("serve", "--set", "log.levle=debug")
        assert (done.code, served) == (1, [])
        assert "--log.levle: there is no setting 'log.levle'" in done.err

    def test_why_it_cannot_start_is_one_line(self, geodns: Geodns, monkeypatch: pytest.MonkeyPatch) -> None:
        def taken(settings: object) -> None:
            raise GeodnsError("127.0.0.1:5300/udp is taken by another program")

        monkeypatch.setattr(geodns_app, "serve", taken)
        assert geodns("serve") == (1, "", "geodns: 127.0.0.1:5300/udp is taken by another program\n")

    def test_what_nobody_expected_is_one_line_and_how_to_see_more(
        self, geodns: Geodns, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(settings: object) -> None:
            raise RuntimeError("inner")

        monkeypatch.setattr(geodns_app, "serve", broken)
        done = geodns("serve")
        assert done == (1, "", "geodns: unexpected RuntimeError: inner (GEODNS_DEBUG=1 shows where)\n")


class TestDemo:
    @pytest.mark.parametrize(
        ("words", "environ", "lane"),
        [
            ([], "", "auto"),
            ([], "python", "python"),
            (["--lane", "native"], "python", "native"),
        ],
    )
    def test_the_lane_is_chosen_by_flag_or_environment(
        self, geodns: Geodns, monkeypatch: pytest.MonkeyPatch, words: list[str], environ: str, lane: str
    ) -> None:
        started: list[tuple[object, ...]] = []
        monkeypatch.setattr(showing, "run", lambda *how: started.append(how))
        monkeypatch.setenv("GEODNS_LANE", environ)
        assert geodns("demo", *words).code == 0
        assert started == [(5300, 8053, lane)]

    def test_break_and_mend_reach_the_running_demo(
        self, geodns: Geodns, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(endpoints, "control", lambda verb, region: f"{region}: {verb}")
        assert geodns("demo", "break", "cn-south").out == "cn-south: break\n"
        assert geodns("demo", "mend", "cn-south").out == "cn-south: mend\n"

    def test_no_demo_is_running(self, geodns: Geodns, monkeypatch: pytest.MonkeyPatch) -> None:
        done = geodns("demo", "break", "cn-south")
        assert done.code == 1
        assert done.err == "geodns: no demo is running: start it with `make demo` in another terminal\n"


def test_the_schema_is_json_either_way(geodns: Geodns) -> None:
    assert json.loads(geodns("schema").out) == json.loads(geodns("schema", "-o", "json").out)


def test_the_installed_command() -> None:
    """Once for real: the entry point, its version, and that a closed pipe is no accident."""
    command = str(Path(sys.executable).with_name("geodns"))
    done = subprocess.run([command, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("geodns 0.")
    reading, writing = os.pipe()
    os.close(reading)
    piped = subprocess.run(
        [command, "schema"], check=False, stdout=writing, stderr=subprocess.PIPE, text=True
    )
    os.close(writing)
    assert (piped.returncode, piped.stderr) == (1, "")
