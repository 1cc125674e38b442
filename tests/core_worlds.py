"""Random worlds from a seed, for the property tests and the simulation: small vocabularies, so that rules,
networks, regions and verdicts meet in every combination that the files allow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_network
from random import Random
from typing import Any

from core_support import Lab

from geodns.core import names
from geodns.core.health import Health, Verdict
from geodns.core.loads import Load
from geodns.core.overrides import DOWN, DRAIN, FORCE, HOLD, KINDS, PAUSE, RAMP, UP, WEIGHT, Override, Subject
from geodns.core.reports import report
from geodns.core.slopes import down, up
from geodns.core.world import Batch, Event, Lifted, Observed, Overridden
from geodns.model import (
    AllDown,
    AnyRegion,
    Check,
    Endpoint,
    Line,
    Minimum,
    Model,
    Nearest,
    Pick,
    Policy,
    Pool,
    PoolRegion,
    Region,
    RRset,
    Rule,
    Soa,
    Split,
    Steer,
    Step,
    When,
    Zone,
)

CHECK = Check("http")
REGIONS = ("r0", "r1", "r2", "r3", "r4")
COUNTRIES = ("CN", "DE", "US", "BR")
CONTINENTS = ("AS", "EU", "NA")
ASNS = (4134, 4837, 2856)
LINES = {
    "telecom": Line("telecom", asns=frozenset({4134})),
    "office": Line("office", networks=("10.0.16.0/20", "2001:db8:10::/44")),
    "desk": Line("desk", networks=("10.0.18.0/24",), asns=frozenset({2856})),
}
APEX = names.from_text("z.test.")


def network(chance: Random) -> str:
    """A network out of 10.0.0.0/16 or 2001:db8::/32: few enough addresses for networks to meet."""
    if chance.random() < 0.7:
        length = chance.choice((17, 18, 19, 20, 21, 22, 23, 24, 25, 28, 32))
        return str(ip_network((0x0A000000 | chance.getrandbits(16), length), strict=False))
    length = chance.choice((33, 36, 40, 44, 48, 52, 56, 60, 64, 128))
    return str(ip_network((0x20010DB8 << 96 | chance.getrandbits(96), length), strict=False))


def places(chance: Random) -> dict[str, dict[str, Any]]:
    """What `Atlas` takes: blocks of both databases, nested and overlapping."""
    found: dict[str, dict[str, Any]] = {}
    for _ in range(chance.randrange(12)):
        told: dict[str, Any] = {}
        if chance.random() < 0.7:
            told["country"] = chance.choice(COUNTRIES)
            if chance.random() < 0.5:
                told["at"] = [chance.randrange(-80, 80), chance.randrange(-170, 170)]
            if chance.random() < 0.3:
                told["subdivisions"] = [told["country"] + "-A"]
        elif chance.random() < 0.5:
            told["continent"] = chance.choice(CONTINENTS)
        if chance.random() < 0.6:
            told["asn"] = chance.choice(ASNS)
        found[network(chance)] = told
    return found


def when(chance: Random) -> When:
    keys: dict[str, tuple[Any, ...]] = {}
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        match chance.randrange(6):
            case 0:
                keys["networks"] = tuple(network(chance) for _ in range(chance.randrange(1, 3)))
            case 1:
                keys["lines"] = (chance.choice(tuple(LINES)),)
            case 2:
                keys["asns"] = (chance.choice(ASNS),)
            case 3:
                keys["subdivisions"] = (chance.choice(COUNTRIES) + "-A",)
            case 4:
                keys["countries"] = tuple(chance.sample(COUNTRIES, chance.randrange(1, 3)))
            case _:
                keys["continents"] = (chance.choice(CONTINENTS),)
    return When(**keys)


def step(chance: Random) -> Step:
    match chance.randrange(6):
        case 0:
            return Nearest(chance.choice((None, 1, 2)))
        case 1:
            return AnyRegion()
        case 2:
            chosen = chance.sample(REGIONS, chance.randrange(2, 4))
            return Split(tuple((r, chance.choice((1, 2, 10, 75))) for r in chosen))
        case _:
            return Split(((chance.choice(REGIONS), 1),))


def policy(id_: str, chance: Random) -> Policy:
    rules = [
        Rule(w, tuple(step(chance) for _ in range(chance.choice((1, 1, 2, 3)))), chance.random() < 0.3)
        for w in [*(when(chance) for _ in range(chance.randrange(4))), When()]
    ]
    return Policy(id_, tuple(rules))


def endpoint(number: int, targets: bool, chance: Random) -> Endpoint:
    v4, v6 = f"192.0.2.{number}", f"2001:db8:ffff::{number:x}"
    match chance.randrange(5):
        case 0:
            addresses = (None, v6)
        case 1 | 2:
            addresses = (v4, v6)
        case _:
            addresses = (v4, None)
    return Endpoint(
        name=f"e{number}",
        ipv4=None if targets else addresses[0],
        ipv6=None if targets else addresses[1],
        target=names.from_text(f"e{number}.cdn.test.") if targets else None,
        weight=chance.choice((0, 1, 1, 1, 2, 3, 10)),
        tier=chance.choice((1, 1, 1, 2, 3)),
        check=CHECK if chance.random() < 0.9 else None,
    )


def pool(id_: str, policy_id: str, chance: Random) -> Pool:
    targets = chance.random() < 0.2
    number = chance.randrange(1, 5)
    regions = []
    sized = chance.random() < 0.4
    for region in chance.sample(REGIONS, chance.randrange(1, 6)):
        endpoints = tuple(
            endpoint(number + i, targets, chance) for i in range(chance.choice((1, 1, 2, 2, 3, 5)))
        )
        number += len(endpoints)
        minimum = chance.choice((Minimum(), Minimum(), Minimum(2), Minimum(percent=50), Minimum(percent=100)))
        if minimum.count > len(endpoints):
            minimum = Minimum()
        capacity = chance.choice((1, 50, 100, 1000)) if sized else None
        regions.append(PoolRegion(region, endpoints, minimum, capacity))
    down = chance.choice(tuple(AllDown)[: 2 if targets else 3]) if chance.random() < 0.5 else AllDown.SERVE
    if targets and down is AllDown.BACKUP:
        down = AllDown.NODATA
    return Pool(
        id=id_,
        policy=policy_id,
        regions=tuple(regions),
        targets=targets,
        pick=chance.choice(tuple(Pick)),
        answers=1 if targets else chance.choice((1, 1, 2, 3, None)),
        when_all_down=down,
        backup=("192.0.2.250", "2001:db8:ffff::fa") if down is AllDown.BACKUP else (),
        panic=chance.choice((None, None, None, 30, 60, 100)) if down is AllDown.SERVE else None,
    )


def model(chance: Random) -> Model:
    """A zone z.test whose names n0, n1, … are steered to random pools by random policies."""
    regions = {
        r: Region(
            r, at=(chance.randrange(-80, 80), chance.randrange(-170, 170)) if chance.random() < 0.8 else None
        )
        for r in REGIONS
    }
    policies = {p.id: p for p in (policy(f"p{i}", chance) for i in range(chance.randrange(1, 4)))}
    pools = {p.id: p for p in (pool(f"w{i}", "p0", chance) for i in range(chance.randrange(1, 4)))}
    steers = tuple(
        Steer(
            names.from_text(f"n{i}", APEX),
            p.id,
            chance.choice(tuple(policies)),
            p.pick if chance.random() < 0.5 else chance.choice(tuple(Pick)),
            p.answers,
            chance.choice((5, 15, 60)),
        )
        for i, p in enumerate(chance.choice(tuple(pools.values())) for _ in range(chance.randrange(1, 5)))
    )
    server = names.from_text("ns", APEX)
    rrsets = (
        RRset(APEX, 2, 30, (server,)),
        RRset(server, 1, 30, (bytes((192, 0, 2, 53)),)),
        RRset(names.from_text("alias", APEX), 5, 30, (steers[0].owner,)),
    )
    zone = Zone(APEX, Soa(server, names.from_text("h", APEX), 1), rrsets, steers, "")
    return Model(regions, LINES, pools, policies, (zone,))


def lab(chance: Random) -> Lab:
    return Lab(model(chance), places(chance))


def questions(model_: Model) -> list[tuple[str, str]]:
    """The (name, type) pairs that a model's steered names answer."""
    found = []
    for steer in model_.zones[0].steers:
        name = names.to_text(steer.owner)
        types = ("CNAME",) if model_.pools[steer.pool].targets else ("A", "AAAA")
        found += [(name, rtype) for rtype in types]
    return found


