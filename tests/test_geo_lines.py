"""The carriers that are shipped, and the operator's own file in their place."""

from __future__ import annotations

from pathlib import Path

import pytest

from geodns.errors import ConfigError
from geodns.geo.countries import countries
from geodns.geo.lines import SHIPPED, by_asn, carriers, merged
from geodns.model import Line


def test_the_carriers_of_china_are_shipped_with_date_and_sources() -> None:
    assert list(carriers()) == ["telecom", "unicom", "mobile", "cernet", "broadnet", "drpeng", "cstnet"]
    text = SHIPPED.read_text(encoding="utf-8")
    assert "\ndated: 20" in text
    assert "\nsources:\n" in text


@pytest.mark.parametrize(
    ("asn", "line"),
    [
        (4134, "telecom"),
        (4809, "telecom"),
        (4837, "unicom"),
        (9929, "unicom"),
        (4808, "unicom"),
        (9808, "mobile"),
        (56040, "mobile"),
        (9394, "mobile"),  # TieTong
        (4538, "cernet"),
        (23910, "cernet"),
        (7641, "broadnet"),
        (17964, "drpeng"),
        (7497, "cstnet"),
    ],
)
def test_an_autonomous_system_belongs_to_its_carrier(asn: int, line: str) -> None:
    assert by_asn(carriers().values())[asn] == {line}


def test_no_autonomous_system_belongs_to_two_carriers() -> None:
    assert all(len(lines) == 1 for lines in by_asn(carriers().values()).values())


def test_an_operator_s_line_takes_the_place_of_the_carrier_of_its_id_wholly() -> None:
    own = {"telecom": Line("telecom", asns=frozenset({64500})), "office": Line("office")}
    lines = merged(carriers(), own)
    assert lines["telecom"].asns == {64500}
    assert lines["unicom"] == carriers()["unicom"]
    assert "office" in lines


def test_an_operator_s_file_replaces_the_shipped_one(tmp_path: Path) -> None:
    path = tmp_path / "lines.yaml"
    path.write_text(
        "dated: 2026-01-01\n"
        "lines:\n"
        "  home: {title: Home, asns: [AS64500, [64501]], networks: ['192.0.2.0/24', '2001:DB8::/32']}\n"
        "  away: {networks: 198.51.100.0/24}\n"
    )
    lines = carriers(path)
    assert lines == {
        "home": Line("home", "Home", frozenset({64500, 64501}), ("192.0.2.0/24", "2001:db8::/32")),
        "away": Line("away", networks=("198.51.100.0/24",)),
    }
    assert str(lines["home"].position) == f"{path}:3:9"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["lines.yaml: no `lines` in the file"]),
        ("dated: 2026\n", ["lines.yaml:1:1: no `lines` in the file"]),
        ("lines: [a]\n", ["lines.yaml:1:8: `lines` must be a mapping"]),
        ("lines: {a: 4134}\n", ["lines.yaml:1:12: line 'a' must be a mapping"]),
        ("lines: {a: {}}\n", ["lines.yaml:1:12: line 'a' has neither asns nor networks"]),
        (
            "lines:\n  a: {asn: [1]}\n",
            ["lines.yaml:2:7: line 'a' has no 'asn'; known are asns, networks, title"],
        ),
        (
            "lines:\n  a: {asns: [0, x, 4294967296, -1]}\n  a: {asns: [1]}\n",
            [
                "lines.yaml:3:3: 'a' stands twice in `lines`",
                "lines.yaml:2:14: '0' is no AS number (1 to 4294967295)",
                "lines.yaml:2:17: 'x' is no AS number (1 to 4294967295)",
                "lines.yaml:2:20: '4294967296' is no AS number (1 to 4294967295)",
                "lines.yaml:2:32: '-1' is no AS number (1 to 4294967295)",
            ],
        ),
        (
            "lines:\n  a: {networks: [192.0.2.1/24]}\n",
            ["lines.yaml:2:18: '192.0.2.1/24' is no network: 192.0.2.1/24 has host bits set"],
        ),
        ("lines: {a: {asns: {b: c}}}\n", ["lines.yaml:1:19: a list of values is wanted"]),
        ("lines: {a: {asns: [1], title: [x]}}\n", ["lines.yaml:1:31: a title must be text"]),
        ("lines: {\n", ["lines.yaml:2:1: not YAML: did not find expected node content"]),
        ("lines: &a {b: *a}\n", ["lines.yaml:1:12: line 'b' has no 'b'; known are asns, networks, title"]),
        ("a" * (1 << 20) + "b", ["lines.yaml: the file is larger than 1048576 bytes"]),
    ],
)
def test_a_bad_file_is_told_with_file_line_and_column(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, expected: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("lines.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        carriers(Path("lines.yaml"))
    assert [str(problem) for problem in caught.value.problems] == expected


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no\.yaml: No such file or directory$"):
        carriers(tmp_path / "no.yaml")


def test_deep_nesting_is_an_error_not_a_crash(tmp_path: Path) -> None:
    (tmp_path / "lines.yaml").write_text("lines: " + "[" * 50_000)
    with pytest.raises(ConfigError, match=r"nested more than 32 deep$"):
        carriers(tmp_path / "lines.yaml")


def test_what_is_not_utf8_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "lines.yaml").write_bytes(b"lines: {caf\xe9: {asns: [1]}}")
    with pytest.raises(ConfigError, match="not YAML: "):
        carriers(tmp_path / "lines.yaml")


def test_every_country_has_a_continent_and_a_plausible_centre() -> None:
    assert len(countries()) == 250  # ISO 3166-1 and Kosovo
    for country in countries().values():
        assert len(country.code) == 2
        assert country.code.isupper()
        assert country.continent in {"AF", "AN", "AS", "EU", "NA", "OC", "SA"}
        assert -90 <= country.at[0] <= 90
        assert -180 <= country.at[1] <= 180
    assert countries()["NO"].name == "Norway"
    assert countries()["NA"].name == "Namibia"
