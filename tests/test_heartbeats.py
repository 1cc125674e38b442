"""Heartbeats: signed, once each, in time; missing for `interval` x `fall` is down, draining at once."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from itertools import pairwise
from pathlib import Path

import pytest
from core_support import read
from test_schedule import EPOCH, Fake, in_virtual_time, now

from geodns.config.settings import load_settings
from geodns.core.failover import detection
from geodns.core.guard import UnknownSubject
from geodns.core.health import Health, Outcome, Probe, Result, Track, Verdict, fold
from geodns.core.heartbeats import (
    MAX_APART,
    Heartbeat,
    StaleError,
    UnexpectedError,
    is_signed,
    probes_told,
    require_fresh,
    sign,
)
from geodns.core.loads import Load
from geodns.core.world import Loaded, World, apply
from geodns.errors import ConfigError
from geodns.heartbeats import Heartbeats
from geodns.model import Check
from geodns.monitor.probes import Prober
from geodns.monitor.schedule import Monitor

SECRET = b"0123456789abcdef"
BEAT = Check("heartbeat", interval=10.0, timeout=0.0, fall=3, rise=2, key="agents")
PROBE = Probe(BEAT, "192.0.2.1", 0)
GOOD, DRAINING = Outcome(True, "heartbeat"), Outcome(False, "draining", draining=True)
ZONES = {
    "_shared.yaml": """
regions: {south: {}, north: {}}
checks:
  beat: {type: heartbeat, key: agents, interval: 10s}
  web: {type: http}
  both: {type: follow, of: [beat, web]}
pools:
  web:
    check: both
    regions:
      south:
        - {name: s1, address: [192.0.2.1, "2001:db8::1"]}
        - {name: s2, address: 192.0.2.2, check: {like: beat, key: others}}
      north: {name: n1, address: [192.0.2.3, "2001:db8::3"], check: web}