def health(chance: Random, now: int) -> Health:
    verdict = chance.choices(tuple(Verdict), (5, 4, 2))[0]
    return Health(verdict, doubt_until=now + chance.randrange(1, 40) if chance.random() < 0.2 else 0.0)


def override(pools: Mapping[str, Pool], chance: Random, now: float) -> Override:
    """Of any kind, on a region, on it in a pool, or on one of its endpoints there."""
    here = chance.choice(tuple(pools.values()))
    region = chance.choice(here.regions)
    subject = Subject(region.region)
    if chance.random() < 0.7:
        subject = Subject(region.region, here.id)
        if chance.random() < 0.6:
            subject = Subject(region.region, here.id, chance.choice(region.endpoints).name)
    kind = chance.choice((PAUSE, PAUSE, WEIGHT, WEIGHT, FORCE, DRAIN, RAMP, HOLD))
    value = {
        PAUSE: 0,
        WEIGHT: chance.choice((0, 1, 3, 1000) if subject.endpoint else (1, 10, 50, 99, 100)),
        FORCE: chance.choice((UP, DOWN)),
    }.get(kind, 0)
    until = chance.choice((None, now + chance.randrange(1, 60)))
    made = Override(kind, str(subject), "why", "test", now, until, value)
    if kind not in (DRAIN, RAMP):
        return made
    slope = (down if kind == DRAIN else up)(chance.randrange(10, 100), 5, chance.choice((100, 100, 40)))
    return replace(made, value=slope.levels[0], slope=slope)


