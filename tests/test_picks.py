"""How one of several answers is taken: weights within statistical bounds, exact turns, slots that stay."""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geodns.core.compile.bodies import SheetSpec, answer_set
from geodns.core.steer.odds import Member, Odds, Stage
from geodns.core.steer.picks import MAX_TURNS, draw, mix, slot_of, slots, split_slots, turns
from geodns.core.table import SLOTS, TURNS, WEIGHTED
from geodns.core.unpacked import Ready, draw_several, prepare, take
from geodns.model import Pick

STEADY = settings(deadline=None, derandomize=True, max_examples=30)

CHI_SQUARE_999 = {1: 10.83, 2: 13.82, 3: 16.27, 4: 18.47, 5: 20.52, 9: 27.88}  # exceeded once in a thousand

weights = st.lists(st.integers(1, 50), min_size=1, max_size=6)
members = st.dictionaries(
    st.text("abcdefgh-0123", min_size=1, max_size=8),
    st.sampled_from((1, 1, 2, 3, 10)),
    min_size=2,
    max_size=7,
)


def chi_square(counted: Counter[int], expected: dict[int, float]) -> float:
    return sum((counted[key] - mean) ** 2 / mean for key, mean in expected.items())


def made(of: list[int], pick: Pick, answers: int | None) -> tuple[Ready, array[int]]:
    """An answer set of addresses 192.0.2.0, .1, … with these weights, ready to answer, and a tally for it."""
    odds = Odds(
        tuple(Member("r", f"e{i}", f"192.0.2.{i}", w) for i, w in enumerate(of)), Stage.AVAILABLE, 0, 0
    )
    spec = SheetSpec("p", "p", pick, answers, 15, 5, 1, b"\xc0\x0c", b"", 15)
    return prepare(answer_set(spec, odds, 0), b"", 0, 0, b""), array("Q", [0])


def told(body: bytes) -> list[int]:
    """The last octets of the addresses in a body of A records."""
    assert len(body) % 16 == 0
    return [body[i + 15] for i in range(0, len(body), 16)]


# weighted


@STEADY
@given(st.integers(1, 2**31 - 1), st.integers(0, 2**32 - 1))
def test_a_draw_is_below_its_total_and_rises_with_chance(total: int, chance: int) -> None:
    assert 0 <= draw(chance, total) < total
    assert draw(0, total) == 0
    assert draw(2**32 - 1, total) == total - 1
    assert draw(max(0, chance - 1), total) <= draw(chance, total)


@pytest.mark.parametrize("of", [[1, 1], [5, 3, 2], [1, 10, 100, 1000], [9, 1], [7, 7, 7, 1, 1, 1]])
@pytest.mark.parametrize("answers", [1, None])
def test_weights_are_kept_within_statistical_bounds(of: list[int], answers: int | None) -> None:
    chance, count = Random(2024), 20_000
    ready, tally = made(of, Pick.WEIGHTED, answers)
    counted = Counter(
        told(ready.bodies[take(ready, tally, 0, chance.getrandbits(32))])[0] for _ in range(count)
    )
    expected = {i: count * w / sum(of) for i, w in enumerate(of)}
    assert chi_square(counted, expected) < CHI_SQUARE_999[len(of) - 1]
    assert tally[0] == count


@STEADY
@given(weights, st.integers(0, 2**32 - 1))
def test_a_table_of_draws_and_a_search_take_the_same(of: list[int], chance: int) -> None:
    """Small totals are written out draw by draw, large ones searched: chance means the same in both."""
    small, tally = made(of, Pick.WEIGHTED, 1)
    large, _ = made([w * 5000 for w in of], Pick.WEIGHTED, 1)
    rest = draw(chance, sum(of))
    first = next(i for i in range(len(of)) if rest < sum(of[: i + 1]))
    assert told(small.bodies[take(small, tally, 0, chance)]) == [first]
    assert told(large.bodies[take(large, tally, 0, chance)]) == [first]


