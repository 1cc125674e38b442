"""Changes that the disk refuses: none of them is made, or they hold in memory until the disk takes them."""

# ruff: noqa: F401, F811 - fixtures are imported by name

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from admin_http import Api, api, start
from admin_support import NEAREST, NOW, with_paused, world_of
from cli_support import Geodns, Running, geodns, running

from geodns import journal as journals
from geodns.core.audit import LIFT, SET, VERDICT, Entry, Wanted, in_memory, of_batch
from geodns.core.overrides import FORCE, PAUSE, WEIGHT, Override
from geodns.core.world import Batch, Lifted, Overridden
from geodns.errors import DiskError, StoreError
from geodns.journal import Journal
from geodns.store.state import Store

WORLD = world_of("a b", ((NEAREST,), False))
PAUSED = Override(PAUSE, "a", "why", "ann", NOW)
SETTING = Batch((Overridden(PAUSED),))
LIFTING = Batch((Lifted(PAUSE, "a"),))


class Disk(Store):
    """A state file on a disk that can be filled."""

    full = False

    def _refuse(self) -> None:
        if self.full:
            raise DiskError("the disk is full", full=True)

    def change_overrides(self, *what: object) -> None:  # type: ignore[override]
        self._refuse()
        super().change_overrides(*what)  # type: ignore[arg-type]

    def note(self, entries: object) -> None:  # type: ignore[override]
        self._refuse()
        super().note(entries)  # type: ignore[arg-type]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    disk = Disk(tmp_path / "geodns.db")
    yield disk
    disk.close()


def verdict(number: int) -> Entry:
    return Entry(float(number), VERDICT, f"probe {number}", "monitor", "refused", "", '{"verdict": "down"}')


def written(disk: Store) -> list[tuple[str, str]]:
    """Action and subject of the audit's rows, the oldest first."""
    return [(r.entry.action, r.entry.subject) for r in reversed(disk.audit(Wanted(), 100).rows)]


async def change(journal: Journal, batch: Batch = SETTING, *, volatile: bool = False) -> bool:
    return await journal.change(batch, of_batch(WORLD, batch, NOW, "ann", "why"), volatile=volatile)


