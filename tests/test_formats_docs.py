"""The reference's master file, imported, checked and exported as it says."""

# ruff: noqa: F401, F811 - fixtures are imported by name

from __future__ import annotations

import shlex
from pathlib import Path

from cli_support import Geodns, geodns
from readme_support import ROOT, blocks


def test_the_commands_say_what_the_reference_says(geodns: Geodns, tmp_path: Path) -> None:
    (tmp_path / "zones").mkdir()
    found = {block.kind: block for block in blocks(ROOT / "docs" / "zones.md")}
    (tmp_path / found["zone"].comment).write_text(found["zone"].text)
    for line, expected in found["console"].commands():
        program, *arguments = shlex.split(line)
        done = geodns(*arguments)
        assert (program, done.code, done.err) == ("geodns", 0, "")
        assert done.out.splitlines() == expected
