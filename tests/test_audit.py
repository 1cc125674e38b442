"""The audit: what is written of what; that it is bounded, and that nothing can be changed in it unseen."""

# ruff: noqa: F401, F811 - fixtures are imported by name

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from admin_http import Api, api, start
from admin_support import NEAREST, NOW, probe_in, with_paused, with_verdict, world_of
from cli_support import Geodns, Running, geodns, running

from geodns import journal as journals
from geodns.core.audit import NO_HASH, Entry, Row, Wanted, of_batch, of_verdicts
from geodns.core.health import Health, Verdict
from geodns.core.overrides import PAUSE, WEIGHT, Override
from geodns.core.world import Batch, Lifted, Observed, Overridden, users
from geodns.errors import DiskError, StoreError
from geodns.journal import Journal
from geodns.store import audit, state
from geodns.store.state import Store

WORLD = world_of("a b", ((NEAREST,), False))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "geodns.db")
    yield store
    store.close()


def entry(number: int, action: str = "set", subject: str = "a", actor: str = "ann") -> Entry:
    return Entry(float(number), action, subject, actor, f"reason {number}", "", '{"kind": "pause"}')


def rows(store: Store, limit: int = 1000, **wanted: Any) -> list[int]:
    return [row.seq for row in store.audit(Wanted(**wanted), limit).rows]


def proven(store: Store) -> tuple[int, str]:
    """The last row that is good, and what is wrong behind it."""
    good, wrong, before = (0, NO_HASH), "", None
    while not wrong and good != before:
        before = good
        good, wrong = store.check_audit(good)
    return good[0], wrong


class TestWhatIsWritten:
    def test_who_why_before_and_after(self) -> None:
        world = with_paused(WORLD, "a")
        weight = Override(WEIGHT, "b", "less", "bob", NOW, NOW + 60, 40)
        batch = Batch((Lifted(PAUSE, "a"), Overridden(weight)))
        lifted, set_ = of_batch(world, batch, NOW, "bob", "less")
        assert (lifted.action, lifted.subject, lifted.actor, lifted.reason) == ("lift", "a", "bob", "less")
        assert json.loads(lifted.before) == {
            "kind": "pause", "reason": "why", "actor": "who", "since": NOW, "until": None,
        }  # fmt: skip
        assert (lifted.after, set_.before, set_.action) == ("", "", "set")
        assert json.loads(set_.after) == {
            "kind": "weight", "value": "40%",
            "reason": "less", "actor": "bob", "since": NOW, "until": NOW + 60,
        }  # fmt: skip

    def test_what_ends_by_itself(self) -> None:
        (ended,) = of_batch(with_paused(WORLD, "a"), Batch((Lifted(PAUSE, "a"),)), NOW, "clock", "")
        assert ended.action == "expire"

    def test_verdicts_that_change_and_only_those(self) -> None:
        """Not doubts, not what an earlier run had found, not what nobody uses any more."""
        world = with_verdict(WORLD, "a", Verdict.UP)
        a, b = probe_in(world, "a"), probe_in(world, "b")
        event = Observed({a: Health(Verdict.DOWN, NOW, 0.0, "refused"), b: Health(Verdict.UP, NOW - 99)})
        deciding = users(world.pools)
        (found,) = of_verdicts(world, event, NOW - 9, deciding)
        assert (found.action, found.subject, found.actor, found.reason) == (
            "verdict",
            "a:web:a-1",
            "monitor",
            "refused",
        )
        was, now = ({"verdict": verdict, "check": a.id} for verdict in ("up", "down"))
        assert (json.loads(found.before), json.loads(found.after)) == (was, now)
        assert not of_verdicts(world, Observed({a: Health(Verdict.UP, NOW, NOW + 5)}), 0.0, deciding)
        smaller = world_of("c", ((NEAREST,), False))
        down = Observed({b: Health(Verdict.DOWN, NOW)})
        assert not of_verdicts(smaller, down, 0.0, users(smaller.pools))

    def test_a_verdict_is_told_of_each_endpoint_that_it_is_about(self) -> None:
        one = WORLD.pools["web"]
        both = {"web": one, "more": replace(one, id="more")}
        probe = probe_in(WORLD, "a")
        found = of_verdicts(WORLD, Observed({probe: Health(Verdict.DOWN, NOW)}), 0.0, users(both))
        assert [entry.subject for entry in found] == ["a:web:a-1", "a:more:a-1"]


