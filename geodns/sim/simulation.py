"""One run: probes on their grid, verdicts folded, answers compiled and replayed, clients who connect.

Every time is true time since the start, in seconds, but for what `wall` gives: what the clock shows that
geodns reads. The same model, clients, faults, actions and seed give the same run, to the octet.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from ipaddress import IPv4Address, IPv6Address, ip_address
from random import Random
from zlib import crc32

import dns.message
import dns.rdatatype

from geodns.core.compile.build import build
from geodns.core.compile.sheets import Sheets, Widest
from geodns.core.edns import Subnet
from geodns.core.fit import STREAM
from geodns.core.guard import Refused, guard
from geodns.core.health import Health, Probe, Verdict, probes_of
from geodns.core.index import Index
from geodns.core.names import to_text
from geodns.core.overrides import Subject
from geodns.core.place import Located
from geodns.core.replay import Hooks, Replay
from geodns.core.returns import following, passed
from geodns.core.steer.conditions import Site, value_of
from geodns.core.steer.orders import Plan
from geodns.core.verbs import Asked, planned, said
from geodns.core.world import Batch, Event, Loaded, Observed, World, apply, families
from geodns.model import Model, Pool, Steer
from geodns.sim.actions import Action
from geodns.sim.agenda import Agenda
from geodns.sim.faults import Fault
from geodns.sim.prober import Prober, Storm
from geodns.sim.resolvers import Client, Manner, Resolver, Told
from geodns.sim.seen import Capacities, Load, Seen, Switch, Turnover, loads, outages, switch

START = 1_000_000.0  # what the clock shows at first
SETTLE = 60  # seconds before the time that is reported, in which verdicts are found
CLASSES = 4096
PAYLOAD = 1232

Locate = Callable[[IPv4Address | IPv6Address], Located]


@dataclass(frozen=True, slots=True)
class Scene:
    """What is simulated. `capacities` are in connections a second; `locate` gives clients' places."""

    model: Model
    clients: tuple[Client, ...]
    locate: Locate
    faults: tuple[Fault, ...] = ()
    actions: tuple[Action, ...] = ()
    capacities: Capacities = field(default_factory=dict)
    storm: Storm | None = None


@dataclass(frozen=True, slots=True)
class Flip:
    """A verdict that changed, of what had one; `wall` is what the clock showed."""

    at: float
    wall: float
    probe: Probe
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Outcome:
    """`digest` stands for every octet that was answered: equal runs have equal ones.

    `refused`: why a guard kept an action from being done, by the action. `suspicions`: from when until when
    the prober suspected itself.
    """

    seen: tuple[Seen, ...]
    loads: tuple[Load, ...]
    flips: tuple[Flip, ...]
    refused: Mapping[Action, str]
    suspicions: tuple[tuple[float, float], ...]
    digest: int


@dataclass(frozen=True, slots=True)
class _Reach:
    """What a pool's endpoints are told as, the regions that the policy may lead a client to, and the faults
    of each endpoint that this client feels.
    """

    values: Mapping[str, Subject]
    open_to: frozenset[str]
    faults: Mapping[Subject, tuple[Fault, ...]]


@dataclass(slots=True)
class _Row:
    """A resolver and its clients, who connect `offset` seconds after each full one from `since` on."""

    seen: Seen
    client: str
    weight: int
    since: int
    offset: float
    resolver: Resolver
    reach: _Reach
    turns: list[Turnover]


