"""What happens, followed: the ring that keeps it, the API's stream, and `geodns events`."""

# ruff: noqa: F401, F811 - fixtures are imported by name

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from admin_support import NOW, TOKEN, FakeControl
from cli_support import Geodns, Running, closed_port, geodns, running

from geodns.admin import events
from geodns.admin.feed import Feed
from geodns.admin.server import AdminServer, Limits
from geodns.core.audit import Entry

EVENTS = "/api/v1/events"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


def entry(number: int, action: str = "verdict") -> Entry:
    return Entry(NOW + number, action, f"eu-west:{number}", "monitor", "refused", '{"verdict": "up"}', "")


class TestRing:
    def test_what_is_behind_a_number(self) -> None:
        ring = Feed("x", kept=3)
        assert ring.after(0) == ([], False)
        ring.tell(map(entry, (1, 2)))
        assert ring.after(0) == ([(1, entry(1)), (2, entry(2))], False)
        assert ring.after(1) == ([(2, entry(2))], False)
        assert ring.after(2) == ([], False)

    def test_what_it_has_gone_past_is_lost_and_told_so(self) -> None:
        ring = Feed("x", kept=3)
        ring.tell(map(entry, range(1, 6)))
        assert ring.after(1) == ([(n, entry(n)) for n in (3, 4, 5)], True)
        assert ring.after(2) == ([(n, entry(n)) for n in (3, 4, 5)], False)

    async def test_who_waits_is_woken_by_what_comes_and_by_the_end(self) -> None:
        ring = Feed("x")
        waiting = [asyncio.create_task(ring.more(number)) for number in (0, 1)]
        await asyncio.sleep(0)
        ring.tell([entry(1)])
        await asyncio.sleep(0)
        assert [task.done() for task in waiting] == [True, False]
        ring.close()
        await asyncio.wait_for(waiting[1], 1)