@STEADY
@given(st.lists(st.integers(1, 50), min_size=3, max_size=8), st.data())
def test_several_are_drawn_without_replacement(of: list[int], data: st.DataObject) -> None:
    count = data.draw(st.integers(2, len(of) - 1))
    ready, tally = made(of, Pick.WEIGHTED, count)
    chance = data.draw(st.integers(0, 2**32 - 1))
    assert take(ready, tally, 0, chance) == -1
    found = told(draw_several(ready, chance))
    assert len(found) == len(set(found)) == count
    assert set(found) <= set(range(len(of)))


def test_several_are_drawn_by_weight_each_time() -> None:
    of, chance, count = [6, 3, 1], Random(7), 20_000
    ready, _ = made(of, Pick.WEIGHTED, 2)
    drawn = [tuple(told(draw_several(ready, chance.getrandbits(32)))) for _ in range(count)]
    expected = {
        (i * 3 + j): count * of[i] / 10 * of[j] / (10 - of[i]) for i in range(3) for j in range(3) if i != j
    }
    assert chi_square(Counter(i * 3 + j for i, j in drawn), expected) < CHI_SQUARE_999[5]


# round-robin


@STEADY
@given(weights)
def test_a_cycle_of_turns_gives_everybody_exactly_its_weight(of: list[int]) -> None:
    order = turns(tuple(of))
    counted = Counter(order)
    cycles = sum(of) // len(order)
    assert {i: counted[i] * cycles for i in range(len(of))} == dict(enumerate(of))


