"""The reference tells every finding about a zone's data, with its severity."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from readme_support import ROOT

from geodns.config.findings import LIMIT, Findings
from geodns.errors import Position

FILES = ("consistency", "hosts", "records", "times", "zones")
TELLS = {"error": {"error"}, "warning": {"warning"}, "tell": {"error", "warning"}}


def told() -> dict[str, set[str]]:
    """The codes in the source, each with the severities that it is told with."""
    found: dict[str, set[str]] = {}
    for name in FILES:
        for node in ast.walk(ast.parse((ROOT / "geodns" / "config" / f"{name}.py").read_text())):
            if not isinstance(node, ast.Call) or not node.args or not isinstance(node.args[0], ast.Constant):
                continue
            how = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if how in TELLS:
                found.setdefault(node.args[0].value, set()).update(TELLS[how])
    return found


def written(path: Path) -> dict[str, set[str]]:
    _, _, table = path.read_text().partition("<!-- findings -->\n")
    rows = re.findall(r"^\| `([\w-]+)` \| ([^|]+) \|", table.partition("\n\n")[0], re.MULTILINE)
    return {code: set(re.findall("error|warning", severity)) for code, severity in rows}


def test_every_finding_is_in_the_reference() -> None:
    assert written(ROOT / "docs" / "zones.md") == told()


def test_many_warnings_do_not_hide_an_error() -> None:
    findings = Findings()
    for line in range(1, LIMIT + 3):
        findings.warning("odd-host", "odd", Position("f", line, 1))
    findings.error("bad-rdata", "bad", Position("g", 1, 1))
    *_, last, more = map(str, findings.sorted())
    assert (last, more) == ("g:1:1: bad", ": warning: and 2 more warnings (mend these first)")
