"""Bad input, case by case: files in, the exact lines that `geodns check` prints out.

A case of `tests/cases/config/*.case` begins with `## what it shows`, holds files (`>>> NAME`, then the text;
`\\t` in a line `>>> NAME tabs` stands for a tab), and after `----` the expected lines. Where a case has no
`_shared.yaml` it gets the one of `SHARED`. Add a case to any of the files, or add a file.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest

from geodns.config.checks import Powers
from geodns.config.load import Known, load
from geodns.errors import ConfigError

CASES = Path(__file__).parent / "cases" / "config"
KNOWN = Known(
    lines=frozenset({"telecom", "unicom", "mobile"}),
    cities=frozenset({"CN-GD/Guangzhou", "1809858"}),
    powers=Powers(),
)
SHARED = """\
regions: {south: {at: [23.13, 113.26]}, north: {at: [39.90, 116.40]}, west: {at: [50.11, 8.68]}}
checks: {web: {type: http}}
pools: {web: {regions: {south: 192.0.2.1, north: 192.0.2.2}}, cdn: {regions: {west: a.example.net.}}}
policies: {all: {to: nearest}}
"""


class Case(NamedTuple):
    title: str
    files: dict[str, str]
    expected: list[str]


def parse(text: str) -> list[Case]:
    cases = []
    for part in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        title, _, body = part.partition("\n")
        given, _, expected = body.partition("\n----\n")
        files = {}
        for chunk in re.split(r"^>>> ", given, flags=re.MULTILINE)[1:]:
            head, _, content = chunk.partition("\n")
            name, _, tabs = head.partition(" ")
            files[name] = content.replace("\\t", "\t") if tabs == "tabs" else content
        cases.append(Case(title.strip(), files, [line for line in expected.splitlines() if line.strip()]))
    return cases


def outcome(case: Case, folder: Path) -> list[str]:
    for name, content in {"_shared.yaml": SHARED, **case.files}.items():
        (folder / name).write_text(content, encoding="utf-8")
    try:
        problems = load(folder, known=KNOWN).problems
    except ConfigError as error:
        problems = error.problems
    return [str(problem).replace(f"{folder}/", "").replace(str(folder), ".") for problem in problems]


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=f"{path.stem}: {case.title}")
        for path in sorted(CASES.glob("*.case"))
        for case in parse(path.read_text("utf-8"))
    ],
)
def test_what_is_told(case: Case, tmp_path: Path) -> None:
    assert outcome(case, tmp_path) == case.expected
