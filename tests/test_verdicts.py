"""What becomes of verdicts beside the answers: kept, and let go of when the server ends."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from geodns.config.settings import load_settings
from geodns.core.world import World
from geodns.store.state import Store
from geodns.verdicts import Verdicts


@pytest.mark.parametrize("turns", range(4))
async def test_keeping_ends_also_where_a_verdict_changes_in_that_moment(tmp_path: Path, turns: int) -> None:
    settings = load_settings(None, {"state": str(tmp_path / "state.sqlite")}, {})
    store = Store(settings.state)
    verdicts = Verdicts(lambda event: None, World, store, settings)
    keeping = asyncio.get_running_loop().create_task(verdicts.keep())
    await asyncio.sleep(0.01)
    verdicts._change.set()
    for _ in range(turns):
        await asyncio.sleep(0)
    keeping.cancel()
    _, late = await asyncio.wait([keeping], timeout=1)
    assert not late
    await verdicts.close()
    store.close()