""",
    "z.example.yaml": "zone: z.example\nnameservers: {ns: 192.0.2.53}\n",
}


class TestWhatIsBelieved:
    def test_the_signature_is_hmac_sha_256_in_hex(self) -> None:
        """The second case of RFC 4231."""
        body = b"what do ya want for nothing?"
        assert sign(b"Jefe", body) == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"

    @pytest.mark.parametrize(
        ("secret", "body", "given"),
        [
            (b"x" * 16, b"{}", None),
            (SECRET, b"{} ", None),
            (SECRET, b"{}", ""),
            (SECRET, b"{}", "é\udcff"),
            (SECRET, b"{}", sign(SECRET, b"{}").upper()),
        ],
    )
    def test_any_other_is_none(self, secret: bytes, body: bytes, given: str | None) -> None:
        assert is_signed(SECRET, b"{}", sign(SECRET, b"{}"))
        assert not is_signed(secret, body, sign(SECRET, b"{}") if given is None else given)

    @pytest.mark.parametrize(
        ("at", "newest", "why"),
        [
            (1000.0, 999.9, ""),
            (1000.0 + MAX_APART, 0.0, ""),
            (1000.0 - MAX_APART, 0.0, ""),
            (1031.0, 0.0, "'at' is 31 s ahead of this server's clock; 30 s may be"),
            (960.0, 0.0, "'at' is 40 s behind this server's clock; 30 s may be"),
            (1000.0, 1000.0, "a heartbeat with this 'at' or a later one was heard before"),
            (999.0, 1000.0, "a heartbeat with this 'at' or a later one was heard before"),
        ],
    )
    def test_its_time_is_the_present_and_after_the_one_before(
        self, at: float, newest: float, why: str
    ) -> None:
        beat = Heartbeat("south:web:s1", at)
        told = ""
        try:
            require_fresh(beat, 1000.0, newest, 900.0)
        except StaleError as error:
            told = str(error)
        assert told == why

    def test_what_was_overheard_before_a_restart_is_worth_nothing_after_it(self) -> None:
        with pytest.raises(StaleError, match="before this server's start"):
            require_fresh(Heartbeat("south:web:s1", 995.0), 1000.0, 0.0, started=996.0)


class TestWhomItIsFor:
    @pytest.fixture
    def world(self, tmp_path: Path) -> World:
        return apply(World(), Loaded(read(tmp_path, ZONES)))[0]

    def test_both_families_and_what_a_check_follows(self, world: World) -> None:
        found = probes_told(world, "south:web:s1", "agents")
        assert [(p.check.kind, p.address) for p in found] == [
            ("heartbeat", "192.0.2.1"),
            ("heartbeat", "2001:db8::1"),
        ]

    @pytest.mark.parametrize(
        ("subject", "error", "why"),
        [
            ("south", UnexpectedError, "'south' is no endpoint"),
            ("south:web", UnexpectedError, "'south:web' is no endpoint"),
            ("south:web:s2", UnexpectedError, "no heartbeat check with the key 'agents'"),
            ("north:web:n1", UnexpectedError, "no heartbeat check with the key 'agents'"),
            ("east:web:e1", UnknownSubject, "east"),
            ("south:cdn:s1", UnknownSubject, "cdn"),
            ("south:web:s9", UnknownSubject, "s9"),
            ("south:web:", UnknownSubject, ""),
            ("", UnknownSubject, ""),
        ],
    )
    def test_nobody_else(self, world: World, subject: str, error: type[Exception], why: str) -> None:
        with pytest.raises(error, match=why):
            probes_told(world, subject, "agents")


class TestVerdicts:
    def results(self, *words: str) -> Track:
        track, at = Track(), EPOCH
        for word in words:
            at += 10.0
            result = Result(word == "good", at, 0.0, word, draining=word == "draining")
            track = fold(track, result, BEAT)
        return track

    def test_what_drains_is_down_at_once_and_comes_back_as_others_do(self) -> None:
        out = self.results("good", "draining")
        assert out.health == Health(Verdict.DOWN, EPOCH + 20, 0.0, "draining")
        assert self.results("good", "draining", "good").health.verdict is Verdict.DOWN
        assert self.results("good", "draining", "good", "good").health.verdict is Verdict.UP
        assert self.results("draining").health.verdict is Verdict.DOWN

    def test_draining_is_no_fall_that_damping_counts(self) -> None:
        drained = self.results(*("good", "good", "draining") * 5, "good", "good")
        assert (drained.flaps, drained.held_until) == (0, 0.0)
        assert drained.health.verdict is Verdict.UP

    def test_it_is_down_since_it_began_to_drain(self) -> None:
        assert self.results("good", "draining", "draining", "draining").health.since == EPOCH + 20

    def test_a_fall_while_it_drains_changes_nothing(self) -> None:
        track = self.results("good", "draining", "bad", "bad", "bad")
        assert (track.health.verdict, track.flaps) == (Verdict.DOWN, 0)

    def test_the_bound_is_interval_times_fall(self) -> None:
        assert detection(BEAT) == 30.0


class TestSchedule:
    @staticmethod
    async def _watched(fake: Fake, *remembered: Verdict) -> None:
        fake.bad.add(PROBE.address)  # a round finds that nothing was heard
        known = [(PROBE.id, Health(verdict, EPOCH)) for verdict in remembered]
        await fake.monitor.set_probes(frozenset({PROBE}), dict(known))

    def test_missing_for_interval_times_fall_is_down_and_not_before(self) -> None:
        @in_virtual_time
        async def story() -> None:
            fake = Fake()
            await self._watched(fake)
            for _ in range(7):
                await asyncio.sleep(6.3)
                fake.monitor.heard(PROBE, GOOD)
            last = now()
            assert fake.asked == {}, "rounds are put off by what is heard"
            await asyncio.sleep(29.9)
            assert fake.verdicts() == {PROBE.address: "up"}
            await asyncio.sleep(0.2)
            assert fake.verdicts() == {PROBE.address: "down"}
            assert [round(at + fake.start - last, 3) for at in fake.asked[PROBE.address]] == [10, 20, 30]
            await fake.monitor.stop()

        story()

    def test_one_that_is_late_is_forgiven(self) -> None:
        @in_virtual_time
        async def story() -> None:
            fake = Fake()
            await self._watched(fake)
            for _ in range(20):
                fake.monitor.heard(PROBE, GOOD)
                await asyncio.sleep(12)
            assert fake.verdicts() == {PROBE.address: "up"}
            assert {round(b - a, 3) for a, b in pairwise(fake.asked[PROBE.address])} == {12}
            await fake.monitor.stop()

        story()

    @pytest.mark.parametrize("known", [(), (Verdict.UP,)])
    def test_after_a_start_a_whole_interval_is_waited_for_the_first(self, known: tuple[Verdict, ...]) -> None:
        @in_virtual_time
        async def story() -> None:
            fake = Fake()
            await self._watched(fake, *known)
            await asyncio.sleep(29.9)
            assert fake.verdicts() != {PROBE.address: "down"}
            await asyncio.sleep(0.2)
            assert fake.verdicts() == {PROBE.address: "down"}
            await fake.monitor.stop()

        story()

    def test_draining_is_in_the_answers_at_once_and_counts_as_no_failure(self) -> None:
        @in_virtual_time
        async def story() -> None:
            fake = Fake()
            await self._watched(fake, Verdict.UP)
            fake.monitor.heard(PROBE, DRAINING)
            assert [(a, h.verdict) for a, h in fake.changes] == [(PROBE.address, Verdict.DOWN)]
            assert fake.monitor.stats.failed == 0
            await fake.monitor.stop()

        story()

    def test_many_that_drain_at_once_are_no_reason_to_suspect_oneself(self) -> None:
        @in_virtual_time
        async def story() -> None:
            fake = Fake()
            told: list[int] = []

            def suspects(failing: Collection[Probe], well: Collection[Probe]) -> bool:
                told.append(len(failing))
                return True

            fake.monitor = Monitor(
                fake.note,
                lambda: EPOCH + now(),
                fake.probe,
                suspects=suspects,
                share=0.5,
            )
            many = [Probe(BEAT, f"192.0.2.{n}", 0) for n in range(10)]
            up = {probe.id: Health(Verdict.UP, EPOCH) for probe in many}
            await fake.monitor.set_probes(frozenset(many), up)
            for probe in many:
                fake.monitor.heard(probe, DRAINING)
            await asyncio.sleep(1)
            assert not told
            assert set(fake.verdicts().values()) == {"down"}
            await fake.monitor.stop()

        story()

    def test_nobody_is_watched_where_nothing_is(self) -> None:
        @in_virtual_time
        async def story() -> None:
            assert Fake().monitor.heard(PROBE, GOOD) is None

        story()

    async def test_a_round_finds_that_nothing_was_heard_and_asks_nobody(self) -> None:
        prober = Prober()  # loopback is closed to it: that is not even looked at
        assert await prober(Probe(BEAT, "127.0.0.1", 0)) == Outcome(False, "no heartbeat")
        await prober.close()


class TestWiring:
    @pytest.fixture
    def world(self, tmp_path: Path) -> World:
        return apply(World(), Loaded(read(tmp_path, ZONES)))[0]

    async def _listening(self, world: World, tmp_path: Path) -> tuple[Heartbeats, Monitor, list[Load]]:
        (tmp_path / "geodns.yaml").write_text("heartbeats: {keys: {agents: {env: SECRET}}}")
        settings = load_settings(tmp_path / "geodns.yaml", {}, {})
        fake = Fake()
        fake.bad |= {probe.address for probe in world.pools_of}
        await fake.monitor.set_probes(frozenset(world.pools_of))
        reports: list[Load] = []
        environ = {"SECRET": SECRET.decode()}
        return Heartbeats(settings, environ, fake.monitor, reports.append, EPOCH - 60), fake.monitor, reports

    async def test_it_counts_for_all_of_an_endpoint_s_addresses(self, world: World, tmp_path: Path) -> None:
        heard, monitor, reports = await self._listening(world, tmp_path)
        beat = Heartbeat("south:web:s1", EPOCH - 0.5, load=70.0, capacity=100.0)
        assert heard.take(world, "agents", beat, EPOCH).verdict is Verdict.UP
        up = {p.address for p, t in monitor.snapshot().items() if t.health.verdict is Verdict.UP}
        assert up == {"192.0.2.1", "2001:db8::1"}
        check = next(probe.check for probe in world.pools_of if probe.address == "192.0.2.1")
        assert reports == [Load("south:web:s1", 70.0, 100.0, EPOCH, EPOCH + check.interval * check.fall)]
        assert heard.results == {"taken": 1}
        await monitor.stop()

    async def test_once(self, world: World, tmp_path: Path) -> None:
        heard, monitor, _ = await self._listening(world, tmp_path)
        beat = Heartbeat("south:web:s1", EPOCH)
        heard.take(world, "agents", beat, EPOCH)
        with pytest.raises(StaleError):
            heard.take(world, "agents", beat, EPOCH + 1)
        with pytest.raises(UnexpectedError):
            heard.take(world, "agents", Heartbeat("south:web:s2", EPOCH), EPOCH)
        assert not heard.signed("agents", "x", b"{}")
        assert not heard.signed("nobody", sign(SECRET, b"{}"), b"{}")
        assert heard.signed("agents", sign(SECRET, b"{}"), b"{}")
        assert heard.results == {"taken": 1, "stale": 1, "unexpected": 1, "unsigned": 2}
        await monitor.stop()

    async def test_what_is_remembered_against_replays_is_bounded(self, world: World, tmp_path: Path) -> None:
        """What is too old to count anyway is forgotten, and is still refused."""
        heard, monitor, _ = await self._listening(world, tmp_path)
        for second in range(0, 300, 10):
            heard.take(world, "agents", Heartbeat("south:web:s1", EPOCH + second), EPOCH + second)
        heard._newest.update({f"gone:{n}": EPOCH + n / 1000 for n in range(1000)})
        heard.take(world, "agents", Heartbeat("south:web:s1", EPOCH + 301), EPOCH + 301)
        assert len(heard._newest) == 1
        with pytest.raises(StaleError):
            heard.take(world, "agents", Heartbeat("south:web:s1", EPOCH + 200), EPOCH + 301)
        await monitor.stop()

    async def test_a_key_without_a_usable_secret_is_told_before_anything_starts(self, tmp_path: Path) -> None:
        (tmp_path / "geodns.yaml").write_text("heartbeats: {keys: {a: {env: SHORT}, b: {env: NONE}}}")
        settings = load_settings(tmp_path / "geodns.yaml", {}, {})
        with pytest.raises(ConfigError) as told:
            Heartbeats(settings, {"SHORT": "x" * 15}, Fake().monitor, list[Load]().append, 0.0)
        assert [str(problem) for problem in told.value.problems] == [
            "SHORT: a secret for heartbeats has at least 16 octets (openssl rand -hex 32 makes one)",
            "NONE: the variable is not set, but geodns.yaml takes a secret from it",
        ]
