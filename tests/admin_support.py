"""A small world and a stand-in for the server behind the admin API."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from geodns.admin.control import Applied, Prediction, Readiness
from geodns.admin.feed import Feed
from geodns.core.audit import NO_HASH, Entry, Page, Proof, Wanted, chained
from geodns.core.guard import guard
from geodns.core.health import Health, Probe, Result, Track, Verdict, probes_of
from geodns.core.heartbeats import Heartbeat, is_signed
from geodns.core.loads import Load
from geodns.core.overrides import PAUSE, Override
from geodns.core.reports import report
from geodns.core.verbs import Asked, at_their_end, overruled, planned
from geodns.core.world import Loaded, Observed, Overridden, Ttls, World, apply
from geodns.errors import GeodnsError
from geodns.model import (
    AnyRegion,
    Check,
    Endpoint,
    Model,
    Nearest,
    Policy,
    Pool,
    PoolRegion,
    Region,
    Rule,
    Split,
    Step,
    When,
)

NOW = 1_700_000_000.0
TOKEN = "a-token-of-the-tests"
CHECK = Check("http", port=80)


def only(region: str) -> Split:
    return Split(((region, 1),))


def world_of(
    regions: str, *rules: tuple[tuple[Step, ...], bool], names: tuple[str, ...] = ("www.example.com.",)
) -> World:
    """One pool over `regions` (`a b c`), steered by rules of (to, fenced)."""
    ids = regions.split()
    pool = Pool(
        "web",
        "p",
        tuple(
            PoolRegion(r, (Endpoint(f"{r}-1", ipv4=f"192.0.2.{i}", check=CHECK),))
            for i, r in enumerate(ids, 1)
        ),
    )
    policy = Policy("p", tuple(Rule(When(), to, fence) for to, fence in rules))
    known = {r: Region(r, r.upper(), (float(i), 10.0)) for i, r in enumerate([*ids, "unused"])}
    model = Model(known, {}, {"web": pool}, {"p": policy}, ())
    world, _ = apply(World(), Loaded(model, {("web", "p"): names}, {"web": Ttls(15, 5)}))
    return world


def with_paused(world: World, *regions: str) -> World:
    for region in regions:
        world, _ = apply(world, Overridden(Override(PAUSE, region, "why", "who", NOW)))
    return world


def with_verdict(world: World, region: str, verdict: Verdict) -> World:
    probe = probe_in(world, region)
    world, _ = apply(world, Observed({probe: Health(verdict, NOW, 0.0, "3 of 3: refused")}))
    return world


def probe_in(world: World, region: str) -> Probe:
    found = world.pools["web"].region(region)
    assert found is not None
    [probe] = probes_of(found.endpoints[0], 4)
    return probe


ANY = AnyRegion()
NEAREST = Nearest()


SECRET = b"0123456789abcdef"


class FakeControl:
    """A server in a box: the real world and guard, a clock that stands still, errors on demand."""

    def __init__(self) -> None:
        self.state = world_of("cn-south cn-north eu-west", ((NEAREST,), False))
        self.is_ready = Readiness(True, "remembered verdicts")
        self.failing: Exception | None = None
        self.prediction: Prediction | None = None
        self.calls: list[Asked] = []
        self.beats: list[tuple[str, Heartbeat, float]] = []
        self.refusing = False  # the disk, what may be volatile
        self.unwritten: set[tuple[str, str]] = set()
        self.entries: list[Entry] = []
        self.events = Feed("run1", kept=4)
        self.held: list[dict[str, object]] = []
        self.tested: list[dict[str, object]] = []
        self.wanted: list[tuple[Wanted, int]] = []

    def world(self) -> World:
        return self.state

    def ready(self) -> Readiness:
        return self.is_ready

    def status(self) -> Mapping[str, object]:
        self._fail()
        return {"version": "0.1.0", "lane": "python", "zones": [], "problem": None}

    def tracks(self) -> Mapping[Probe, Track]:
        last = Result(True, NOW, 0.003, "200 OK in 3 ms")
        return {
            probe: Track(self.state.health.get(probe, Health()), last=last) for probe in self.state.pools_of
        }

    def explain(self, name: str, rtype: str, client: str) -> Mapping[str, object]:
        self._fail()
        if client == "nowhere":
            raise GeodnsError("'nowhere' is no address")
        return {"name": name, "type": rtype, "client": {"address": client}}

    async def change(self, asked: Asked) -> Applied:
        self._fail()
        before = self.state
        batch = planned(before, asked, NOW)
        after, _ = apply(before, batch)
        broken = overruled(asked, guard(before, apply(before, at_their_end(batch))[0]))
        self.calls.append(asked)
        if not asked.dry_run:
            self.state = after
        rules = tuple(b.rule for b in broken)
        prediction = self.prediction if asked.dry_run else None
        return Applied(before, batch, after, NOW, NOW + 15, rules, self.refusing, prediction)

    def volatile(self) -> Collection[tuple[str, str]]:
        return self.unwritten

    def signed(self, key: str, signature: str, body: bytes) -> bool:
        return key == "agents" and is_signed(SECRET, body, signature)

    def heartbeat(self, key: str, beat: Heartbeat, now: float) -> Health:
        self._fail()
        self.beats.append((key, beat, now))
        return Health(Verdict.UP, NOW, 0.0, "1 of 1: heartbeat")

    def report(self, load: Load) -> None:
        self._fail()
        self.state, _ = apply(self.state, report(self.state, load))

    async def audit(self, wanted: Wanted, limit: int) -> Page:
        self._fail()
        self.wanted.append((wanted, limit))
        rows = tuple(chained(NO_HASH, 0, self.entries))
        kept = [row for row in reversed(rows) if wanted.before is None or row.seq < wanted.before]
        return Page(tuple(kept[:limit]), 0, (rows[-1].seq, rows[-1].hash) if rows else (0, NO_HASH))

    async def verify(self, known: tuple[int, bytes] | None) -> Proof:
        page = await self.audit(Wanted(), 1)
        wrong = "row 7 is missing" if known else ""
        return Proof(1, *page.head, wrong)

    def feed(self) -> Feed:
        return self.events

    def alarms(self) -> Mapping[str, object]:
        self._fail()
        return {"alarms": self.held, "left_out": 0, "hooks": []}

    async def test_alarms(self) -> list[dict[str, object]]:
        self._fail()
        return self.tested

    def metrics(self) -> bytes:
        return b"# TYPE geodns_ready gauge\ngeodns_ready 1.0\n"

    def _fail(self) -> None:
        if self.failing is not None:
            raise self.failing
