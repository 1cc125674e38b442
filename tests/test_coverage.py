"""`make coverage` measures all that a packet passes on its way, and is satisfied with nothing less."""

from __future__ import annotations

import re
import tomllib

from test_house import ROOT, reached, sources

CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["coverage"]
ELSEWHERE = {  # what replay sees beside: a layout without logic, and arithmetic with tests of its own
    "geodns.core",
    "geodns.core.steer",
    "geodns.core.steer.picks",
    "geodns.core.table",
}


def test_it_measures_what_replay_sees_and_the_doors_of_udp_and_tcp() -> None:
    seen = {"geodns.core.replay", *reached("geodns.core.replay", sources())} - ELSEWHERE
    seen |= {"geodns.core.limit", *(f"geodns.serve.{name}" for name in ("door", "native", "tcp", "udp"))}
    measured = {path.removesuffix(".py").replace("/", ".") for path in CONFIG["run"]["include"]}
    assert measured == seen


def test_it_asks_for_every_branch() -> None:
    assert CONFIG["run"]["branch"]
    assert CONFIG["report"]["fail_under"] == 100


def test_what_is_left_out_of_it_has_a_reason_beside_it() -> None:
    for path in CONFIG["run"]["include"]:
        for line in (ROOT / path).read_text().splitlines():
            assert "pragma: no cover" not in line or re.search(r"pragma: no cover \(.+\)", line), (
                f"{path}: {line}"
            )


def test_ci_runs_it() -> None:
    assert "make coverage" in (ROOT / ".ci" / "run").read_text().splitlines()
