"""Probes that the monitor runs without a task: the schedule is the same. In virtual time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

from test_schedule import EPOCH, Fake, in_virtual_time, names, now, probes

from geodns.core.health import Outcome, Probe
from geodns.monitor.schedule import Monitor


class Direct(Fake):
    """Endpoints whose probes need no task, but for those in `tasked`. `cancelled` counts by address."""

    def __init__(self, concurrency: int = 256) -> None:
        super().__init__()
        self.tasked: set[str] = set()
        self.cancelled: Counter[str] = Counter()
        self.monitor = Monitor(
            self.note, lambda: EPOCH + now() - self.start, self.probe, concurrency, begin=self.begin
        )

    def begin(self, p: Probe, done: Callable[[Outcome], None]) -> Callable[[], None] | None:
        if p.address in self.tasked:
            return None
        if p.address in self.broken_code:
            raise ZeroDivisionError
        self.asked.setdefault(p.address, []).append(now() - self.start)
        self.now_running += 1
        self.most = max(self.most, self.now_running)
        timer = asyncio.get_running_loop().call_later(self.delay.get(p.address, 0.0), self.end, p, done)
        return lambda: self.cancel(p, timer)

    def end(self, p: Probe, done: Callable[[Outcome], None]) -> None:
        self.now_running -= 1
        done(Outcome(False, "refused") if p.address in self.bad else Outcome(True, "ok"))

    def cancel(self, p: Probe, timer: asyncio.TimerHandle) -> None:
        timer.cancel()
        self.now_running -= 1
        self.cancelled[p.address] += 1


@in_virtual_time
async def test_probes_with_and_without_a_task_run_and_tell_alike() -> None:
    told = []
    for tasked in (set(names(20)), set(names(10)), set[str]()):
        fake = Direct()
        fake.tasked = tasked
        fake.delay = dict.fromkeys(names(20), 0.3)
        await fake.monitor.set_probes(probes(*names(20)))
        await asyncio.sleep(20)
        fake.bad = set(names(5))
        await asyncio.sleep(20)
        fake.bad.clear()
        await asyncio.sleep(20)
        assert len(asyncio.all_tasks()) <= 1 + len(tasked)
        asked = {a: [round(t, 6) for t in times] for a, times in fake.asked.items()}
        changes = [(a, h.verdict, round(h.since, 5), round(h.doubt_until, 5)) for a, h in fake.changes]
        told.append((asked, sorted(changes), fake.monitor.stats))
        assert fake.cancelled.total() == 0
        await fake.monitor.stop()
    assert told[0] == told[1] == told[2]


@in_virtual_time
async def test_the_cap_is_one_for_both() -> None:
    fake = Direct(concurrency=5)
    fake.tasked = set(names(10))
    fake.delay = dict.fromkeys(names(20), 1.5)
    await fake.monitor.set_probes(probes(*names(20)))
    await asyncio.sleep(60)
    assert fake.most == 5
    rounds = [len(times) for times in fake.asked.values()]
    assert max(rounds) - min(rounds) <= 2
    await fake.monitor.set_probes(probes(*names(3)))
    await asyncio.sleep(0)
    assert fake.now_running == fake.monitor.running <= 3
    assert fake.monitor.queued == 0
    await fake.monitor.stop()
    assert (fake.monitor.running, fake.now_running) == (0, 0)


@in_virtual_time
async def test_a_removed_one_without_a_task_is_cancelled_and_makes_room() -> None:
    fake = Direct(concurrency=1)
    fake.delay = {"192.0.2.0": 1.9, "192.0.2.1": 1.9}
    await fake.monitor.set_probes(probes(*names(2)))
    await asyncio.sleep(1.5)
    (running,) = fake.asked
    (other,) = set(names(2)) - {running}
    await fake.monitor.set_probes(probes(other))
    assert fake.cancelled == {running: 1}
    assert list(fake.asked) == [running, other]  # at once: it had waited for room
    await asyncio.sleep(30)
    assert len(fake.asked[running]) == 1
    await fake.monitor.stop()


@in_virtual_time
async def test_one_that_cannot_begin_for_a_bug_is_probed_by_a_task_and_counted() -> None:
    fake = Direct()
    fake.broken_code.add("192.0.2.0")
    await fake.monitor.set_probes(probes(*names(2)))
    await asyncio.sleep(30)
    assert fake.verdicts() == {"192.0.2.0": "down", "192.0.2.1": "up"}
    assert fake.monitor.running == 0
    assert fake.monitor.stats.errors >= 2 * 9
    await fake.monitor.stop()