class Simulation:
    """Each client asks for each steered name through resolvers of each manner in its own network."""

    def __init__(self, scene: Scene, seed: int) -> None:
        model = scene.model
        self.scene = scene
        self.model = model
        self.chance = Random(seed)
        self.agenda = Agenda()
        self.flips: list[Flip] = []
        self.refused: dict[Action, str] = {}
        self.digest = 0
        self.now = float(-SETTLE)
        self.world, _ = apply(World(), Loaded(model, _steered(model)))
        built = build(model.zones, model.pools, {zone.apex: zone.soa.serial or 1 for zone in model.zones})
        tally = array("Q", bytes(8 * len(built.slots)))
        self.sheets = Sheets(built.sheets, self.world, tally, widest=Widest(), limit=CLASSES)

        def classify(plan: int, subnet: Subnet) -> tuple[int, int]:
            return self.sheets.classify(plan, scene.locate(subnet.ip()), subnet)

        hooks = Hooks(tally, classify, self.sheets.fill)
        places = len(scene.clients) + 1
        self.replay = Replay(Index.of(built.names), self.sheets.sheets, hooks, payload=PAYLOAD, places=places)
        self.probed = {probe: _felt(scene.faults, ends) for probe, ends in _watched(model).items()}
        self.outages = outages(scene.faults, scene.actions)
        self.seen: list[Seen] = []
        self.rows = sorted(self._rows(), key=lambda row: row.offset)
        self.lost: dict[Subject, float] = {}
        self.whole: dict[Subject, float] = {}
        self._look(-SETTLE)
        for edge in sorted({edge for fault in scene.faults for edge in fault.edges()}):
            self.agenda.at(edge, self._look)
        for action in scene.actions:
            self.agenda.at(action.at, partial(self._act, action))
        self.prober = Prober(
            self.probed, self.agenda, -SETTLE, self._answers, self.wall, self._observe, scene.storm
        )

    def run(self, length: float) -> Outcome:
        """`length` seconds from the first reported one on."""
        second = -SETTLE
        while second < length:
            for row in (row for row in self.rows if row.since <= second):
                self.now = second + row.offset
                self.agenda.run(self.now)
                self._connect(row, row.resolver.resolve(self.now))
            second += 1
            self._pass(passed(self.world, self.wall(second)), second)
        for seen in self.seen:
            seen.switches = tuple(self._switches(seen, length))
        borne = loads(self.seen, self.scene.capacities)
        suspicions = tuple(self.prober.suspicions)
        return Outcome(tuple(self.seen), borne, tuple(self.flips), self.refused, suspicions, self.digest)

    def wall(self, at: float) -> float:
        """What the clock shows (Unix seconds) that geodns reads."""
        return START + at + sum(fault.step for fault in self.scene.faults if fault.at <= at)

    # what geodns does

    def _answers(self, probe: Probe, at: float) -> bool:
        return self.chance.random() >= max((f.loss(at) for f in self.probed[probe]), default=0.0)

    def _observe(self, changes: Mapping[Probe, Health], at: float) -> None:
        for probe, now in changes.items():
            known = self.world.health.get(probe, Health()).verdict
            if now.verdict is not known is not Verdict.UNKNOWN:
                self.flips.append(Flip(at, self.wall(at), probe, now.verdict))
        before = self.world
        observed = Observed(changes)
        self._take(observed)
        self._pass(following(before, self.world, observed, self.wall(at)), at)

    def _act(self, action: Action, at: float) -> None:
        """As the server does it: guarded, unless it is to be done anyway."""
        now = self.wall(at)
        until = now + action.lasts if action.lasts else None
        asked = Asked((action.change._replace(until=until),), "simulated", "simulation")
        batch = planned(self.world, asked, now)
        broken = guard(self.world, apply(self.world, batch)[0])
        if broken and not action.anyway:
            self.refused[action] = str(Refused(said(action.change), broken))
            return
        self._take(batch)
        self._look(at)

    def _pass(self, batch: Batch, at: float) -> None:
        if batch.changes:
            self._take(batch)
            self._look(at)

    def _take(self, event: Event) -> None:
        self.world, touched = apply(self.world, event)
        self.replay.publish(self.sheets.rebuild(self.world, touched))

    # what is the case

    def _look(self, at: float) -> None:
        """Which endpoints are lost whole, and since when; which are untouched and open, and since when."""
        faults = [fault for fault in self.scene.faults if not fault.partial]
        for pool in self.model.pools.values():
            for region in pool.regions:
                site = Site.of(pool, region, self.world)
                for endpoint in region.endpoints:
                    subject = Subject(region.region, pool.id, endpoint.name)
                    loss = max((f.loss(at) for f in faults if f.holds(subject)), default=0.0)
                    there = loss == 0 and not site.paused and site.is_open(endpoint)
                    for kept, holds in ((self.lost, loss >= 1), (self.whole, there)):
                        if holds:
                            kept.setdefault(subject, at)
                        else:
                            kept.pop(subject, None)

    # clients

    def _rows(self) -> Iterator[_Row]:
        for steer in (steer for zone in self.model.zones for steer in zone.steers):
            pool, policy = self.model.pools[steer.pool], self.model.policies[steer.policy]
            plan = Plan(policy, tuple(self.model.regions[region.region] for region in pool.regions))
            values = dict(_values(pool))
            for manner in Manner:
                self.seen.append(Seen(to_text(steer.owner), pool.id, manner))
                for client in self.scene.clients:
                    place = self.scene.locate(ip_address(client.address)).place
                    order = plan.order(place).order
                    open_to = frozenset(region for group in order for region, _ in group.shares)
                    felt = [fault for fault in self.scene.faults if fault.concerns(place)]
                    faults = {end: tuple(f for f in felt if f.holds(end)) for end in values.values()}
                    ask = self._asker(steer, client.address)
                    yield from self._behind(client, ask, _Reach(values, open_to, faults))

    def _behind(self, client: Client, ask: Callable[[float], Told], reach: _Reach) -> Iterator[_Row]:
        """The resolvers of one client's network."""
        seen = self.seen[-1]
        for i in range(client.resolvers):
            weight = client.weight * (i + 1) // client.resolvers - client.weight * i // client.resolvers
            since, offset = self.chance.randrange(-SETTLE, 0), round(self.chance.random(), 3)
            turns = [Turnover() for _ in self.outages]
            resolver = Resolver(seen.manner, ask)
            yield _Row(seen, client.name, weight, since, offset, resolver, reach, turns)

    def _asker(self, steer: Steer, address: str) -> Callable[[float], Told]:
        pool = self.model.pools[steer.pool]
        held = {family for region in pool.regions for e in region.endpoints for family in families(e)}
        rtype = dns.rdatatype.AAAA if held == {6} else dns.rdatatype.A
        packet = b"\0\0\0\0\0\1\0\0\0\0\0\0" + steer.owner + int(rtype).to_bytes(2) + b"\0\1"

        def ask(now: float) -> Told:
            reply = self.replay.answer(
                packet, address, STREAM, self.chance.getrandbits(32), int(self.wall(now))
            )
            self.digest = crc32(reply or b"", self.digest)
            return _told(reply or b"", steer.ttl)

        return ask

    def _connect(self, row: _Row, told: Told) -> None:
        """A client takes the first address. Backup addresses are nobody's region, and are there."""
        seen, endpoint = row.seen, row.reach.values.get(told.values[0]) if told.values else None
        for outage, turn in zip(self.outages, row.turns, strict=True):
            turn.note(outage, endpoint is not None and outage.holds(endpoint), self.now, row.resolver.until)
        if self.now < 0:
            return
        second, weight = int(self.now), row.weight
        seen.connections[second] += weight
        seen.tried[row.client] += weight
        region = endpoint.region if endpoint else ""
        failed = not told.values or (endpoint is not None and self._fails(row, endpoint))
        if failed:
            seen.failed[second] += weight
            seen.missed[row.client] += weight
        if not told.values:
            seen.empty += weight
            return
        seen.values[told.values[0]] += weight
        seen.told[second, region] += weight
        if not failed:
            seen.served[second, region] += weight
        elif endpoint in self.lost:
            seen.wrong = max(seen.wrong, self._wrong(row, endpoint))

    def _fails(self, row: _Row, endpoint: Subject) -> bool:
        loss = max((fault.loss(self.now) for fault in row.reach.faults[endpoint]), default=0.0)
        return loss > 0 and self.chance.random() < loss

    def _wrong(self, row: _Row, endpoint: Subject) -> float:
        """For how long, until what was told expires or the loss ends, another one has been there."""
        reach, whole = row.reach, self.whole
        others = [whole[end] for end in reach.faults if end in whole and end.region in reach.open_to]
        if not others:
            return 0.0
        ends = max(fault.lasts(self.now) for fault in reach.faults[endpoint])
        return min(row.resolver.until, ends) - max(self.lost[endpoint], min(others))

    def _switches(self, seen: Seen, length: float) -> Iterator[Switch]:
        rows = [row for row in self.rows if row.seen is seen]
        refused = {action.text for action in self.refused}
        for i, outage in enumerate(self.outages):
            met = None if outage.text in refused else switch(outage, [row.turns[i] for row in rows], length)
            if met is not None:
                yield met


