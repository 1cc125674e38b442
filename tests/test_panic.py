"""The breaker: below its panic share a pool fails open, and whoever looks is told (what is answered:
tests/cases/answers/panic.case).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from core_support import Lab

from geodns.cli.decision import told
from geodns.core.explain import Client, explain
from geodns.core.names import from_text
from geodns.core.steer.odds import failing_open
from geodns.operations import client_of

FILES = {
    "_shared.yaml": "regions: {south: {}, north: {}}\n",
    "z.test.yaml": """\
zone: z.test
nameservers: {ns: 192.0.2.53}
pools:
  web:
    check: {type: http}
    panic: 60%
    regions:
      south: [{name: s1, address: 192.0.2.1}, {name: s2, address: 192.0.2.2}]
      north: [{name: n1, address: 192.0.2.3}]
records: {www: {steer: web}}
""",
}


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab.of(tmp_path, FILES)


def explained(lab: Lab) -> dict[str, Any]:
    who: Client = client_of("10.0.0.0/24")
    located = lab.geography(who.subnet.ip())
    return explain(
        lab.replay, lab.sheets, lab.world, (from_text("www.z.test."), 1), who, located, int(lab.now)
    )


def test_explain_tells_the_share_and_what_follows(lab: Lab) -> None:
    found = explained(lab)
    assert (found["stage"], found["panic"]) == ("available", {"below": 60, "healthy": 100, "unit": "weight"})
    lab.state({"down": ["web/south"]})
    found = explained(lab)
    assert (found["stage"], found["panic"]["healthy"]) == ("panic", 33)
    assert found["table"]["agrees"]
    text = told(found)
    assert "33% of the weight is healthy, panic below 60%" in text
    assert "south  serves: its health is ignored" in text
    assert "s1" in text and "down" in text, "what the checks say is shown all the same"


@pytest.mark.parametrize(
    ("state", "open_"),
    [
        ({}, False),
        ({"down": ["web/north"]}, False),
        ({"down": ["web/south"]}, True),
        ({"down": ["web"]}, True),
        ({"down": ["web/south"], "paused": ["south"]}, False),
        ({"paused": ["south", "north"]}, False),
    ],
)
def test_which_pools_fail_open(lab: Lab, state: dict[str, Any], open_: bool) -> None:
    lab.state(state)
    assert failing_open(lab.world.pools["z.test/web"], lab.world) is open_
