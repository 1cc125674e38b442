"""`geodns alarms`: what holds, and whether anybody can be told."""

# ruff: noqa: F401, F811 - fixtures are imported by name

from __future__ import annotations

import json

import pytest
from cli_support import Geodns, Running, geodns, running


def test_alarms_are_listed_and_counted(geodns: Geodns, running: Running) -> None:
    assert geodns("alarms", "--url", running.url).out == "no alarms\n"
    about = {"severity": "critical", "kind": "region-out", "subject": "eu-west", "text": "it is out"}
    running.control.held = [{"key": "region-out:eu-west", "since": "2026-11-23T05:42:43.288Z", **about}]
    head, row = geodns("alarms", "--url", running.url).out.splitlines()
    assert head.split() == ["SINCE", "SEVERITY", "KIND", "SUBJECT", "WHAT"]
    assert row.split(None, 2)[2].split("  ") == list(about.values())
    assert json.loads(geodns("alarms", "-o", "json", "--url", running.url).out)["left_out"] == 0


def test_status_counts_them(geodns: Geodns, running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    for count, told in ((2, True), (0, False)):
        counts: dict[str, object] = {"alarms": {"critical": count, "warning": 0}}
        monkeypatch.setattr(running.control, "status", lambda counts=counts: counts)
        rows = [line.split(None, 1) for line in geodns("status", "--url", running.url).out.splitlines()]
        assert (["ALARMS", "2 critical (geodns alarms)"] in rows) is told


@pytest.mark.parametrize(("ok", "code", "told"), [(True, 0, "ok"), (False, 1, "FAILED")])
def test_who_is_told_is_tried(geodns: Geodns, running: Running, ok: bool, code: int, told: str) -> None:
    running.control.tested = [{"hook": "https://a.example", "ok": ok, "detail": "status 204"}]
    done = geodns("alarms", "--test", "--url", running.url)
    assert (done.code, done.out) == (code, f"https://a.example  {told}  status 204\n")
    assert geodns("alarms", "--test", "-o", "json", "--url", running.url).code == code
