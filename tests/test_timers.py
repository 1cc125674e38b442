"""Timers by the ten thousand for one of the loop's, in virtual time."""

from __future__ import annotations

import asyncio
import random

import pytest
from test_schedule import in_virtual_time, now

from geodns.monitor.timers import BATCH, Timers


@in_virtual_time
async def test_each_is_called_once_at_its_time_whatever_order_they_are_set_in() -> None:
    timers, called = Timers(), list[tuple[float, float]]()
    dues = [now() + part / 10 for part in range(1, 300)]
    for due in random.Random(1).sample(dues, len(dues)):
        timers.at(due, lambda due=due: called.append((due, now())))  # type: ignore[misc]
    await asyncio.sleep(60)
    assert [due for due, _ in called] == dues
    assert all(due == pytest.approx(at, abs=1e-6) for due, at in called)
    assert len(timers) == 0


@in_virtual_time
async def test_one_that_is_set_by_another_is_called_too_sooner_or_later() -> None:
    timers, called = Timers(), list[str]()

    def first() -> None:
        timers.at(now() + 5, lambda: called.append("later"))
        timers.at(now(), lambda: called.append("at once"))

    timers.at(now() + 1, first)
    timers.at(now() + 2, lambda: called.append("meanwhile"))
    await asyncio.sleep(10)
    assert called == ["at once", "meanwhile", "later"]


@in_virtual_time
async def test_a_cancelled_one_is_not_called_and_a_later_one_is() -> None:
    timers, called = Timers(), list[str]()
    timer = timers.at(now() + 1, lambda: called.append("cancelled"))
    kept = timers.at(now() + 2, lambda: called.append("kept"))
    timers.cancel(timer)
    timers.cancel(timer)
    await asyncio.sleep(3)
    timers.cancel(kept)
    assert called == ["kept"]


@in_virtual_time
async def test_what_is_cancelled_does_not_pile_up() -> None:
    timers, called = Timers(), list[int]()
    for number in range(100):
        timers.at(now() + 50, lambda number=number: called.append(number))  # type: ignore[misc]
    most = 0
    for _ in range(20_000):
        timers.cancel(timers.at(now() + 100, lambda: called.append(-1)))
        most = max(most, len(timers))
    assert most < 1_000
    await asyncio.sleep(200)
    assert called == list(range(100))
    assert len(timers) == 0


@in_virtual_time
async def test_many_that_are_due_at_once_leave_turns_of_the_loop_to_others() -> None:
    timers, called, seen = Timers(), list[int](), list[int]()
    for number in range(100):
        timers.at(now() + 1, lambda number=number: called.append(number))  # type: ignore[misc]
    await asyncio.sleep(1)
    while len(called) < 100:
        seen.append(len(called))
        await asyncio.sleep(0)
    assert max(after - before for before, after in zip([0, *seen], [*seen, 100], strict=True)) <= BATCH
    assert called == list(range(100))


@in_virtual_time
async def test_one_that_fails_keeps_none_of_the_others_from_their_time() -> None:
    timers, called, told = Timers(), list[float](), list[object]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["exception"]))
    for later in (1, 3):
        timers.at(now() + later, lambda: called.append(now()))
    timers.at(now() + 1, [].pop)
    start = now()
    await asyncio.sleep(5)
    assert [round(at - start, 6) for at in called] == [1, 3]
    assert [type(error) for error in told] == [IndexError]
