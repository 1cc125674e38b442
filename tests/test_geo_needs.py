"""`check` refuses rules whose database is not there, and warns of values that no database knows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from geo_support import model, synthetic, write

from geodns.errors import Position, Severity
from geodns.geo import needs as needing
from geodns.geo.lines import carriers, merged
from geodns.geo.mmdb import Kind, open_database
from geodns.geo.needs import missing, needs, unknown_values
from geodns.model import Line, Nearest, Policy, Pool, Rule, When

OFFICE = Line("office", networks=("192.0.2.0/24",))


def complaints(*whens: When, kinds: set[Kind]) -> list[str]:
    world = model(*whens, lines=[OFFICE])
    return [
        str(p) for p in missing(world, merged(carriers(), world.lines), kinds) if p.severity is Severity.ERROR
    ]


def test_each_key_needs_its_kind_of_database() -> None:
    world = model(
        When(lines=("telecom",), subdivisions=("CN-GD",)),
        When(asns=(4134,)),
        When(cities=("CN-GD/Guangzhou",)),
        When(countries=("CN",)),
        When(continents=("EU",)),
        When(networks=("192.0.2.0/24",)),
        When(lines=("office",)),
        When(),
        lines=[OFFICE],
    )
    found = needs(world, merged(carriers(), world.lines))
    assert [(n.key, sorted(n.kinds), n.position.line) for n in found] == [
        ("line", ["asn", "isp"], 1),
        ("subdivision", ["city"], 1),
        ("asn", ["asn", "isp"], 2),
        ("city", ["city"], 3),
        ("country", ["city", "country"], 4),
        ("continent", ["city", "country"], 5),
    ]


@pytest.mark.parametrize(
    ("when", "kinds", "expected"),
    [
        (
            When(lines=("telecom",)),
            {Kind.CITY},
            [
                "z.yaml:1:7: the rule asks for `line`, but no ASN or ISP database is configured"
                " (set databases.asn in geodns.yaml)"
            ],
        ),
        (
            When(cities=("1809858",)),
            {Kind.COUNTRY},
            [
                "z.yaml:1:7: the rule asks for `city`, but no City database is configured"
                " (set databases.city in geodns.yaml)"
            ],
        ),
        (When(lines=("telecom",)), {Kind.ISP}, []),
        (When(countries=("CN",)), {Kind.COUNTRY}, []),
        (When(countries=("CN",)), {Kind.CITY}, []),
        (When(lines=("office",)), set(), []),
        (When(networks=("192.0.2.0/24",)), set(), []),
    ],
)
def test_a_rule_without_its_database_is_an_error_at_the_rule(
    when: When, kinds: set[Kind], expected: list[str]
) -> None:
    assert complaints(when, When(), kinds=kinds) == expected


def test_nearest_without_coordinates_is_a_warning_once_a_policy() -> None:
    (problem,) = missing(model(When(networks=("192.0.2.0/24",)), When()), {}, {Kind.ASN})
    assert problem.severity is Severity.WARNING
    assert "order of the file" in problem.message
    assert not missing(model(When()), {}, {Kind.COUNTRY})


def test_the_built_in_nearest_is_told_where_a_pool_uses_it_and_not_where_none_does() -> None:
    nowhere = Policy("nearest", (Rule(When(), (Nearest(),)),))
    world = replace(model(), policies={"nearest": nowhere})
    assert not missing(world, {}, set())
    pool = Pool("web", "nearest", (), position=Position("zone.yaml", 7, 3))
    (problem,) = missing(replace(world, pools={"web": pool}), {}, set())
    assert str(problem.position) == "zone.yaml:7:3"


def test_a_value_that_no_database_knows_is_a_warning_at_the_rule(tmp_path: Path) -> None:
    databases = {kind: open_database(path, kind) for kind, path in synthetic(tmp_path).items()}
    world = model(
        When(countries=("CN", "IS"), subdivisions=("CN-GD", "CN-XJ"), asns=(4134, 64500)),
        When(cities=("CN-GD/Guangzhou", "CN-GD/Atlantis", "1809858", "1"), continents=("EU", "AN")),
        When(cities=("GB-ENG/London", "GB-LND/London"), networks=("198.18.0.0/15",), lines=("telecom",)),
        When(),
    )
    found = unknown_values(world, databases)
    assert {p.severity for p in found} == {Severity.WARNING}
    assert [(p.position.line, p.message.split(":")[0]) for p in found] == [
        (1, "no database knows the asn '64500'"),
        (1, "no database knows the subdivision 'CN-XJ'"),
        (1, "no database knows the country 'IS'"),
        (2, "no database knows the city 'CN-GD/Atlantis'"),
        (2, "no database knows the city '1'"),
        (2, "no database knows the continent 'AN'"),
    ]


def test_a_value_in_any_database_of_the_key_is_known(tmp_path: Path) -> None:
    paths = {
        Kind.CITY: write(tmp_path / "a", "City", {"10.0.0.0/8": {"country": {"iso_code": "CN"}}}),
        Kind.COUNTRY: write(tmp_path / "b", "Country", {"10.0.0.0/8": {"country": {"iso_code": "DE"}}}),
    }
    databases = {kind: open_database(path, kind) for kind, path in paths.items()}
    assert not unknown_values(model(When(countries=("CN", "DE"), continents=("AS",)), When()), databases)


def test_a_large_database_is_not_read_through_and_taken_to_know_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    databases = {kind: open_database(path, kind) for kind, path in synthetic(tmp_path).items()}
    monkeypatch.setattr(needing, "MAX_SCANNED_NODES", 10)
    assert not unknown_values(model(When(countries=("IS",), asns=(64500,)), When()), databases)
    assert not unknown_values(model(When(countries=("IS",)), When()), {})
