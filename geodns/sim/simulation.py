"""One run: probes on their grid, verdicts folded, answers compiled and replayed, clients who connect.

Every time is true time since the start, in seconds, but for `wall`, which the clock that geodns reads shows.
The same model, clients, faults and seed give the same run, to the octet.
"""

from __future__ import annotations

import heapq
from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from random import Random
from zlib import crc32

import dns.message
import dns.rdatatype

from geodns.core.compile.build import build
from geodns.core.compile.sheets import Sheets, Widest
from geodns.core.edns import Subnet
from geodns.core.fit import STREAM
from geodns.core.health import Health, Probe, Result, Track, Verdict, fold, gap, probes_of
from geodns.core.index import Index
from geodns.core.names import to_text
from geodns.core.place import Located
from geodns.core.replay import Hooks, Replay
from geodns.core.rounds import FIRST_ROUND, following, phase
from geodns.core.steer.conditions import value_of
from geodns.core.world import Loaded, Observed, World, apply, families
from geodns.model import Model, Pool, Steer
from geodns.sim.faults import Fault
from geodns.sim.resolvers import Manner, Resolver, Told

START = 1_000_000.0  # what the clock shows at first
SETTLE = 60.0  # seconds before the time that is reported, in which verdicts are found
STEP = 1.0  # seconds between two connections of a client
ANSWER = 0.02  # seconds that a probe takes where it is answered
CLASSES = 4096
PAYLOAD = 1232

Locate = Callable[[IPv4Address | IPv6Address], Located]


@dataclass(slots=True)
class _Watch:
    """A probe and its rounds: the one that was `due` last is `running` and will be `ok`, or is over."""

    number: int
    probe: Probe
    grid: float
    due: float = 0.0
    retry: bool = False
    running: bool = False
    ok: bool = False
    track: Track = field(default_factory=Track)


@dataclass(frozen=True, slots=True)
class Flip:
    """A verdict that changed, of what had one."""

    at: float
    probe: Probe
    verdict: Verdict


@dataclass(slots=True)
class Seen:
    """What the clients of one name, behind resolvers of one manner, saw.

    `connections` and `failed` count by second, `told` by second and region. `wrong`: the longest that they
    were sent to a region that was lost whole while another one of the pool had been there all that time.
    """

    name: str
    manner: Manner
    empty: int = 0
    wrong: float = 0.0
    connections: Counter[int] = field(default_factory=Counter)
    failed: Counter[int] = field(default_factory=Counter)
    told: Counter[tuple[int, str]] = field(default_factory=Counter)
    values: Counter[str] = field(default_factory=Counter)

    @property
    def availability(self) -> float:
        total = self.connections.total()
        return 1 - self.failed.total() / total if total else 1.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """`digest` stands for every octet that was answered: equal runs have equal ones."""

    seen: tuple[Seen, ...]
    flips: tuple[Flip, ...]
    digest: int