class TestChain:
    @pytest.mark.parametrize(
        ("tampering", "last", "says"),
        [
            ("UPDATE audit SET actor = 'eve' WHERE seq = 3", 2, "row 3 is not the one that was written"),
            ("UPDATE audit SET at = at + 1 WHERE seq = 3", 2, "row 3 is not the one that was written"),
            ("UPDATE audit SET after = '' WHERE seq = 3", 2, "row 3 is not the one that was written"),
            ("UPDATE audit SET hash = zeroblob(32) WHERE seq = 3", 2, "row 3 is not the one"),
            ("DELETE FROM audit WHERE seq = 3", 2, "row 3 is missing"),
            ("DELETE FROM audit WHERE seq < 3", 0, "row 1 is missing"),
            ("UPDATE audit SET seq = 99 WHERE seq = 5", 4, "row 5 is missing"),
        ],
    )
    def test_what_is_changed_afterwards_shows(
        self, store: Store, tampering: str, last: int, says: str
    ) -> None:
        store.note(map(entry, range(1, 6)))
        assert proven(store) == (5, "")
        with sqlite3.connect(store.path) as db:
            db.execute(tampering)
        found, wrong = proven(store)
        assert found == last
        assert wrong.startswith(says)

    def test_it_goes_on_over_restarts_and_in_many_steps(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(audit, "CHUNK", 3)
        store.note(map(entry, range(1, 5)))
        store.close()
        again = Store(store.path)
        again.note(map(entry, range(5, 11)))
        assert proven(again) == (10, "")
        again.close()

    def test_the_oldest_fall_out_and_the_rest_is_still_proven(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(state, "MAX_AUDIT", 4)
        for number in range(1, 8):
            store.note([entry(number)])
        assert rows(store) == [7, 6, 5, 4]
        assert store.audit_dropped == store.audit(Wanted(), 1).dropped == 3
        assert proven(store) == (7, "")
        store.note(map(entry, range(8, 18)))
        assert rows(store) == [17, 16, 15, 14]
        assert proven(store) == (17, "")

    def test_rows_that_fall_out_while_one_verifies(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(state, "MAX_AUDIT", 4)
        monkeypatch.setattr(audit, "CHUNK", 2)
        store.note(map(entry, range(1, 5)))
        good, wrong = store.check_audit((0, NO_HASH))
        assert (good[0], wrong) == (2, "")
        store.note(map(entry, range(5, 9)))
        assert store.check_audit(good)[0][0] == 6

    def test_a_row_is_as_long_as_it_may_be_and_printable(self, store: Store) -> None:
        store.note([Entry(1.0, "verdict", "x" * 9000, "monitor", "two\nlines \ud800")])
        (row,) = store.audit(Wanted(), 1).rows
        assert len(row.entry.subject) == audit.MAX_TEXT
        assert row.entry.reason == "two\\nlines \\ud800"
        assert proven(store) == (1, "")


def test_an_override_and_its_row_are_written_together_or_not_at_all(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "MAX_OVERRIDES", 1)
    pauses = [Override(PAUSE, region, "why", "ann", 1.0) for region in "ab"]
    store.change_overrides(pauses[:1], [], [entry(1)])
    with pytest.raises(StoreError):
        store.change_overrides(pauses[1:], [], [entry(2)])
    assert rows(store) == [1]


class TestReading:
    @pytest.fixture(autouse=True)
    def written(self, store: Store) -> None:
        store.note(
            [
                entry(10),
                entry(20, "verdict", "http://192.0.2.1:80#x", "monitor"),
                entry(30, "lift", "a:web", "bob"),
                entry(40, "set", "ab"),
            ]
        )

    @pytest.mark.parametrize(
        ("wanted", "found"),
        [
            ({}, [4, 3, 2, 1]),
            ({"action": "set"}, [4, 1]),
            ({"actor": "bob"}, [3]),
            ({"subject": "a"}, [3, 1]),  # and what is inside it, not what begins alike
            ({"subject": "a_"}, []),
            ({"since": 20.0}, [4, 3, 2]),
            ({"until": 20.0}, [1]),
            ({"before": 3}, [2, 1]),
            ({"action": "set", "before": 4, "subject": "a"}, [1]),
        ],
    )
    def test_newest_first_of_what_is_wanted(
        self, store: Store, wanted: dict[str, Any], found: list[int]
    ) -> None:
        assert rows(store, **wanted) == found

    def test_in_pages(self, store: Store) -> None:
        assert rows(store, 3) == [4, 3, 2]
        assert rows(store, 3, before=2) == [1]


class TestJournal:
    async def test_what_is_noted_is_written_beside_and_at_the_end(self, store: Store) -> None:
        journal = Journal(store, 0.0)
        keeping = asyncio.create_task(journal.keep())
        journal.note(entry(1), entry(2))
        while rows(store) != [2, 1]:  # noqa: ASYNC110 - a thread writes
            await asyncio.sleep(0.01)
        keeping.cancel()
        journal.note(entry(3))
        await journal.close()
        assert rows(store) == [3, 2, 1]

    async def test_a_disk_that_refuses_is_tried_again(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(journals, "AGAIN", 0.01)
        journal, real, refusals = Journal(store, 0.0), store.note, iter(range(3))

        def note(entries: Any) -> None:
            if next(refusals, None) is not None:
                raise DiskError("the disk is full", full=True)
            real(entries)

        monkeypatch.setattr(store, "note", note)
        keeping = asyncio.create_task(journal.keep())
        journal.note(entry(1), entry(2))
        while not journal.refused:  # noqa: ASYNC110 - a thread writes
            await asyncio.sleep(0)
        assert journal.refused == "the disk is full"
        while rows(store) != [2, 1]:  # noqa: ASYNC110 - a thread writes
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        assert (journal.errors, journal.refused) == (3, "")
        keeping.cancel()

    async def test_what_there_is_no_room_for_is_counted(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(journals, "MAX_WAITING", 2)
        journal = Journal(store, 0.0)
        journal.note(entry(1))
        journal.note(entry(2), entry(3), entry(4))
        assert journal.lost == 2
        await journal.close()
        assert [row.entry.at for row in store.audit(Wanted(), 9).rows] == [2.0, 1.0]

    async def test_a_proof_and_a_head_that_was_noted(self, store: Store) -> None:
        store.note(map(entry, range(1, 6)))
        journal = Journal(store, 0.0)
        proof = await journal.verify(None)
        assert (proof.first, proof.last, proof.wrong) == (1, 5, "")
        known = (3, (await journal.read(Wanted(before=4), 1)).rows[0].hash)
        assert (await journal.verify(known)).wrong == ""
        assert (await journal.verify((9, NO_HASH))).wrong == "row 9 is not kept"
        assert (await journal.verify((3, NO_HASH))).wrong == "row 3 is another one than you noted"


LOG = "/api/v1/log"


class TestApi:
    async def test_entries_newest_first_with_what_comes_next(self, api: Api) -> None:
        api.control.entries = [entry(1), Entry(NOW, "verdict", "p", "monitor", "refused", "", '{"cut off')]
        reply = await api("GET", LOG + "?limit=1")
        assert reply.status == 200
        (found,) = reply.body["entries"]
        assert found | {"hash": ""} == {
            "seq": 2,
            "at": "2023-11-14T22:13:20.000Z",
            "action": "verdict",
            "subject": "p",
            "actor": "monitor",
            "reason": "refused",
            "before": None,
            "after": '{"cut off',
            "hash": "",
        }
        assert (reply.body["next"], reply.body["dropped"]) == (2, 0)
        assert reply.body["head"] == f"2:{found['hash']}"
        rest = (await api("GET", LOG + "?limit=2&before=2")).body
        assert ([e["after"] for e in rest["entries"]], rest["next"]) == ([{"kind": "pause"}], None)

    async def test_what_is_asked_for(self, api: Api) -> None:
        query = (
            "?action=set&actor=ann&subject=a:web&since=2023-11-14T22:13:20Z&until=2023-11-14T22:13:21%2B00:00"
        )
        await api("GET", LOG + query)
        assert api.control.wanted == [(Wanted("set", "ann", "a:web", NOW, NOW + 1), 100)]

    @pytest.mark.parametrize(
        ("query", "says"),
        [
            ("?limit=0", "'limit' must be a number from 1 to 1000"),
            ("?limit=1001", "'limit' must be a number from 1 to 1000"),
            ("?before=x", "'before' must be a number"),
            ("?before=" + "9" * 30, "'before' must be a number"),
            ("?action=party", "there is no action 'party'; known are set, lift, plan, unplan, step, expire"),
            ("?since=yesterday", "'since' must be a time such as"),
            ("?since=2023-11-14T22:13:20", "'since' must be a time such as"),
            ("?user=ann", "unknown parameter 'user'"),
            ("/verify?head=7", "'head' must be the `head` of an earlier answer"),
            ("/verify?head=7:" + "x" * 64, "'head' must be the `head` of an earlier answer"),
        ],
    )
    async def test_what_cannot_be_asked(self, api: Api, query: str, says: str) -> None:
        reply = await api("GET", LOG + query)
        assert (reply.status, reply.body["code"]) == (400, "bad-request")
        assert says in reply.body["detail"]

    async def test_the_proof(self, api: Api) -> None:
        api.control.entries = [entry(1)]
        head = (await api("GET", LOG)).body["head"]
        reply = await api("GET", LOG + "/verify")
        assert reply.body == {"ok": True, "wrong": None, "first": 1, "last": 1, "head": head}
        assert (await api("GET", f"{LOG}/verify?head={head}")).body["wrong"] == "row 7 is missing"


class TestCommandLine:
    def test_shows_what_was_done(self, geodns: Geodns, running: Running) -> None:
        assert geodns("log", "--url", running.url).out == "nothing of that kind is written\n"
        weight = Override(WEIGHT, "a", "less", "bob", NOW, None, 40)
        refused = '{"rule": "leaves-no-region", "detail": "…"}'
        running.control.entries = [
            *of_batch(WORLD, Batch((Overridden(weight),)), NOW, "bob", "less"),
            *of_batch(with_paused(WORLD, "a"), Batch((Lifted(PAUSE, "a"),)), NOW, "ann", "over"),
            Entry(
                NOW, "verdict", "http://x", "monitor", "refused", '{"verdict": "up"}', '{"verdict": "down"}'
            ),
            Entry(NOW, "refuse", "b", "eve", "no reason", "", refused),
            Entry(NOW, "load", "zones", "files", "the files have changed", '{"zones": 1}', '{"zones": 2}'),
            Entry(
                NOW, "reject", "zones", "files", "a.yaml:1:1: no", "", '{"problems": ["a", "b"], "more": 3}'
            ),
        ]
        lines = geodns("log", "--url", running.url).out.splitlines()
        assert [line.split("  ")[0] for line in lines] == ["ROW", *"654321"]
        assert [[part.strip() for part in line.split("  ") if part][2:] for line in lines[1:]] == [
            ["reject", "zones", "5 problems", "files", "a.yaml:1:1: no"],
            ["load", "zones", "1 zones -> 2 zones", "files", "the files have changed"],
            ["refuse", "b", "leaves-no-region", "eve", "no reason"],
            ["verdict", "http://x", "up -> down", "monitor", "refused"],
            ["lift", "a", "pause -> nothing", "ann", "over"],
            ["set", "a", "weight 40%", "bob", "less"],
        ]
        shown = geodns("log", "-n", "2", "--url", running.url).out.splitlines()
        assert shown[-1] == "older ones: --before 5"

    def test_asks_for_some(self, geodns: Geodns, running: Running) -> None:
        words = ("--action", "set", "--actor", "ann", "--subject", "a:web", "--before", "9", "-n", "7")
        assert geodns("log", *words, "--url", running.url).code == 0
        assert running.control.wanted == [(Wanted("set", "ann", "a:web", before=9), 7)]
        assert geodns("log", "--since", "1h", "--url", running.url).code == 0
        assert running.control.wanted[-1][0].since is not None
        assert geodns("log", "--since", "soon", "--url", running.url).code == 2

    def test_verifies(self, geodns: Geodns, running: Running) -> None:
        running.control.entries = [entry(1)]
        lines = geodns("log", "--verify", "--url", running.url).out.splitlines()
        assert lines[0] == "rows 1 to 1 are those that were written"
        head = lines[1].removeprefix("head ")
        done = geodns("log", "--verify", "--head", head, "--url", running.url)
        assert (done.code, done.err) == (1, "geodns: the log is not whole: row 7 is missing\n")
        done = geodns("log", "--verify", "--head", head, "-o", "json", "--url", running.url)
        assert (done.code, json.loads(done.out)["ok"]) == (1, False)
