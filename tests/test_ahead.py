"""What takes long in an answer set is made before a client asks; large sets cost no more than they hold."""

from __future__ import annotations

from array import array
from random import Random
from types import SimpleNamespace

import core_worlds as worlds
import pytest

from geodns import preparing
from geodns.config.schema.settings import Settings
from geodns.core.compile.ahead import FEW, sets_ahead
from geodns.core.compile.bodies import SheetSpec, answer_set, record
from geodns.core.edns import Subnet
from geodns.core.steer import picks
from geodns.core.steer.odds import Member, Odds, Stage
from geodns.core.unpacked import MAX_SLICED, Unsliced, prepare
from geodns.lanes import PythonLane
from geodns.model import Model, Pick

SLOW = (picks.costs, picks.slots, picks.split_slots, record)


def made() -> list[int]:
    """How often each of what takes long was made anew."""
    return [found.cache_info().misses for found in SLOW]


@pytest.mark.parametrize("seed", range(12))
def test_a_class_that_is_first_seen_finds_what_takes_long_made(seed: int) -> None:
    chance = Random(seed)
    lab = worlds.lab(chance)
    for _ in sets_ahead(lab.built.sheets, lab.model.pools, lab.model.policies):
        pass
    for number, (sheet, spec) in enumerate(zip(lab.sheets.sheets, lab.built.sheets, strict=True)):
        size = sum(len(region.endpoints) for region in lab.model.pools[spec.pool].regions)
        for _ in range(20 if spec.pick is Pick.STICKY or size > FEW else 0):
            address = 0x0A000000 | chance.getrandbits(16)
            class_ = lab.classify(sheet.plan, Subnet(4, address, 32))[0]
            before = made()
            lab.sheets.fill(number, class_)
            assert made() == before


def test_it_is_made_in_small_steps() -> None:
    lab = worlds.lab(sticky_seed())
    for found in SLOW:
        found.cache_clear()
    before, most = made(), []
    for _ in sets_ahead(lab.built.sheets, lab.model.pools, lab.model.policies):
        after = made()
        most.append(after[0] - before[0])
        before = after
    assert len(most) > 8
    assert max(most) == 1


@pytest.mark.python_lane
async def test_a_reading_is_put_into_service_with_its_orders_made() -> None:
    lab = worlds.lab(sticky_seed())
    for found in SLOW:
        found.cache_clear()
    server = SimpleNamespace(
        lane=PythonLane(Settings()),
        databases=SimpleNamespace(current={}),
        settings=Settings(),
        world=lab.world,
        monitor=SimpleNamespace(snapshot=dict),
    )
    reading = SimpleNamespace(built=lab.built, model=lab.model, lines={}, steered={})
    prepared = await preparing.prepare(server, reading)  # type: ignore[arg-type]
    assert prepared.index.nodes == lab.replay.state.index.nodes
    assert picks.costs.cache_info().currsize > 3


def test_no_more_costs_are_made_than_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("geodns.core.compile.ahead.KEPT", 3)
    lab = worlds.lab(sticky_seed())
    picks.costs.cache_clear()
    for _ in sets_ahead(lab.built.sheets, lab.model.pools, lab.model.policies):
        pass
    assert picks.costs.cache_info().misses == 3


def sticky_seed() -> Random:
    """Chance whose world has a sticky pool of more than three endpoints."""
    for seed in range(100):
        model: Model = worlds.model(Random(seed))
        pools = [model.pools[s.pool] for s in model.zones[0].steers if s.pick is Pick.STICKY]
        if any(sum(len(r.endpoints) for r in p.regions) > 8 and len(p.regions) > 3 for p in pools):
            return Random(seed)
    raise AssertionError("no such world")


def test_a_set_of_many_long_answers_is_not_kept_squared() -> None:
    for members in (2, 31, 33, 500):
        odds = Odds(
            tuple(Member("r", f"e{i}", f"192.0.{i >> 8}.{i & 255}", 1) for i in range(members)),
            Stage.AVAILABLE,
            0,
            0,
        )
        spec = SheetSpec("p", "p", Pick.ROUND_ROBIN, None, 15, 5, 1, b"\xc0\x0c", b"", 15)
        set_ = answer_set(spec, odds, 0)
        ready = prepare(set_, b"prefix", 0, 0, b"")
        assert isinstance(ready.bodies, Unsliced) == (members * (6 + 16 * members) > MAX_SLICED)
        assert ready.longest == 6 + 16 * members
        for start in range(members):
            body = ready.bodies[start]
            assert body[:6] == b"prefix"
            told = [int.from_bytes(body[at : at + 2]) for at in range(20, len(body), 16)]
            assert told == [(start + i) % members for i in range(members)]
    assert array("H", ready.order) == array("H", range(500))
