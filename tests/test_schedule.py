"""The monitor's schedule, with endpoints that answer what the test says and no network.

Time passes on a loop whose clock jumps to the next timer, so that minutes of probing take milliseconds.
"""

from __future__ import annotations

import asyncio
import selectors
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from itertools import pairwise
from typing import Any

from geodns.core.failover import detection
from geodns.core.health import Health, Outcome, Probe, Verdict
from geodns.model import Check
from geodns.monitor.schedule import Monitor

EPOCH = 1_800_000_000.0
CHECK = Check("tcp", interval=3.0, timeout=2.0, fall=3, rise=2)
UP, DOWN = Health(Verdict.UP, 1.0, 0.0, "3 of 3: ok"), Health(Verdict.DOWN, 1.0, 0.0, "3 of 3: refused")


class _Jump(selectors.SelectSelector):
    """Never waits: moves the clock by the time that the loop wanted to sleep."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def select(self, timeout: float | None = None) -> list[Any]:
        assert timeout is not None, "the test would wait for ever"
        self.now += timeout
        return super().select(0)


def in_virtual_time(story: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    def test() -> None:
        selector = _Jump()
        loop = asyncio.SelectorEventLoop(selector)
        loop.time = lambda: selector.now  # type: ignore[method-assign]
        try:
            loop.run_until_complete(story())
        finally:
            loop.close()

    test.__name__, test.__doc__ = story.__name__, story.__doc__
    return test


class Fake:
    """Endpoints by address: well unless in `bad`, slow by `delay` seconds. Notes when each was asked."""

    def __init__(self, concurrency: int = 256) -> None:
        self.bad: set[str] = set()
        self.broken_code: set[str] = set()
        self.delay: dict[str, float] = {}
        self.asked: dict[str, list[float]] = {}
        self.changes: list[tuple[str, Health]] = []
        self.most = self.now_running = 0
        self.start = now()
        self.monitor = Monitor(self.note, lambda: EPOCH + now() - self.start, self.probe, concurrency)

    async def probe(self, p: Probe) -> Outcome:
        self.asked.setdefault(p.address, []).append(now() - self.start)
        if p.address in self.broken_code:
            raise ZeroDivisionError
        self.now_running += 1
        self.most = max(self.most, self.now_running)
        try:
            await asyncio.sleep(self.delay.get(p.address, 0.0))
        finally:
            self.now_running -= 1
        return Outcome(False, "refused") if p.address in self.bad else Outcome(True, "ok")

    def note(self, changes: Mapping[Probe, Health]) -> None:
        self.changes += [(p.address, h) for p, h in changes.items()]

    def verdicts(self) -> dict[str, str]:
        return {p.address: t.health.verdict.value for p, t in self.monitor.snapshot().items()}


def now() -> float:
    return asyncio.get_running_loop().time()


def probes(*addresses: str, check: Check = CHECK) -> frozenset[Probe]:
    return frozenset(Probe(check, a, 80) for a in addresses)


def names(count: int) -> list[str]:
    return [f"192.0.2.{n}" for n in range(count)]


@in_virtual_time
async def test_the_first_round_starts_at_once_and_is_spread_over_a_second() -> None:
    fake = Fake()
    await fake.monitor.set_probes(probes(*names(100)))
    async with asyncio.timeout(1.001):
        await fake.monitor.first_round()
    starts = sorted(times[0] for times in fake.asked.values())
    assert len(starts) == 100
    assert starts[-1] - starts[0] > 0.8
    assert set(fake.verdicts().values()) == {"up"}
    await fake.monitor.stop()


@in_virtual_time
async def test_a_first_round_of_many_takes_longer_but_no_longer_than_the_interval() -> None:
    for count, least, most in ((1000, 1.9, 2.0), (3000, 2.9, 3.0)):  # 500 a second
        fake = Fake()
        await fake.monitor.set_probes(probes(*names(count)))
        await fake.monitor.first_round()
        assert least < max(times[0] for times in fake.asked.values()) <= most
        await fake.monitor.stop()


@in_virtual_time
async def test_later_rounds_are_spread_over_the_interval_and_keep_their_cadence() -> None:
    fake = Fake()
    fake.delay = dict.fromkeys(names(50), 0.7)  # a slow answer must not move the next round
    await fake.monitor.set_probes(probes(*names(100)))
    await asyncio.sleep(300)
    for times in fake.asked.values():
        gaps = [round(b - a, 6) for a, b in pairwise(times)]
        assert 1.5 <= gaps[0] <= 4.5  # from the first round to the grid
        assert set(gaps[1:]) == {3.0}
    by_tenth = Counter(int(times[-1] % 3.0 / 0.3) for times in fake.asked.values())
    assert max(by_tenth.values()) <= 25
    assert fake.monitor.stats.late == 0
    await fake.monitor.stop()


@in_virtual_time
async def test_the_spread_is_the_same_in_every_run() -> None:
    starts = []
    for _ in range(2):
        fake = Fake()
        await fake.monitor.set_probes(probes(*names(10)))
        await asyncio.sleep(20)
        starts.append({a: [round(t, 6) for t in times] for a, times in fake.asked.items()})
        await fake.monitor.stop()
    assert starts[0] == starts[1]


@in_virtual_time
async def test_a_failure_is_told_when_it_is_one_short_and_when_it_is_sure() -> None:
    fake = Fake()
    await fake.monitor.set_probes(probes("192.0.2.1"))
    await asyncio.sleep(10)
    fake.changes.clear()
    broke = now() - fake.start
    fake.bad.add("192.0.2.1")
    await asyncio.sleep(12)
    (_, doubt), (_, down) = fake.changes
    assert (doubt.verdict, down.verdict) == (Verdict.UP, Verdict.DOWN)
    assert 6 < down.since - EPOCH - broke <= 9
    assert doubt.doubt_until == down.since + CHECK.timeout
    assert down.reason == "3 of 3: refused"
    fake.bad.clear()
    await asyncio.sleep(9)
    assert [h.verdict for _, h in fake.changes[2:]] == [Verdict.DOWN, Verdict.UP]
    await fake.monitor.stop()


@in_virtual_time
async def test_flaps_below_the_threshold_are_told_as_doubt_only() -> None:
    fake = Fake()
    await fake.monitor.set_probes(probes("192.0.2.1"))
    await asyncio.sleep(3)
    fake.changes.clear()
    for _ in range(10):
        fake.bad.add("192.0.2.1")
        await asyncio.sleep(6)
        fake.bad.clear()
        await asyncio.sleep(3)
    assert {h.verdict for _, h in fake.changes} == {Verdict.UP}
    await fake.monitor.stop()


@in_virtual_time
async def test_a_remembered_verdict_holds_at_once_and_its_probes_are_in_no_hurry() -> None:
    fake = Fake()
    known, new = probes("192.0.2.1", "192.0.2.2"), probes("192.0.2.3")
    one, two = sorted(known, key=lambda p: p.address)
    healths = await fake.monitor.set_probes(known, {one.id: DOWN, two.id: UP})
    assert {p.address: h for p, h in healths.items()} == {"192.0.2.1": DOWN, "192.0.2.2": UP}
    async with asyncio.timeout(0):
        await fake.monitor.first_round()
    assert fake.monitor.waiting == 0
    await fake.monitor.set_probes(known | new)
    assert fake.monitor.waiting == 1
    await asyncio.sleep(3)
    assert fake.verdicts() == {"192.0.2.1": "down", "192.0.2.2": "up", "192.0.2.3": "up"}  # rise is 2
    await fake.monitor.stop()


@in_virtual_time
async def test_a_remembered_doubt_is_not_carried_over() -> None:
    fake = Fake()
    (probe,) = probes("192.0.2.1")
    doubtful = Health(Verdict.UP, 1.0, 5.0, "ok")
    healths = await fake.monitor.set_probes(frozenset({probe}), {probe.id: doubtful})
    assert healths[probe].doubt_until == 0.0
    await fake.monitor.stop()


@in_virtual_time
async def test_one_finished_result_each_completes_the_first_round_though_the_verdict_is_open() -> None:
    fake = Fake()
    fake.bad.add("192.0.2.1")
    await fake.monitor.set_probes(probes("192.0.2.1", "192.0.2.2"))
    assert fake.monitor.waiting == 2
    await fake.monitor.first_round()
    assert fake.verdicts() == {"192.0.2.1": "unknown", "192.0.2.2": "up"}
    await fake.monitor.stop()


@in_virtual_time
async def test_nothing_to_probe_is_ready_at_once_but_not_before_it_is_said() -> None:
    fake = Fake()
    try:
        async with asyncio.timeout(1):
            await fake.monitor.first_round()
    except TimeoutError:
        pass
    else:
        raise AssertionError("ready before the probes are known")
    await fake.monitor.set_probes(frozenset())
    await fake.monitor.first_round()


@in_virtual_time
async def test_a_removed_one_stops_at_once_even_while_it_is_probed() -> None:
    fake = Fake()
    fake.delay["192.0.2.2"] = 1.9
    await fake.monitor.set_probes(probes("192.0.2.1", "192.0.2.2"))
    await asyncio.sleep(1.5)
    assert fake.monitor.running == 1
    await fake.monitor.set_probes(probes("192.0.2.1"))
    assert fake.monitor.running == 0
    await asyncio.sleep(30)
    assert len(fake.asked["192.0.2.2"]) == 1
    assert {a for a, _ in fake.changes} == {"192.0.2.1"}
    await fake.monitor.stop()


@in_virtual_time
async def test_kept_ones_go_on_undisturbed() -> None:
    asked = []
    for edited in (False, True):
        fake = Fake()
        await fake.monitor.set_probes(probes("192.0.2.1", "192.0.2.2"))
        await asyncio.sleep(10)
        if edited:
            await fake.monitor.set_probes(probes("192.0.2.1", "192.0.2.3"))
        await asyncio.sleep(20)
        asked.append([round(t, 6) for t in fake.asked["192.0.2.1"]])
        await fake.monitor.stop()
    assert asked[0] == asked[1]


@in_virtual_time
async def test_an_edited_check_inherits_the_verdict_of_the_one_it_replaces() -> None:
    fake = Fake()
    await fake.monitor.set_probes(probes("192.0.2.1", "192.0.2.2"))
    await asyncio.sleep(3)
    slower = Check("tcp", interval=5.0, timeout=2.0)
    # 192.0.2.1 has its check replaced; at 192.0.2.2 a second check comes beside the first: nothing to inherit
    edited, beside = probes("192.0.2.1", check=slower), probes("192.0.2.2", check=slower)
    healths = await fake.monitor.set_probes(probes("192.0.2.2") | edited | beside)
    assert [healths[p].verdict.value for p in (*edited, *beside)] == ["up", "unknown"]
    await fake.monitor.stop()


@in_virtual_time
async def test_the_cap_holds_and_what_it_delays_is_counted() -> None:
    fake = Fake(concurrency=5)
    fake.delay = dict.fromkeys(names(20), 1.5)  # 30 s of work every 3 s: 10 at a time would do
    await fake.monitor.set_probes(probes(*names(20)))
    await asyncio.sleep(60)
    assert fake.most == 5
    assert fake.monitor.queued <= 20
    assert fake.monitor.stats.late > 100
    rounds = [len(times) for times in fake.asked.values()]
    assert max(rounds) - min(rounds) <= 2  # first come, first served: nobody starves
    await fake.monitor.stop()
    assert (fake.monitor.running, fake.monitor.queued, fake.now_running) == (0, 0, 0)


@in_virtual_time
async def test_a_round_that_fills_its_interval_goes_on_and_a_longer_one_skips_counted() -> None:
    fake = Fake()
    fake.delay = {"192.0.2.1": 3.0, "192.0.2.2": 4.0}
    await fake.monitor.set_probes(probes("192.0.2.1"))
    await asyncio.sleep(60)
    assert len(fake.asked["192.0.2.1"]) >= 19
    first = fake.monitor.stats.late
    assert first <= 1  # between the first round and the grid there may be less than an interval
    await fake.monitor.set_probes(probes("192.0.2.2"))
    await asyncio.sleep(60)
    assert len(fake.asked["192.0.2.2"]) in (10, 11)
    assert fake.monitor.stats.late - first in (9, 10)
    await fake.monitor.stop()


HURRIED = Check("tcp", interval=3.0, timeout=2.0, retry_interval=0.5, fall=3, rise=2)


@in_virtual_time
async def test_in_doubt_rounds_are_a_retry_interval_apart_and_then_on_the_grid_again() -> None:
    fake = Fake()
    await fake.monitor.set_probes(probes("192.0.2.1", check=HURRIED))
    await asyncio.sleep(20)
    on_grid = fake.asked["192.0.2.1"][-1]
    fake.bad.add("192.0.2.1")
    await asyncio.sleep(30)
    fake.bad.clear()
    await asyncio.sleep(30)
    times = [round(t - on_grid, 6) for t in fake.asked["192.0.2.1"] if t > on_grid]
    assert times[:5] == [3.0, 3.5, 4.0, 6.0, 9.0]  # down at 4.0, and the grid is as it was
    gaps = {round(b - a, 6) for a, b in pairwise(times[5:])}
    assert gaps == {0.5, 2.5, 3.0}
    assert fake.monitor.stats.late == 0
    (down,) = (h for _, h in fake.changes if h.verdict is Verdict.DOWN and not h.doubt_until)
    assert round(down.since - EPOCH - on_grid, 3) == 4.0
    await fake.monitor.stop()


@in_virtual_time
async def test_a_failure_by_timeout_is_noticed_within_the_time_that_check_tells() -> None:
    for check in (HURRIED, CHECK, Check("tcp", interval=2.0, timeout=1.0, retry_interval=0.7, fall=4)):
        for shift in range(12):
            fake = Fake()
            await fake.monitor.set_probes(probes("192.0.2.1", check=check))
            await asyncio.sleep(20 + shift / 4)
            broke = now() - fake.start
            fake.bad.add("192.0.2.1")
            fake.delay["192.0.2.1"] = check.timeout
            await asyncio.sleep(20)
            (down,) = (h for _, h in fake.changes if h.verdict is Verdict.DOWN)
            assert down.since - EPOCH - broke <= detection(check)
            await fake.monitor.stop()


@in_virtual_time
async def test_a_bug_in_a_probe_or_in_the_listener_is_counted_and_stops_nothing() -> None:
    fake = Fake()
    fake.broken_code.add("192.0.2.1")

    def listener(_: Mapping[Probe, Health]) -> None:
        raise ZeroDivisionError

    fake.monitor._on_change = listener
    await fake.monitor.set_probes(probes("192.0.2.1", "192.0.2.2"))
    await asyncio.sleep(30)
    assert fake.verdicts() == {"192.0.2.1": "down", "192.0.2.2": "up"}
    assert len(fake.asked["192.0.2.1"]) >= 9
    assert fake.monitor.stats.errors >= 9 + 3
    (track,) = (t for p, t in fake.monitor.snapshot().items() if p.address == "192.0.2.1")
    assert track.last is not None
    assert track.last.detail == "probe error: ZeroDivisionError"
    await fake.monitor.stop()


@in_virtual_time
async def test_after_stop_nothing_is_asked() -> None:
    fake = Fake()
    fake.delay["192.0.2.1"] = 1.0
    await fake.monitor.set_probes(probes(*names(5)))
    await asyncio.sleep(0.9)
    await fake.monitor.stop()
    asked = sum(map(len, fake.asked.values()))
    await asyncio.sleep(30)
    assert sum(map(len, fake.asked.values())) == asked
    assert len(asyncio.all_tasks()) == 1