@STEADY
@given(weights)
def test_turns_are_spread_nobody_waits_longer_than_its_share_asks(of: list[int]) -> None:
    order = list(turns(tuple(of)))
    total = len(order)
    counted = Counter(order)
    for member, turns_ in counted.items():
        at = [i for i, m in enumerate(order * 2) if m == member]
        longest = max((b - a for a, b in pairwise(at)), default=total)
        assert longest <= 2 * -(-total // turns_)


@STEADY
@given(weights, st.sampled_from((1, 2, 3, None)), st.integers(0, 1000))
def test_successive_answers_start_in_turn(of: list[int], answers: int | None, before: int) -> None:
    ready, tally = made(of, Pick.ROUND_ROBIN, answers)
    if len(of) == 1:
        assert told(ready.bodies[take(ready, tally, 0, 0)]) == [0]
        return
    assert ready.pick == TURNS
    tally[0] = before
    found = [told(ready.bodies[take(ready, tally, 0, 0)]) for _ in range(sum(of))]
    assert Counter(f[0] for f in found) == dict(enumerate(of))
    width = min(answers or len(of), len(of))
    for circle in found:
        assert circle == [(circle[0] + i) % len(of) for i in range(width)]
    assert tally[0] == before + sum(of)


def test_equal_endpoints_take_turns_one_after_the_other() -> None:
    assert list(turns((3, 3, 3))) == [0, 1, 2]


def test_turns_of_huge_weights_are_scaled_down_and_nobody_is_dropped() -> None:
    order = turns((1_000_000, 999_999, 1))
    assert len(order) <= MAX_TURNS + 3
    assert set(order) == {0, 1, 2}


# sticky


@STEADY
@given(members, st.data())
def test_losing_a_member_moves_only_its_own_slots(of: dict[str, int], data: st.DataObject) -> None:
    lost = data.draw(st.sampled_from(sorted(of)))
    before = slots(tuple(of.items()))
    names = list(of)
    rest = [(n, w) for n, w in of.items() if n != lost]
    after = slots(tuple(rest))
    for slot in range(SLOTS):
        if names[before[slot]] != lost:
            assert rest[after[slot]][0] == names[before[slot]]


@STEADY
@given(members)
def test_slots_depend_on_names_and_the_ratio_of_weights_alone(of: dict[str, int]) -> None:
    """Not on the file's order, nor on what the weights were divided by: every server and restart agrees."""
    listed = list(of.items())
    turned = [(name, weight * 6) for name, weight in reversed(listed)]
    one, other = slots(tuple(listed)), slots(tuple(turned))
    assert [listed[i][0] for i in one] == [turned[i][0] for i in other]


@pytest.mark.parametrize("of", [[1, 1], [5, 3, 2], [1, 10], [7, 7, 7, 1, 1, 1], [1] * 10])
def test_slots_are_shared_by_weight(of: list[int]) -> None:
    counted = Counter(slots(tuple((f"r/e{i}", w) for i, w in enumerate(of))))
    expected = {i: SLOTS * w / sum(of) for i, w in enumerate(of)}
    assert chi_square(counted, expected) < CHI_SQUARE_999[len(of) - 1]


def test_a_split_keeps_its_shares_and_what_an_endpoint_loses_stays_in_its_region() -> None:
    shares = (("a", 50), ("b", 30), ("c", 20))
    whole = (("a", "a/1", 1), ("a", "a/2", 1), ("b", "b/1", 1), ("c", "c/1", 3), ("c", "c/2", 1))
    before = [whole[i] for i in split_slots(shares, whole)]
    counted = Counter(region for region, _, _ in before)
    for region, share in shares:
        assert counted[region] / SLOTS == pytest.approx(share / 100, rel=0.1)
    rest = tuple(m for m in whole if m[1] != "a/1")
    for was, now in zip(before, (rest[i] for i in split_slots(shares, rest)), strict=True):
        assert now == (("a", "a/2", 1) if was[1] == "a/1" else was)
    without = tuple(m for m in whole if m[0] != "b")
    for was, now in zip(
        before, (without[i] for i in split_slots((shares[0], shares[2]), without)), strict=True
    ):
        assert now == was or was[0] == "b"


@STEADY
@given(st.integers(0, 2**32 - 1), st.integers(0, 2**128 - 1))
def test_a_slot_is_of_the_24_or_the_56(v4: int, v6: int) -> None:
    assert slot_of(4, v4) == slot_of(4, v4 & ~0xFF) == slot_of(4, v4 | 0xFF)
    assert slot_of(6, v6) == slot_of(6, v6 & ~((1 << 72) - 1)) == slot_of(6, v6 | ((1 << 72) - 1))
    assert 0 <= slot_of(4, v4) < SLOTS
    assert 0 <= slot_of(6, v6) < SLOTS


def test_networks_spread_over_all_slots() -> None:
    counted = Counter(slot_of(4, n << 8) >> 8 for n in range(16_000))
    assert chi_square(counted, dict.fromkeys(range(16), 1000.0)) < 37.7  # 15 degrees of freedom


def test_the_published_numbers() -> None:
    """What other lanes and versions must agree on, for ever: clients are kept by these."""
    assert mix(0) == 0xE220A8397B1DCDAF
    assert mix(0x9E3779B97F4A7C15) == 0x6E789E6AA1B965F4
    assert [slot_of(4, 0x0A010200), slot_of(4, 0xC0000200), slot_of(6, 0x20010DB8 << 96)] == [1143, 1458, 426]
    table = slots((("south/a", 3), ("south/b", 1), ("north/c", 1)))
    assert list(table[:12]) == [0, 2, 0, 2, 2, 1, 0, 0, 2, 0, 0, 1]
    assert hashlib.sha256(table.tobytes()).hexdigest()[:16] == "1c9ebdf96a5b8dea"
    assert list(turns((5, 3, 2))) == [0, 1, 2, 0, 0, 1, 0, 2, 1, 0]


def test_one_possible_answer_needs_no_draw() -> None:
    for pick in Pick:
        ready, tally = made([3], pick, 2)
        assert told(ready.bodies[take(ready, tally, 17, 2**32 - 1)]) == [0]


def test_the_pick_of_a_weighted_set_is_in_the_table() -> None:
    ready, _ = made([1, 2], Pick.WEIGHTED, 1)
    assert ready.pick == WEIGHTED