class TestJournal:
    async def test_what_may_not_be_volatile_is_refused_and_nothing_of_it_stays(self, disk: Disk) -> None:
        journal = Journal(disk, 0.0)
        journal.note(verdict(1))
        disk.full = True
        with pytest.raises(DiskError):
            await change(journal)
        assert (journal.unwritten, journal.waiting, journal.errors) == ({}, 1, 1)
        disk.full = False
        await journal.close()
        assert (disk.overrides(), written(disk)) == ([], [(VERDICT, "probe 1")])

    async def test_what_may_is_written_by_itself_in_its_place_among_the_rows(
        self, disk: Disk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(journals, "AGAIN", 0.01)
        monkeypatch.setattr(journals, "AT_ONCE", 1)  # an override is never written without its row
        journal = Journal(disk, 0.0)
        keeping = asyncio.create_task(journal.keep())
        disk.full = True
        journal.note(verdict(1))
        assert await change(journal, volatile=True) is False
        journal.note(verdict(2))
        assert list(journal.unwritten) == [(PAUSE, "a")]
        assert journal.refused == "the disk is full"
        assert disk.overrides() == []
        disk.full = False
        while journal.waiting or journal.unwritten:  # noqa: ASYNC110 - a thread writes
            await asyncio.sleep(0.01)
        keeping.cancel()
        assert (disk.overrides(), journal.refused) == ([PAUSED], "")
        assert written(disk) == [(VERDICT, "probe 1"), (SET, "a"), (VERDICT, "probe 2")]
        (row,) = disk.audit(Wanted(action=SET), 9).rows
        assert json.loads(row.entry.after)["volatile"] is True

    async def test_the_next_change_that_the_disk_takes_brings_it_along(self, disk: Disk) -> None:
        journal = Journal(disk, 0.0)
        disk.full = True
        await change(journal, volatile=True)
        disk.full = False
        weight = Override(WEIGHT, "b", "less", "bob", NOW, None, 40)
        assert await change(journal, Batch((Overridden(weight),)), volatile=True) is True
        assert disk.overrides() == [PAUSED, weight]
        assert journal.unwritten == {}
        assert [subject for _, subject in written(disk)] == ["a", "b"]

    async def test_the_last_of_several_is_what_is_written(self, disk: Disk) -> None:
        await change(journal := Journal(disk, 0.0))
        disk.full = True
        await change(journal, LIFTING, volatile=True)
        assert journal.unwritten == {(PAUSE, "a"): None}
        assert disk.overrides() == [PAUSED], "a restart now would bring it back"
        await change(journal, volatile=True)
        await change(journal, LIFTING, volatile=True)
        disk.full = False
        await journal.close()
        assert disk.overrides() == []
        assert [action for action, _ in written(disk)] == [SET, LIFT, SET, LIFT]

    async def test_a_write_that_nobody_waits_for_any_more_is_written_once(self, disk: Disk) -> None:
        journal = Journal(disk, 0.0)
        journal.note(verdict(1))
        changing = asyncio.create_task(change(journal))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        changing.cancel()
        await journal.close()
        assert disk.overrides() == [PAUSED]
        assert written(disk) == [(VERDICT, "probe 1"), (SET, "a")]

    async def test_it_is_bounded(self, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(journals, "MAX_UNWRITTEN", 1)
        journal = Journal(disk, 0.0)
        disk.full = True
        await change(journal, volatile=True)
        with pytest.raises(DiskError):
            await change(journal, Batch((Lifted(FORCE, "b"),)), volatile=True)
        monkeypatch.setattr(journals, "MAX_UNWRITTEN", 2)
        monkeypatch.setattr(journals, "MAX_WAITING", 1)
        with pytest.raises(DiskError):
            await change(journal, Batch((Lifted(FORCE, "b"),)), volatile=True)
        assert list(journal.unwritten) == [(PAUSE, "a")]

    async def test_what_the_store_refuses_for_another_reason_is_not_held(self, disk: Disk) -> None:
        long = Batch((Overridden(Override(PAUSE, "a", "x" * 2000, "ann", NOW)),))
        journal = Journal(disk, 0.0)
        with pytest.raises(StoreError, match="longer than"):
            await change(journal, long, volatile=True)
        assert (journal.unwritten, journal.refused) == ({}, "")


def test_only_changes_of_overrides_are_marked() -> None:
    (lifted,) = of_batch(with_paused(WORLD, "a"), LIFTING, NOW, "bob", "over")
    assert json.loads(in_memory(lifted).after) == {"volatile": True}
    assert in_memory(verdict(1)) == verdict(1)


class TestApi:
    @pytest.mark.parametrize(
        ("method", "path", "body"),
        [
            ("PUT", "/api/v1/regions/eu-west/pause", {"reason": "x", "volatile": True}),
            ("DELETE", "/api/v1/regions/eu-west/pause?volatile=true", None),
            ("PUT", "/api/v1/overrides/eu-west/weight", {"reason": "x", "value": "40%", "volatile": True}),
            ("DELETE", "/api/v1/overrides/eu-west/pause?volatile=true", None),
            (
                "POST",
                "/api/v1/batch",
                {"reason": "x", "volatile": True, "changes": [{"lift": "pause", "subject": "eu-west"}]},
            ),
        ],
    )
    async def test_is_asked_for_by_every_call_that_changes_something(
        self, api: Api, method: str, path: str, body: dict[str, object] | None
    ) -> None:
        api.control.state = with_paused(api.control.state, "eu-west")
        reply = await api(method, path, body)
        assert (reply.status, reply.body["volatile"]) == (200, False)
        assert api.control.calls[-1].volatile

    async def test_is_not_told_where_nobody_asked(self, api: Api) -> None:
        reply = await api("PUT", "/api/v1/regions/eu-west/pause", {"reason": "x"})
        assert "volatile" not in reply.body
        assert not api.control.calls[-1].volatile

    async def test_is_shown_with_the_override_and_the_region(self, api: Api) -> None:
        api.control.state = with_paused(api.control.state, "eu-west", "cn-north")
        api.control.unwritten = {(PAUSE, "eu-west")}
        listed = (await api("GET", "/api/v1/overrides")).body["overrides"]
        assert {o["subject"]: o["volatile"] for o in listed} == {"eu-west": True, "cn-north": False}
        (one,) = (await api("GET", "/api/v1/overrides/eu-west")).body["overrides"]
        assert one["volatile"] is True
        regions = (await api("GET", "/api/v1/regions")).body["regions"]
        paused = {r["id"]: r["paused"]["volatile"] for r in regions if r["paused"]}
        assert paused == {"eu-west": True, "cn-north": False}


class TestCommandLine:
    @pytest.mark.parametrize(
        "words",
        [
            ("pause", "eu-west"),
            ("resume", "eu-west"),
            ("weight", "eu-west", "40%"),
            ("force-up", "eu-west"),
            ("force-down", "eu-west"),
            ("lift", "pause", "eu-west"),
            ("batch", "pause eu-west"),
        ],
    )
    def test_every_verb_that_changes_something_has_it(
        self, geodns: Geodns, running: Running, words: tuple[str, ...]
    ) -> None:
        done = geodns(*words, "-r", "x", "--volatile", "--url", running.url)
        assert done.code == 0, done.err
        assert running.control.calls[-1].volatile

    def test_it_is_told_and_shown(self, geodns: Geodns, running: Running) -> None:
        running.control.unwritten = {(PAUSE, "eu-west")}
        running.control.refusing = True
        done = geodns("pause", "eu-west", "-r", "x", "--volatile", "--url", running.url)
        assert done.out.splitlines()[-1].startswith("IN MEMORY ONLY: the disk refuses")
        assert "pause (in memory only)" in geodns("overrides", "--url", running.url).out
        assert "paused in memory only by" in geodns("regions", "--url", running.url).out

    def test_the_log_says_so(self, geodns: Geodns, running: Running) -> None:
        set_, lifted = (of_batch(w, b, NOW, "ann", "x")[0] for w, b in ((WORLD, SETTING), (WORLD, LIFTING)))
        running.control.entries = [in_memory(set_), in_memory(lifted)]
        above, below = geodns("log", "--url", running.url).out.splitlines()[1:]
        assert "nothing -> nothing, in memory at first" in above
        assert "pause, in memory at first" in below


async def test_what_time_changes_while_the_disk_refuses_another_change_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "state")
    journal = Journal(store, 0.0)
    pauses = {region: Override(PAUSE, region, "why", "ann", 1.0, 2.0) for region in ("eu", "us")}
    asked, refuse = threading.Event(), threading.Event()

    def full(*_: object) -> None:
        asked.set()
        refuse.wait(5)
        raise DiskError("the disk is full", full=True)

    monkeypatch.setattr(store, "change_overrides", full)
    refuse.set()
    assert not await journal.change(Batch((Overridden(pauses["eu"]),)), [], volatile=True)
    refuse.clear()
    asked.clear()
    changing = asyncio.create_task(journal.change(Batch((Overridden(pauses["us"]),)), [], volatile=True))
    await asyncio.to_thread(asked.wait, 5)
    journal.amend(Batch((Lifted(PAUSE, "eu"),)))
    refuse.set()
    assert not await changing
    assert journal.unwritten == {(PAUSE, "eu"): None, (PAUSE, "us"): pauses["us"]}
    store.close()
