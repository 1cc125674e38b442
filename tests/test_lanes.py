"""A bounded run of `python -m tests.lanes`: the native lane replies as Python does, octet for octet."""

from __future__ import annotations

import pytest

PACKETS = 160_000  # eight worlds, two of each kind


@pytest.mark.usefixtures("native_lane")
def test_both_lanes_say_the_same() -> None:
    from tests.lanes.run import run

    report = run(PACKETS, seed=1)
    assert report.different == 0, report
    assert report.packets == PACKETS
    assert report.replies > 0.9 * PACKETS
    assert min(report.worlds.values()) == 2
    assert set(report.passed) == {"class CH", "signed"}, "nothing else is left to Python"


@pytest.mark.usefixtures("native_lane")
def test_it_would_be_seen_if_they_did_not(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.lanes.run import run
    from tests.lanes.worlds import Watched

    answer = Watched.answer

    def wrong(self: Watched, packet: bytes, client: str, limit: int, chance: int, now: int) -> bytes | None:
        return answer(self, packet, client, limit, chance ^ 1 << 31, now)

    monkeypatch.setattr(Watched, "answer", wrong)
    report = run(2_000, seed=1)
    assert report.different > 0
    assert "seed 1 (shaped), packet" in str(report)