def lifted(lab_: Lab, chance: Random) -> Lifted:
    """The end of an override that is there, or of one that is not."""
    there = sorted(lab_.world.overrides)
    nobody = (chance.choice(KINDS), next(iter(lab_.model.regions)))
    return Lifted(*(chance.choice(there) if there else nobody))


def event(lab_: Lab, chance: Random) -> Event:
    """Something that happens to a lab's world: verdicts, an override, its end, both at once, a load."""
    match chance.randrange(6):
        case 0:
            return Overridden(override(lab_.model.pools, chance, lab_.now))
        case 1:
            return lifted(lab_, chance)
        case 2:
            return Batch((lifted(lab_, chance), Overridden(override(lab_.model.pools, chance, lab_.now))))
        case 3:
            pool_ = chance.choice(tuple(lab_.model.pools.values()))
            subject = str(Subject(chance.choice(pool_.regions).region, chance.choice(("", pool_.id))))
            capacity = chance.choice((None, 100))
            return report(
                lab_.world, Load(subject, chance.randrange(0, 2000), capacity, lab_.now, lab_.now + 60)
            )
        case _:
            watched = sorted(lab_.world.pools_of, key=lambda p: p.id)
            chosen: Mapping[Any, Health] = {
                probe: health(chance, lab_.now)
                for probe in chance.sample(watched, min(len(watched), chance.randrange(1, 9)))
            }
            return Observed(chosen)
