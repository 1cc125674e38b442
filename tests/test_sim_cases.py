"""Simulations by script, case by case: a script in, lines of the report out.

A case of `tests/cases/simulations/*.case` begins with `## what it shows`, holds the script, and after `----`
lines that the report has, in this order, among others; or every line that is told of a script that is wrong.
There `<6..23>` is a number of that range, and `…` is anything: what moves with the probes' phases and chance.
The zone is below. Add a case to any of the files, or add a file; a failing case prints its report.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest

from geodns.cli import run

CASES = Path(__file__).parent / "cases" / "simulations"
SHARED = """\
regions: {south: {at: [23.13, 113.26]}, north: {at: [39.90, 116.40]}, west: {at: [50.11, 8.68]}}
lines: {telecom: {networks: [10.1.0.0/16]}, mobile: {asns: [9808]}}
checks: {web: {type: tcp, port: 80, interval: 3s, timeout: 2s, fall: 3, rise: 3}}
policies:
  by-line: [{when: {line: telecom}, to: [south, north]}, {when: {line: mobile}, to: north}, {to: nearest}]
pools:
  web:
    check: web
    policy: by-line
    regions: {south: [192.0.2.1, 192.0.2.2], north: 192.0.2.3, west: 192.0.2.4}
  db: {check: web, policy: by-line, regions: {south: 192.0.2.11, north: 192.0.2.13, west: 192.0.2.14}}
"""
ZONE = """\
zone: z.test
nameservers: {ns1: 203.0.113.53}
ttl: 15s
records: {www: {steer: web}}
"""


class Case(NamedTuple):
    title: str
    script: str
    expected: list[str]


def parse(text: str) -> list[Case]:
    cases = []
    for part in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        title, _, body = part.partition("\n")
        script, _, expected = body.partition("----\n")
        cases.append(Case(title.strip(), script, [line for line in expected.splitlines() if line.strip()]))
    return cases


_VARYING = re.compile(r"<([\d.]+?)\.\.([\d.]+)>|(…)")


def matches(expected: str, line: str) -> bool:
    """Whether a line of a report is as expected."""
    pattern, ranges, at = "", [], 0
    for varying in _VARYING.finditer(expected):
        pattern += re.escape(expected[at : varying.start()]) + (".*" if varying[3] else r"(\d+(?:\.\d+)?)")
        ranges += [] if varying[3] else [(float(varying[1]), float(varying[2]))]
        at = varying.end()
    found = re.fullmatch(pattern + re.escape(expected[at:]), line)
    return found is not None and all(
        low <= float(number) <= high for number, (low, high) in zip(found.groups(), ranges, strict=True)
    )


def test_a_range_is_matched_by_its_numbers_alone() -> None:
    assert matches("left <6..23.5> s, …", "left 23.5 s, back")
    assert not matches("left <6..23.5> s", "left 23.6 s")
    assert not matches("left <6..23.5> s", "left not s")


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=f"{path.stem}: {case.title}")
        for path in sorted(CASES.glob("*.case"))
        for case in parse(path.read_text("utf-8"))
    ],
)
def test_what_is_shown(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "zones").mkdir()
    (tmp_path / "zones" / "_shared.yaml").write_text(SHARED)
    (tmp_path / "zones" / "z.test.yaml").write_text(ZONE)
    (tmp_path / "script.yaml").write_text(case.script, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    code = run(["simulate", "zones", "--script", "script.yaml"])
    said = capsys.readouterr()
    if code:
        assert said.err.splitlines() == case.expected
        return
    report = iter(said.out.splitlines())
    for line in case.expected:
        assert any(matches(line, one) for one in report), (
            f"the report has no such line, or not there:\n{line}\n\n{said.out}"
        )