def _steered(model: Model) -> dict[tuple[str, str], tuple[str, ...]]:
    """A name that is steered by each pool and policy: whom a guard tells."""
    steers = [steer for zone in model.zones for steer in zone.steers]
    return {(steer.pool, steer.policy): (to_text(steer.owner).rstrip("."),) for steer in reversed(steers)}


def _watched(model: Model) -> dict[Probe, list[Subject]]:
    """Every probe, and the endpoints it stands for."""
    found: dict[Probe, list[Subject]] = {}
    for pool in model.pools.values():
        for region in pool.regions:
            for endpoint in region.endpoints:
                for family in families(endpoint):
                    for probe in probes_of(endpoint, family):
                        found.setdefault(probe, []).append(Subject(region.region, pool.id, endpoint.name))
    return found


def _felt(faults: tuple[Fault, ...], endpoints: list[Subject]) -> tuple[Fault, ...]:
    """The faults that a probe of these endpoints meets: theirs (not some clients' alone), the prober's."""
    return tuple(f for f in faults if not f.partial and (not f.subject or any(map(f.holds, endpoints))))


def _values(pool: Pool) -> Iterator[tuple[str, Subject]]:
    """What a pool's endpoints are told as, and which they are."""
    for region in pool.regions:
        for endpoint in region.endpoints:
            for family in families(endpoint):
                value = value_of(endpoint, family)
                text = to_text(value) if isinstance(value, bytes) else str(value)
                yield text, Subject(region.region, pool.id, endpoint.name)


@lru_cache(maxsize=4096)
def _told(reply: bytes, ttl: int) -> Told:
    """The values of a reply's first RRset; an empty answer is kept for as long as its SOA record says."""
    message = dns.message.from_wire(reply)
    for rrset in message.answer:
        return Told(tuple(str(rr) for rr in rrset), rrset.ttl)
    return Told((), min((rrset.ttl for rrset in message.authority), default=ttl))
