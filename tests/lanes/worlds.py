"""Worlds from a seed: steered ones of every kind, and static zones of everything that zones may hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from ipaddress import ip_network
from pathlib import Path
from random import Random
from typing import Any

import core_worlds
from core_support import LINES, Lab

from geodns._native import Wanted
from geodns.config.load import Known, load
from geodns.core import wire
from geodns.core.cookies import Cookies
from geodns.core.native import NativeReplay
from geodns.core.reception import Arrival, Signed
from geodns.core.replay import Replay
from geodns.core.returns import passed
from geodns.core.terms import Terms
from geodns.model import Model
from tests.differential import queries, written, zones

SECRETS = (bytes(range(16)), bytes(range(16, 32)), bytes(range(32, 48)))
SHAPES = """
  steered: {steer: many}
  two: {steer: {pool: many, answers: 2}}
  three: {steer: {pool: heavy, answers: 3}}
  all: {steer: {pool: many, answers: all}}
  heavy: {steer: heavy}
  heaviest: {steer: heaviest}
  pair: {steer: {pool: heaviest, answers: 2}}
  turns: {steer: {pool: heavy, pick: round-robin}}
  around: {steer: {pool: many, pick: round-robin, answers: all}}
  stick: {steer: {pool: heavy, pick: sticky}}
  target: {steer: targets}
  alias: {CNAME: stick}
  chain: {CNAME: alias}
  away: {CNAME: elsewhere.invalid.}
  moved: {DNAME: below}
  below: {TXT: here}
  stick.below: {CNAME: stick}
  again.below: {DNAME: moved}
  "*.wild": {steer: heavy}
  "*.text": {TXT: anything, MX: [10 mail.steer.test., 20 mail2.steer.test.]}
  mail: {A: [192.0.2.25, 192.0.2.26], AAAA: "2001:db8::25"}
  mail2: {A: 192.0.2.27}
  cut: {NS: [ns.cut.steer.test., ns2.cut.steer.test., ns.other.invalid.]}
  ns.cut: {A: 192.0.2.54, AAAA: "2001:db8::54"}
  ns2.cut: {A: 192.0.2.55}
"""
LONG = "".join(
    f"  big{count}: {{TXT: [{', '.join(f'text-{i}-{chr(120) * 60}' for i in range(count))}]}}\n"
    f"  hosts{count}: {{MX: [{', '.join(f'{i} h{i}.mail.steer.test.' for i in range(count))}]}}\n"
    for count in (6, 12, 20, 60)
)
STEERED = """
zone: steer.test
ttl: 30
nameservers: {ns: [192.0.2.53, "2001:db8::53"]}
regions: {south: {at: [23, 113]}, north: {at: [50, 8]}, west: {}}
checks: {c: {type: http}}
policies:
  p:
    - {when: {line: telecom}, to: [{south: 70, north: 30}]}
    - {when: {country: CN}, to: south, fence: true}
    - {when: {network: "2001:db8:10::/44"}, to: west}
    - {to: nearest}
pools:
  many:
    policy: p
    check: c
    regions: {south: [MANY], north: [198.51.100.1, "2001:db8::1"], west: 198.51.100.9}
  heavy:
    policy: p
    check: c
    regions:
      south: [{address: [192.0.2.1, "2001:db8::2"], weight: 100}, {address: 192.0.2.2, weight: 99}]
      north:
        - {address: [192.0.2.3, "2001:db8::3"], weight: 5}
        - {address: [192.0.2.4, "2001:db8::4"], weight: 3}
        - {address: 192.0.2.5, tier: 2}
        - {address: 192.0.2.6, weight: 7}
      west: [192.0.2.7, 192.0.2.8]
  heaviest:  # more than there are slots for a draw
    policy: p
    check: c
    regions:
      south: [{address: [192.0.2.11, "2001:db8::11"], weight: 9000}, {address: 192.0.2.12, weight: 1}]
      north:
        - {address: 192.0.2.13, weight: 4095}
        - {address: 192.0.2.14, weight: 2}
        - {address: 192.0.2.15, weight: 0}
      west: "2001:db8::16"
  targets:
    policy: p
    check: c
    regions: {south: {target: s.cdn.invalid.}, north: {target: n.cdn.invalid.}}
records:
""".replace("MANY", ", ".join(f"203.0.113.{i}" for i in range(40)))


# Below its DNAMEs lie names of every kind, those of the other zone and its own.
FAR = """
zone: far.test
ttl: 60
nameservers: {ns: 192.0.2.54}
records:
  to: {DNAME: steer.test.}
  by: {DNAME: to}
  long: {DNAME: LONG.to.far.test.}
