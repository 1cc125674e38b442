"""Hours of a world in a second, from a seed: probes, pauses, reloads, clock jumps, and clients who ask.

After every step the invariants of DESIGN §4 must hold of what the clients are told. No sleeping, no sockets:
probe results are folded as the monitor folds them. A failing seed is in the test's name; run it alone with
`pytest tests/test_simulation.py -k 17`.
"""

from __future__ import annotations

from ipaddress import ip_network
from random import Random

import core_worlds as worlds
import pytest
from core_support import Lab, Reply, query

from geodns.core.compile.bodies import FAMILY
from geodns.core.compile.rdata import type_number
from geodns.core.health import Health, Probe, Result, Track, Verdict, fold
from geodns.core.names import from_text
from geodns.core.replay import STREAM
from geodns.core.returns import passed
from geodns.core.steer.conditions import Site, value_of
from geodns.core.steer.odds import Stage, decide
from geodns.core.world import Lifted, Observed, Overridden
from geodns.model import Pool, Steer

STEPS = 40


class Simulation:
    """A lab, the truth about its endpoints, and a clock in whole seconds."""

    def __init__(self, seed: int) -> None:
        self.chance = Random(seed)
        self.lab = worlds.lab(self.chance)
        self.lab.world = type(self.lab.world)()  # nothing is known at the start
        self.lab.load(self.lab.model)
        self.alive: dict[Probe, bool] = {}
        self.tracks: dict[Probe, Track] = {}

    # what happens

    def step(self) -> None:
        happens = (self.probe, self.flip, self.pause, self.resume, self.jump, self.reload)
        self.chance.choices(happens, (18, 4, 2, 2, 1, 1))[0]()
        self.lab.take(passed(self.lab.world, self.lab.now))
        self.check()

    def probe(self) -> None:
        """A round of probes; most tell the truth."""
        self.lab.now += self.chance.randrange(1, 5)
        changed: dict[Probe, Health] = {}
        for probe in self.lab.world.pools_of:
            ok = self.alive.setdefault(probe, self.chance.random() < 0.8) and self.chance.random() < 0.97
            before = self.tracks.get(probe, Track())
            track = fold(before, Result(ok, self.lab.now, 0.01), probe.check)
            self.tracks[probe] = track
            if track.health != before.health:
                changed[probe] = track.health
        self.lab.take(Observed(changed))

    def flip(self) -> None:
        """Some endpoints fail or recover; nobody has noticed yet."""
        for probe in list(self.lab.world.pools_of):
            if self.chance.random() < 0.3:
                self.alive[probe] = self.chance.random() < 0.5

    def pause(self) -> None:
        """Or a weight, or a verdict by hand; on a region or something in it."""
        self.lab.take(Overridden(worlds.override(self.lab.model.pools, self.chance, self.lab.now)))

    def resume(self) -> None:
        self.lab.take(worlds.lifted(self.lab, self.chance))

    def jump(self) -> None:
        """The clock is set: forward by an hour, or a little back."""
        self.lab.now += self.chance.choice((3600, 60, -30))

    def reload(self) -> None:
        """New files; probes that they keep keep their verdicts."""
        self.lab.load(worlds.model(self.chance))
        self.tracks = {p: t for p, t in self.tracks.items() if p in self.lab.world.pools_of}
        assert self.lab.world.health == {p: t.health for p, t in self.tracks.items() if t.health != Health()}

    def calm(self) -> None:
        """Everybody is well, all pauses end, and the monitor has had the time to see it."""
        self.alive = dict.fromkeys(self.lab.world.pools_of, True)
        self.lab.take(*(Lifted(kind, subject) for kind, subject in self.lab.world.overrides))
        for _ in range(8):
            for probe in self.lab.world.pools_of:
                track = fold(self.tracks.get(probe, Track()), Result(True, self.lab.now, 0.01), probe.check)
                self.tracks[probe] = track
        self.lab.take(Observed({p: t.health for p, t in self.tracks.items()}))

    # what must hold

    def check(self) -> None:
        for steer in self.lab.model.zones[0].steers:
            pool = self.lab.model.pools[steer.pool]
            for rtype in ("CNAME",) if pool.targets else ("A", "AAAA"):
                self.ask(steer, pool, rtype, worlds.network(self.chance))

    def ask(self, steer: Steer, pool: Pool, rtype: str, subnet: str) -> None:
        lab = self.lab
        packet = query(steer.owner, rtype, subnet=subnet)
        reply = Reply(lab.reply(packet, limit=STREAM, chance=self.chance.getrandbits(32)) or b"")
        assert (reply.rcode, reply.flags) == ("NOERROR", {"qr", "aa"})
        number = type_number(rtype)
        made = lab.replay.look_up(steer.owner, number)
        assert made is not None
        plan = lab.sheets.classes[lab.sheets.sheets[made.sheet].plan].plan
        place = lab.geography(ip_network(subnet).network_address).place
        odds = decide(pool, plan.order(place).order, lab.world, FAMILY[number])
        values = {member.value for member in odds.members}
        assert told(reply) <= values
        assert bool(reply.answer) == bool(values)
        self.check_ttl(steer, reply)
        if reply.answer and told(reply).isdisjoint(pool.backup) and odds.stage is not Stage.PANIC:
            self.check_members(pool, FAMILY[number], told(reply))

    def check_ttl(self, steer: Steer, reply: Reply) -> None:
        least = min(steer.ttl, self.lab.model.zones[0].ttl_min)
        if reply.answer:
            (ttl,) = reply.ttls
            assert least <= ttl <= steer.ttl
        else:
            ((_, ttl, rtype, _),) = reply.authority
            assert rtype == "SOA"
            assert ttl <= steer.ttl

    def check_members(self, pool: Pool, family: int, values: set[str | bytes]) -> None:
        """Nobody paused; nobody who is less well than another one in the region that serves."""
        verdicts = set()
        for region in pool.regions:
            site = Site.of(pool, region, self.lab.world)
            opened = [e for e in region.endpoints if not site.paused and site.is_open(e)]
            able = {value_of(e, family): site.health(e, family).verdict for e in opened}
            mine = values & able.keys() - {None}
            assert not values & {value_of(e, family) for e in region.endpoints if e not in opened} - {None}
            verdicts |= {able[value] for value in mine}
            up = any(verdict is Verdict.UP for value, verdict in able.items() if value is not None)
            assert not mine or not up or {able[value] for value in mine} == {Verdict.UP}
        assert len(verdicts) == 1