class Simulation:
    """`clients` are addresses; each asks for each steered name through a resolver of each manner in its own
    network. `locate` gives their places.
    """

    def __init__(
        self, model: Model, clients: tuple[str, ...], faults: tuple[Fault, ...], locate: Locate, seed: int
    ) -> None:
        self.model = model
        self.faults = faults
        self.chance = Random(seed)
        self.flips: list[Flip] = []
        self.digest = 0
        self.now = -SETTLE
        self.world, _ = apply(World(), Loaded(model))
        built = build(model.zones, model.pools, {zone.apex: zone.soa.serial or 1 for zone in model.zones})
        tally = array("Q", bytes(8 * len(built.slots)))
        self.sheets = Sheets(built.sheets, self.world, tally, widest=Widest(), limit=CLASSES)

        def classify(plan: int, subnet: Subnet) -> tuple[int, int]:
            return self.sheets.classify(plan, locate(subnet.ip()), subnet)

        hooks = Hooks(tally, classify, self.sheets.fill)
        self.replay = Replay(
            Index.of(built.names), self.sheets.sheets, hooks, payload=PAYLOAD, places=len(clients) + 1
        )
        self.region_of = dict(_watched(model))
        self.rounds: list[tuple[float, int, _Watch]] = []
        for number, probe in enumerate(self.region_of):
            first, grid = _first(probe)
            self._push(first, _Watch(number, probe, grid))
        self.groups = [self._group(steer, clients, manner) for steer in _steers(model) for manner in Manner]
        self.lost: dict[str, float] = {}
        self.whole: dict[str, float] = dict.fromkeys(model.regions, self.now)

    def run(self, length: float) -> Outcome:
        """`length` seconds from the first reported one on."""
        while self.now < length:
            self._probe_until(self.now)
            self._look()
            for seen, pool, regions, resolvers in self.groups:
                for resolver in resolvers:
                    self._connect(seen, pool, regions, resolver.resolve(self.now))
            self.now += STEP
        return Outcome(tuple(group[0] for group in self.groups), tuple(self.flips), self.digest)

    @property
    def wall(self) -> float:
        return self._wall(self.now)

    def _wall(self, at: float) -> float:
        return START + at + sum(fault.step for fault in self.faults if fault.at <= at)

    # probes

    def _probe_until(self, until: float) -> None:
        """Let rounds begin and end until then, in the order of their times."""
        while self.rounds and self.rounds[0][0] <= until:
            at, _, watch = heapq.heappop(self.rounds)
            if watch.running:
                self._end(watch, at)
            else:
                self._begin(watch, at)

    def _begin(self, watch: _Watch, at: float) -> None:
        watch.due, watch.running = at, True
        watch.ok = self.chance.random() >= self._loss(self.region_of[watch.probe], at, probing=True)
        timeout = watch.probe.check.timeout
        self._push(at + (min(ANSWER, timeout) if watch.ok else timeout), watch)

    def _end(self, watch: _Watch, at: float) -> None:
        watch.running = False
        probe, check, before = watch.probe, watch.probe.check, watch.track
        watch.track = fold(before, Result(watch.ok, self._wall(at), 0.0), check)
        between = gap(watch.track, check)
        due, _ = following(watch.grid, watch.due, check.interval, between, at, retried=watch.retry)
        watch.retry = between < check.interval
        self._push(due, watch)
        known, now = before.health, watch.track.health
        if now != known:
            if now.verdict is not known.verdict is not Verdict.UNKNOWN:
                self.flips.append(Flip(at, probe, now.verdict))
            self._observe(probe, now)

    def _push(self, at: float, watch: _Watch) -> None:
        heapq.heappush(self.rounds, (at, watch.number, watch))

    def _observe(self, probe: Probe, health: Health) -> None:
        self.world, touched = apply(self.world, Observed({probe: health}))
        self.replay.publish(self.sheets.rebuild(self.world, touched))

    def _loss(self, region: str, at: float, *, probing: bool = False) -> float:
        """The share of connections to a region that fail, for clients or for the prober."""
        return max(
            (f.loss(at) for f in self.faults if f.region == region or (probing and not f.region)), default=0.0
        )

    # clients

    def _look(self) -> None:
        """Which regions are lost whole, and since when; which are untouched, and since when."""
        for region in self.model.regions:
            loss = self._loss(region, self.now)
            for kept, holds in ((self.lost, loss >= 1), (self.whole, loss == 0)):
                if holds:
                    kept.setdefault(region, self.now)
                else:
                    kept.pop(region, None)

    def _group(
        self, steer: Steer, clients: tuple[str, ...], manner: Manner
    ) -> tuple[Seen, Pool, dict[str, str], list[Resolver]]:
        pool = self.model.pools[steer.pool]
        resolvers = [Resolver(manner, self._asker(steer, pool, client)) for client in clients]
        return Seen(to_text(steer.owner), manner), pool, dict(_values(pool)), resolvers

    def _asker(self, steer: Steer, pool: Pool, client: str) -> Callable[[], Told]:
        held = {family for region in pool.regions for e in region.endpoints for family in families(e)}
        rtype = dns.rdatatype.AAAA if held == {6} else dns.rdatatype.A
        packet = b"\0\0\0\0\0\1\0\0\0\0\0\0" + steer.owner + int(rtype).to_bytes(2) + b"\0\1"

        def ask() -> Told:
            reply = self.replay.answer(packet, client, STREAM, self.chance.getrandbits(32), int(self.wall))
            self.digest = crc32(reply or b"", self.digest)
            return _told(reply or b"", steer.ttl)

        return ask

    def _connect(self, seen: Seen, pool: Pool, regions: dict[str, str], told: Told) -> None:
        """A client takes the first address. Backup addresses are nobody's region, and are there."""
        second = int(self.now)
        if self.now < 0:
            return
        seen.connections[second] += 1
        if not told.values:
            seen.empty += 1
            seen.failed[second] += 1
            return
        value = told.values[0]
        region = regions.get(value, "")
        seen.values[value] += 1
        seen.told[second, region] += 1
        loss = self._loss(region, self.now) if region else 0.0
        seen.failed[second] += self.chance.random() < loss
        others = [self.whole[r.region] for r in pool.regions if r.region in self.whole]
        if region in self.lost and others:
            seen.wrong = max(seen.wrong, self.now - max(self.lost[region], min(others)))


def _first(probe: Probe) -> tuple[float, float]:
    """When a probe that nothing is known of runs first, and a point of its grid."""
    interval, part = probe.check.interval, phase(probe.id)
    return part * min(interval, FIRST_ROUND) - SETTLE, part * interval - SETTLE


def _steers(model: Model) -> list[Steer]:
    return [steer for zone in model.zones for steer in zone.steers]


def _watched(model: Model) -> Iterator[tuple[Probe, str]]:
    """Every probe and the region it stands for; one that several share stands for the last."""
    for pool in model.pools.values():
        for region in pool.regions:
            for endpoint in region.endpoints:
                for family in families(endpoint):
                    yield from ((probe, region.region) for probe in probes_of(endpoint, family))


def _values(pool: Pool) -> Iterator[tuple[str, str]]:
    """What a pool's endpoints are told as, and their regions."""
    for region in pool.regions:
        for endpoint in region.endpoints:
            for family in families(endpoint):
                value = value_of(endpoint, family)
                yield to_text(value) if isinstance(value, bytes) else str(value), region.region


def _told(reply: bytes, ttl: int) -> Told:
    """The values of a reply's first RRset; an empty answer is kept for as long as its SOA record says."""
    message = dns.message.from_wire(reply)
    for rrset in message.answer:
        return Told(tuple(str(rr) for rr in rrset), rrset.ttl)
    return Told((), min((rrset.ttl for rrset in message.authority), default=ttl))