""".replace("LONG", ".".join(letter * 55 for letter in "abc"))
FILES = {"steer.yaml": STEERED + SHAPES + LONG, "far.yaml": FAR}


class Watched(NativeReplay):
    """The native lane, and what it left to Python."""

    def __init__(self, *args: Any, **more: Any) -> None:
        self.passed: Counter[str] = Counter()
        super().__init__(*args, **more)

    def _replayed(self, packet: bytes, *asked: Any) -> bytes | Wanted | None:
        found = super()._replayed(packet, *asked)
        if isinstance(found, Wanted) and found.sheet < 0:
            query = wire.parse(packet)
            signed = isinstance(query, wire.Query) and query.tsig is not None
            self.passed["signed" if signed else _what(query)] += 1
        return found


def _what(query: wire.Query | wire.Malformed) -> str:
    return "class CH" if isinstance(query, wire.Query) and query.qclass == wire.CH else "something else"


class Pair:
    """One world in each lane."""

    def __init__(
        self, model: Model, places: dict[str, Any], chance: Random, packets: Iterable[bytes] = ()
    ) -> None:
        terms = _terms(chance)
        seed = chance.getrandbits(32)
        self.model = model
        self.packets = tuple(packets)
        self.cookies = terms.cookies
        self.labs = [_lab(lane, model, places, terms) for lane in (Replay, Watched)]
        self.chances = [Random(seed) for _ in self.labs]
        if chance.random() < 0.3:
            for lab in self.labs:
                lab.replay.sign(_signed(lab.replay))

    def happen(self, now: int) -> None:
        """The same in both: verdicts, a pause, the end of one, perhaps other terms."""
        for lab, chance in zip(self.labs, self.chances, strict=True):
            lab.now = now
            lab.take(passed(lab.world, now), core_worlds.event(lab, chance))
            if chance.random() < 0.1:
                lab.replay.agree(_terms(chance))

    @property
    def passed(self) -> Counter[str]:
        """What the native lane left to Python."""
        replay = self.labs[1].replay
        assert isinstance(replay, Watched)
        return replay.passed

    def counted(self) -> list[tuple[object, ...]]:
        """What each lane counted; of good cookies nothing, for Python's knows some by heart."""
        receptions = [lab.replay.reception for lab in self.labs]
        cookies = [{s: n for s, n in found.cookies.items() if s != "good"} for found in receptions]
        tallies = [list(lab.tally) for lab in self.labs]
        return list(zip(tallies, [dict(found.aside) for found in receptions], cookies, strict=True))


def _lab(lane: type[Replay], model: Model, places: dict[str, Any], terms: Terms) -> Lab:
    made = type("Lane", (Lab,), {"lane": lane})
    return made(model, places, terms=terms)


def _terms(chance: Random) -> Terms:
    secrets = tuple(chance.sample(SECRETS, chance.randrange(1, 4)))
    networks = chance.sample(("10.0.0.0/17", "198.18.0.0/24", "2001:db8::/33", "0.0.0.0/0", "fe80::/10"), 2)
    return Terms(
        version=b"a version" if chance.random() < 0.3 else None,
        server=b"a server" if chance.random() < 0.3 else None,
        nsid=b"an id" if chance.random() < 0.5 else None,
        cookies=Cookies(secrets, require=chance.random() < 0.3) if chance.random() < 0.7 else None,
        resolvers=tuple(map(ip_network, networks)) if chance.random() < 0.4 else None,
        idle=chance.choice((0, 0, 100)),
        transfers=chance.random() < 0.4,
        states=chance.random() < 0.5,
    )


def _signed(replay: Replay) -> Signed:
    """Stands in for TSIG: answers what is signed as if it were not, but for the record."""

    def answer(arrival: Arrival, start: int) -> bytes | None:
        packet = arrival.packet
        left = (int.from_bytes(packet[10:12]) - 1).to_bytes(2)
        return replay.answer(packet[:10] + left + packet[12:start], *arrival[1:])

    return answer


def random_(folder: Path, chance: Random) -> Pair:
    """Policies, pools and places of a random world."""
    return Pair(core_worlds.model(chance), core_worlds.places(chance), chance)


def shaped(folder: Path, chance: Random) -> Pair:
    """Answers of every shape, long ones among them, over random places."""
    for name, text in FILES.items():
        (folder / name).write_text(text)
    return Pair(load(folder, known=Known(lines=frozenset(LINES))), core_worlds.places(chance), chance)


def static(folder: Path, chance: Random, more: Mapping[str, str] = {}) -> Pair:
    """Twenty zones of everything that four servers agree on how to load."""
    made = zones.generate(chance.getrandbits(30), 20)
    written.write_yaml(made, folder / "zones")
    for name, text in more.items():
        (folder / "zones" / name).write_text(text)
    model = load(folder / "zones", known=Known(lines=frozenset(LINES)))
    packets = [asked.packet for asked in queries.ask(made, chance.getrandbits(30), 1000)]
    return Pair(model, core_worlds.places(chance), chance, packets)


def mixed(folder: Path, chance: Random) -> Pair:
    """Both in one server."""
    return static(folder, chance, FILES)


KINDS: dict[str, Callable[[Path, Random], Pair]] = {
    "random": random_,
    "shaped": shaped,
    "static": static,
    "mixed": mixed,
}