def told(reply: Reply) -> set[str | bytes]:
    """A reply's addresses, or targets in wire form."""
    return {from_text(value) if value.endswith(".") else value for value in reply.values}


@pytest.mark.parametrize("seed", range(10))
def test_whatever_happens_the_promises_hold(seed: int) -> None:
    simulation = Simulation(seed)
    for _ in range(STEPS):
        simulation.step()


@pytest.mark.parametrize("seed", range(6))
def test_when_all_is_well_again_nothing_of_the_storm_remains(seed: int) -> None:
    """Everybody up, nothing paused: every answer is the first choice, at full TTL, as from a new server."""
    simulation = Simulation(seed)
    for _ in range(30):
        simulation.step()
    simulation.calm()
    lab = simulation.lab
    new = Lab(lab.model, lab.places)
    for steer in lab.model.zones[0].steers:
        pool = lab.model.pools[steer.pool]
        for rtype in ("CNAME",) if pool.targets else ("A", "AAAA"):
            made = lab.replay.look_up(steer.owner, type_number(rtype))
            assert made is not None
            for number in lab.sheets.sheets[made.sheet].sets:
                odds = lab.sheets.odds(made.sheet, number)
                order = lab.sheets.classes[lab.sheets.sheets[made.sheet].plan].orders[number]
                assert (odds.stage, odds.group) == ((Stage.AVAILABLE, 0) if order else (Stage.PAUSED, -1))
                assert odds.change_at == 0
            for subnet in ("10.0.1.0/24", "2001:db8:1::/48"):
                packet = query(steer.owner, rtype, subnet=subnet)
                for side in (lab, new):
                    side.reply(packet)
                    side.tally[:] = type(side.tally)("Q", bytes(8 * len(side.tally)))
                assert lab.reply(packet, limit=STREAM, chance=9) == new.reply(packet, limit=STREAM, chance=9)