class Reader:
    """One connection to the stream."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response

    async def block(self) -> dict[str, str]:
        """The lines up to the next empty one, by their keys."""
        found: dict[str, str] = {}
        async with asyncio.timeout(5):
            while line := (await self.response.content.readline()).decode().rstrip("\n"):
                key, _, value = line.partition(": ")
                found[key] = value
        return found


class Stage:
    def __init__(self, control: FakeControl, admin: AdminServer, session: aiohttp.ClientSession) -> None:
        self.control, self.admin, self.session = control, admin, session

    def url(self, query: str = "") -> str:
        return f"http://127.0.0.1:{self.admin.port}{EVENTS}{query}"

    @asynccontextmanager
    async def follow(self, last: str = "") -> AsyncIterator[Reader]:
        headers = BEARER | ({"Last-Event-ID": last} if last else {})
        async with self.session.get(self.url(), headers=headers) as response:
            assert response.status == 200
            assert response.headers["Content-Type"] == "text/event-stream"
            assert response.headers["Cache-Control"] == "no-store"
            reader = Reader(response)
            assert await reader.block() == {"retry": "2000"}
            yield reader


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    control = FakeControl()
    admin = AdminServer(control, TOKEN, limits=Limits(connection_time=0.5))
    await admin.start("127.0.0.1", 0)
    async with aiohttp.ClientSession() as session:
        yield Stage(control, admin, session)
    await admin.stop()


class TestStream:
    async def test_tells_what_happens_from_now_on(self, stage: Stage) -> None:
        stage.control.events.tell([entry(1)])
        async with stage.follow() as reader:
            stage.control.events.tell([entry(2, "set")])
            told = await reader.block()
        assert (told["id"], told["event"]) == ("run1:2", "set")
        assert json.loads(told["data"]) == {
            "at": "2023-11-14T22:13:22.000Z", "action": "set", "subject": "eu-west:2", "actor": "monitor",
            "reason": "refused", "before": {"verdict": "up"}, "after": None,
        }  # fmt: skip

    async def test_who_comes_back_is_told_what_it_missed(self, stage: Stage) -> None:
        stage.control.events.tell(map(entry, (1, 2, 3)))
        async with stage.follow("run1:1") as reader:
            assert [(await reader.block())["id"] for _ in range(2)] == ["run1:2", "run1:3"]

    @pytest.mark.parametrize("last", ["run1:1", "run0:7", "nonsense", "run1:x"])
    async def test_who_missed_more_than_is_kept_is_told_of_the_gap(self, stage: Stage, last: str) -> None:
        stage.control.events.tell(map(entry, range(1, 8)))
        async with stage.follow(last) as reader:
            assert (await reader.block())["event"] == "gap"
            assert [(await reader.block())["id"] for _ in range(4)] == [f"run1:{n}" for n in (4, 5, 6, 7)]

    async def test_it_lives_longer_than_other_connections_and_shows_that_it_does(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(events, "HEARTBEAT", 0.3)
        async with stage.follow() as reader:
            for _ in range(4):
                assert await reader.block() == {"": "nothing new"}
            stage.control.events.tell([entry(1)])
            assert (await reader.block())["id"] == "run1:1"
        assert stage.admin.stats.cut == 0

    async def test_readers_are_bounded_and_leave_room_when_they_go(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(events, "MAX_READERS", 1)
        monkeypatch.setattr(events, "HEARTBEAT", 0.05)
        async with stage.follow(), stage.session.get(stage.url(), headers=BEARER) as second:
            assert (second.status, (await second.json())["code"]) == (503, "busy")
        async with asyncio.timeout(5):
            while stage.control.events.readers:  # noqa: ASYNC110 - it has to notice first
                await asyncio.sleep(0.02)
        async with stage.follow():
            pass

    async def test_who_does_not_read_is_let_go(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(events, "PATIENCE", 0.2)
        reader, writer = await asyncio.open_connection("127.0.0.1", stage.admin.port, limit=1024)
        writer.write(f"GET {EVENTS} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode())
        await reader.readline()
        long = Entry(NOW, "reject", "zones", "files", "x" * 1_000_000)
        async with asyncio.timeout(20):
            while not stage.control.events.slow:
                stage.control.events.tell([long])
                await asyncio.sleep(0.02)
        assert stage.control.events.readers == 0
        writer.transport.abort()

    async def test_the_end_of_the_server_is_not_held_up(self, stage: Stage) -> None:
        async with stage.follow() as reader:
            async with asyncio.timeout(1):
                await stage.admin.stop()
            assert await reader.response.content.read() == b""

    async def test_needs_the_token_and_takes_no_parameters(self, stage: Stage) -> None:
        async with stage.session.get(stage.url()) as response:
            assert response.status == 401
        async with stage.session.get(stage.url("?kind=set"), headers=BEARER) as response:
            assert response.status == 400


class TestCommandLine:
    def tell_once_followed(self, running: Running, *entries: Entry) -> None:
        ring = running.control.events

        async def tell() -> None:
            async with asyncio.timeout(5):
                while not ring.readers:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            await asyncio.sleep(0.05)
            ring.tell(entries)

        asyncio.run_coroutine_threadsafe(tell(), running.loop)

    def test_follows_as_many_as_are_wanted(self, geodns: Geodns, running: Running) -> None:
        lifted = Entry(NOW, "lift", "eu-west", "ann", "over", '{"kind": "pause", "until": null}')
        down = Entry(NOW, "verdict", "http://x", "monitor", "refused", "", '{"verdict": "down"}')
        self.tell_once_followed(running, lifted, down, entry(3))
        done = geodns("events", "-n", "2", "--url", running.url)
        assert done.code == 0
        lines = [line.split("  ", 1)[1] for line in done.out.splitlines()]
        assert lines == [
            "lift  eu-west  pause -> nothing  by ann: over",
            "verdict  http://x  down  by monitor: refused",
        ]

    def test_tells_them_as_json_a_line_each(self, geodns: Geodns, running: Running) -> None:
        self.tell_once_followed(running, entry(1))
        done = geodns("events", "-n", "1", "-o", "json", "--url", running.url)
        assert json.loads(done.out)["subject"] == "eu-west:1"

    def test_looks_again_when_the_server_has_gone(
        self, geodns: Geodns, running: Running, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A stream that ends is taken up where it ended."""
        ring = running.control.events
        monkeypatch.setattr(sys.modules["geodns.cli.events"], "AGAIN", 0.05)

        async def play() -> None:
            for number in (1, 2):
                async with asyncio.timeout(5):
                    while not ring.readers:  # noqa: ASYNC110
                        await asyncio.sleep(0.01)
                await asyncio.sleep(0.05)
                ring.tell([entry(number)])
                await asyncio.sleep(0.05)
                ring.close()
                while ring.readers:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
                ring.tell([entry(number + 10)])
                ring.closed = False

        asyncio.run_coroutine_threadsafe(play(), running.loop)
        done = geodns("events", "-n", "3", "-o", "json", "--url", running.url)
        subjects = [json.loads(line)["subject"] for line in done.out.splitlines()]
        assert subjects == ["eu-west:1", "eu-west:11", "eu-west:2"]

    def test_no_server_is_an_error_at_once(self, geodns: Geodns) -> None:
        done = geodns("events", "--url", f"http://127.0.0.1:{closed_port()}")
        assert done.code == 1
        assert "no geodns answers at" in done.err
