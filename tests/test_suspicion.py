"""When the prober suspects itself: the decision, and what becomes of verdicts meanwhile, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import pytest
from test_schedule import CHECK, DOWN, UP, Fake, in_virtual_time, names, now, probes

from geodns.core.health import Health, Probe, Verdict
from geodns.core.suspicion import Bonds, bonds, suspicious
from geodns.model import Check, Endpoint, Pool, PoolRegion
from geodns.monitor.schedule import Monitor

TCP = Check("tcp", port=80)


def pool(name: str, **regions: list[str]) -> Pool:
    return Pool(
        name,
        "nearest",
        tuple(
            PoolRegion(region, tuple(Endpoint(a, ipv4=a, check=TCP) for a in addresses))
            for region, addresses in regions.items()
        ),
    )


def of(*pools: Pool) -> Mapping[Probe, Bonds]:
    return bonds({p.id: p for p in pools})


def judged(known: Mapping[Probe, Bonds], fails: Callable[[str], bool], share: float = 0.6) -> bool:
    failing = [p for p in known if fails(p.address)]
    return suspicious(failing, known.keys() - set(failing), known, share)


WEB = pool("web", south=["10.1.1.1", "10.1.1.2"], west=["10.1.2.1", "10.1.2.2"])
MAIL = pool("mail", south=["10.2.1.1", "10.2.1.2"], west=["10.2.2.1", "10.2.2.2"])


def test_pools_that_are_probed_at_a_common_address_are_one_circle() -> None:
    same = pool("same", south=["10.1.1.1"])
    chained = pool("chained", south=["10.2.1.1", "10.3.1.1"], north=["10.3.1.2"])
    more = pool("more", north=["10.3.1.2"])
    known = of(WEB, MAIL, same, chained, more)
    circles = {a: bond.circle for (a, bond) in ((p.address, b) for p, b in known.items())}
    assert circles["10.1.1.1"] == circles["10.1.2.2"]
    assert circles["10.2.1.1"] == circles["10.3.1.1"] == circles["10.3.1.2"]
    assert circles["10.1.1.1"] != circles["10.2.1.1"]
    assert {b.regions for p, b in known.items() if p.address == "10.3.1.2"} == {frozenset({"north"})}


@pytest.mark.parametrize(
    ("what", "fails", "suspected"),
    [
        ("everything", lambda a: True, True),
        ("most, everywhere", lambda a: a != "10.1.2.2", True),
        ("half", lambda a: a.endswith(".1"), False),
        ("a region", lambda a: a[5] == "1", False),
        ("a service", lambda a: a[3] == "1", False),
        ("nothing", lambda a: False, False),
    ],
)
def test_whom_to_suspect(what: str, fails: Callable[[str], bool], suspected: bool) -> None:
    assert judged(of(WEB, MAIL), fails) is suspected, what


def test_the_largest_region_or_service_is_its_own_fault_though_it_is_most_of_all() -> None:
    region = [f"10.9.1.{n}" for n in range(9)]
    assert not judged(of(pool("a", big=region[:4], small=["10.9.2.1"]), pool("b", big=region[4:])),
                      lambda a: a[5] == "1")  # fmt: skip
    service = pool("a", south=region[:4], west=region[4:])
    assert not judged(of(service, pool("b", south=["10.9.3.1"])), lambda a: a[5] == "1")


def test_a_single_pool_suspects_nobody_and_a_single_region_may() -> None:
    assert not judged(of(WEB), lambda a: True)
    assert judged(of(pool("a", south=["10.1.1.1"]), pool("b", south=["10.1.1.2"])), lambda a: True)


def test_the_share_is_the_operators() -> None:
    assert not judged(of(WEB, MAIL), lambda a: not a.endswith(".2.2"), 0.9)
    assert judged(of(WEB, MAIL), lambda a: a.endswith(".1"), 0.5)


# in virtual time


class Suspicious(Fake):
    """Endpoints whose prober may suspect itself, whoever they are."""

    def __init__(self, share: float = 0.6, verdict: bool = True) -> None:
        super().__init__()
        self.verdict = verdict
        self.asked_whom = 0
        self.monitor = Monitor(
            self.note, lambda: 1_800_000_000.0 + now() - self.start, self.probe, 256, self.suspects, share
        )

    def suspects(self, failing: object, well: object) -> bool:
        self.asked_whom += 1
        return self.verdict


@in_virtual_time
async def test_isolation_changes_no_verdict_and_ends_by_itself() -> None:
    fake = Suspicious()
    await fake.monitor.set_probes(probes(*names(50)))
    await asyncio.sleep(20)
    fake.changes.clear()
    fake.bad = set(names(50))
    await asyncio.sleep(60)
    assert fake.monitor.suspected
    assert set(fake.verdicts().values()) == {"up"}
    assert fake.monitor.stats.disbelieved > 500
    assert all(t.last and not t.last.ok for t in fake.monitor.snapshot().values())  # and yet it is shown
    fake.bad.clear()
    await asyncio.sleep(3.1)
    assert not fake.monitor.suspected
    await asyncio.sleep(60)
    assert {h.verdict for _, h in fake.changes} <= {Verdict.UP}
    assert not any(t.health.doubt_until for t in fake.monitor.snapshot().values())
    await fake.monitor.stop()


@in_virtual_time
async def test_what_fell_before_the_suspicion_is_up_again_and_what_was_down_stays_so() -> None:
    hasty = Check("tcp", interval=3.0, timeout=2.0, fall=1, rise=2, damping=0.0)
    fake = Suspicious()
    fake.bad.add("192.0.2.49")
    await fake.monitor.set_probes(probes(*names(50), check=hasty))
    await asyncio.sleep(20)
    fake.bad = set(names(50))
    await asyncio.sleep(1.0)
    assert 10 < list(fake.verdicts().values()).count("down") < 30  # it takes most of an interval to see it
    await asyncio.sleep(2.0)
    assert fake.monitor.suspected
    assert {a for a, v in fake.verdicts().items() if v == "down"} == {"192.0.2.49"}
    told: dict[str, Health] = dict(fake.changes)
    assert {a for a, h in told.items() if h.verdict is Verdict.DOWN} == {"192.0.2.49"}
    await fake.monitor.stop()


@in_virtual_time
async def test_who_still_fails_after_it_falls_like_anybody() -> None:
    fake = Suspicious()
    await fake.monitor.set_probes(probes(*names(50)))
    await asyncio.sleep(20)
    fake.bad = set(names(50))
    await asyncio.sleep(30)
    fake.bad = set(names(5))
    await asyncio.sleep(3.1 + 3 * CHECK.interval + CHECK.timeout)
    assert not fake.monitor.suspected
    assert {a for a, v in fake.verdicts().items() if v == "down"} == set(names(5))
    await fake.monitor.stop()


@in_virtual_time
async def test_good_results_count_while_bad_ones_do_not() -> None:
    fake = Suspicious()
    remembered = {p.id: DOWN if p.address == "192.0.2.49" else UP for p in probes(*names(50))}
    fake.bad = set(names(49))
    await fake.monitor.set_probes(probes(*names(50)), remembered)
    await asyncio.sleep(15)
    assert fake.monitor.suspected
    assert set(fake.verdicts().values()) == {"up"}  # the one that was down has risen
    await fake.monitor.stop()


@in_virtual_time
async def test_failures_that_come_one_after_the_other_are_nobodys_suspicion() -> None:
    fake = Suspicious()
    await fake.monitor.set_probes(probes(*names(20)))
    await asyncio.sleep(20)
    for name in names(20)[:15]:
        fake.bad.add(name)
        await asyncio.sleep(4)
    assert not fake.monitor.suspected
    assert list(fake.verdicts().values()).count("down") >= 13
    await fake.monitor.stop()


@in_virtual_time
async def test_it_can_be_switched_off_and_is_asked_no_more_than_ten_times_a_second() -> None:
    for share in (0.0, 0.6):
        fake = Suspicious(share, verdict=False)
        await fake.monitor.set_probes(probes(*names(200)))
        await asyncio.sleep(20)
        fake.bad = set(names(200))
        await asyncio.sleep(20)
        assert not fake.monitor.suspected
        assert set(fake.verdicts().values()) == {"down"}
        assert fake.asked_whom <= (60 if share else 0)
        assert bool(fake.asked_whom) == bool(share)
        await fake.monitor.stop()


@in_virtual_time
async def test_those_that_are_removed_do_not_hold_the_suspicion_up() -> None:
    fake = Suspicious()
    await fake.monitor.set_probes(probes(*names(50)))
    await asyncio.sleep(20)
    fake.bad = set(names(40))
    await asyncio.sleep(10)
    assert fake.monitor.suspected
    await fake.monitor.set_probes(probes(*names(50)[35:]))
    await asyncio.sleep(3.1)
    assert not fake.monitor.suspected
    await fake.monitor.stop()
