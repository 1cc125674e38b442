"""What the tests of the core share: a whole answering core (files, world, sheets, replay) without sockets.

`Lab` is made from zone files; it knows places from a mapping of networks instead of databases, takes its
world through `apply` and `rebuild` as the server does, and answers packets that `query` packs.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_network
from math import inf
from pathlib import Path
from typing import Any

import dns.message
import dns.rrset

from geodns.config.load import Known, load
from geodns.core import names
from geodns.core.compile.build import build
from geodns.core.compile.rdata import type_number
from geodns.core.compile.sheets import Sheets, Widest
from geodns.core.edns import Subnet
from geodns.core.health import Health, Probe, Verdict, probes_of
from geodns.core.loads import Load
from geodns.core.overrides import DOWN, DRAIN, FORCE, HOLD, PAUSE, RAMP, UP, WEIGHT, Override
from geodns.core.place import Located, Place
from geodns.core.replay import STREAM, Hooks, Replay
from geodns.core.reports import expired, report
from geodns.core.slopes import Slope
from geodns.core.terms import Terms
from geodns.core.verbs import read_weight, require
from geodns.core.world import Lifted, Loaded, Observed, Overridden, World, apply, families
from geodns.geo.lines import by_asn
from geodns.geo.locate import where_of
from geodns.geo.networks import Networks, configured
from geodns.model import Line, Model, Policy

RESOLVER = "198.18.0.1"  # asks where a test says nothing of who asks; in no place
PAYLOAD = 1232
LINES = {
    "telecom": Line("telecom", asns=frozenset({4134})),
    "unicom": Line("unicom", asns=frozenset({4837})),
    "mobile": Line("mobile", asns=frozenset({9808})),
}
CARRIER_KEYS = {"asn", "organization", "isp"}

_STATE = ("down", "unknown", "doubt", "paused", "weight", "force", "drain", "ramp", "held", "load", "now")

Places = Mapping[str, Mapping[str, Any]]


class Atlas:
    """Places from a mapping: network -> {asn, organization, isp} and {country, continent, subdivisions, city,
    geoname_id, at}. The two groups lie in two databases of their own, each with its own blocks.
    """

    def __init__(self, places: Places, lines: Mapping[str, Line], policies: Iterable[Policy]) -> None:
        self._own = configured(lines.values(), policies)
        self._lines = by_asn(lines.values())
        self._carrier = _part(places, carrier=True)
        self._where = _part(places, carrier=False)

    def locate(self, address: IPv4Address | IPv6Address) -> Located:
        own, lines, own_block = self._own.lookup(address)
        carrier, asn_block = _look(self._carrier, address)
        told, geo_block = _look(self._where, address)
        where = where_of(_record(told)) if told else where_of({})
        place = Place(
            own=own,
            lines=lines or self._lines.get(carrier.get("asn", 0), frozenset()),
            asn=carrier.get("asn", 0),
            organization=carrier.get("organization", ""),
            isp=carrier.get("isp", ""),
            **where._asdict(),
        )
        return Located(place, own_block, asn_block, geo_block)


_Part = tuple[Networks, Mapping[str, Mapping[str, Any]]]


def _part(places: Places, *, carrier: bool) -> _Part:
    cut = {n: {k: v for k, v in p.items() if (k in CARRIER_KEYS) == carrier} for n, p in places.items()}
    found = {str(ip_network(n)): p for n, p in cut.items() if p}
    return Networks(dict.fromkeys(found, ())), found


def _look(part: _Part, address: IPv4Address | IPv6Address) -> tuple[Mapping[str, Any], int]:
    networks, records = part
    holding, _, block = networks.lookup(address)
    longest = max(holding, key=lambda n: ip_network(n).prefixlen, default=None)
    return records[longest] if longest else {}, block


def _record(told: Mapping[str, Any]) -> dict[str, Any]:
    """A place as a City database would hold it."""
    record: dict[str, Any] = {}
    if "country" in told:
        record["country"] = {"iso_code": told["country"]}
    if "continent" in told:
        record["continent"] = {"code": told["continent"]}
    if "subdivisions" in told:
        record["subdivisions"] = [{"iso_code": s.partition("-")[2]} for s in told["subdivisions"]]
    if "city" in told or "geoname_id" in told:
        record["city"] = {"names": {"en": told.get("city", "")}, "geoname_id": told.get("geoname_id", 0)}
    if "at" in told:
        record["location"] = {"latitude": float(told["at"][0]), "longitude": float(told["at"][1])}
    return record


class Lab:
    """An answering core. Every probe is up unless `state` says otherwise; `now` is 1000.

    `lane` is who answers in the labs made from now on: the tests of whatever uses labs are run in both lanes.
    """

    lane: type[Replay] = Replay

    def __init__(
        self,
        model: Model,
        places: Places | None = None,
        *,
        locate: Any = None,
        widest: Widest | None = None,
        terms: Terms | None = None,
    ) -> None:
        self.terms = terms
        self.places = places or {}
        self.locate = locate
        self.widest = widest or Widest()
        self.now = 1000
        self.world = World()
        self.load(model)
        self.state({})

    @classmethod
    def of(cls, folder: Path, files: Mapping[str, str], places: Places | None = None, **more: Any) -> Lab:
        return cls(read(folder, files), places, **more)

    def load(self, model: Model) -> None:
        """Take new files into service, as a reload does: verdicts and overrides remain."""
        self.model = model
        self.lines = {**LINES, **model.lines}
        atlas = Atlas(self.places, self.lines, model.policies.values())
        self.geography = self.locate or atlas.locate
        self.world, _ = apply(self.world, Loaded(model))
        serials = {zone.apex: zone.soa.serial or 1 for zone in model.zones}
        self.built = build(model.zones, model.pools, serials)
        self.tally = array("Q", bytes(8 * len(self.built.slots)))
        self.sheets = Sheets(self.built.sheets, self.world, self.tally, widest=self.widest, limit=4096)
        hooks = Hooks(self.tally, self.classify, self.sheets.fill)
        index = self.lane.index_of(self.built.names)
        self.replay = self.lane(
            index, self.sheets.sheets, hooks, payload=PAYLOAD, places=1000, terms=self.terms
        )

    def classify(self, plan: int, subnet: Subnet) -> tuple[int, int]:
        return self.sheets.classify(plan, self.geography(subnet.ip()), subnet)

    def take(self, *events: Any) -> None:
        """Events into the world and the answers, one after the other."""
        for event in events:
            self.world, touched = apply(self.world, event)
            self.replay.publish(self.sheets.rebuild(self.world, touched))

    def state(self, told: Mapping[str, Any]) -> None:
        """Set the world: `down`, `unknown`: lists of `pool/region/endpoint[/4|/6]`, or of `pool/region`,
        `#port` behind it where only the probes of that port are meant;
        `doubt`: such to the second until which it is in doubt; `paused`: subjects, or subject to end;
        `weight`: subject to weight; `force`: subject to up or down; `drain`, `ramp`: subject to the percent
        it has, or 0; `held`: subjects; `load`: subject to load, or to load and capacity; `now`.
        """
        unheard = set(told) - set(_STATE)
        assert not unheard, f"a state has no {unheard}"
        health = {probe: Health(Verdict.UP) for probe in self.world.pools_of}
        for word, verdict in (("down", Verdict.DOWN), ("unknown", Verdict.UNKNOWN)):
            for ref in told.get(word, ()):
                health |= {probe: Health(verdict) for probe in self.probes(ref)}
        for ref, until in told.get("doubt", {}).items():
            for probe in self.probes(ref):
                health[probe] = Health(health[probe].verdict, doubt_until=until)
        paused = told.get("paused", {})
        until_of = paused if isinstance(paused, Mapping) else dict.fromkeys(paused)
        wanted = [Override(PAUSE, subject, "", "test", 0, until) for subject, until in until_of.items()]
        for subject, text in told.get("weight", {}).items():
            wanted.append(Override(WEIGHT, subject, "", "test", 0, None, read_weight(subject, str(text))))
        for subject, text in told.get("force", {}).items():
            wanted.append(Override(FORCE, subject, "", "test", 0, None, {"up": UP, "down": DOWN}[text]))
        for kind in (DRAIN, RAMP):
            for subject, share in told.get(kind, {}).items():
                wanted.append(Override(kind, subject, "", "test", 0, None, share, Slope(1e9, (share,), 100)))
        wanted += [Override(HOLD, subject, "it failed", "test", 0) for subject in told.get("held", ())]
        for override in wanted:
            require(self.world, override.subject)
        keys = {(override.kind, override.subject) for override in wanted}
        self.take(
            Observed(health),
            *(Lifted(*key) for key in self.world.overrides if key not in keys),
            *map(Overridden, wanted),
        )
        self.now = told.get("now", 1000)
        forgotten = expired(self.world, inf)
        self.take(*[forgotten] if forgotten else [])
        for subject, text in told.get("load", {}).items():
            load, *capacity = map(float, text if isinstance(text, list) else [text])
            self.take(
                report(self.world, Load(subject, load, next(iter(capacity), None), self.now, self.now + 60))
            )

    def probes(self, ref: str) -> list[Probe]:
        """The probes that a reference of `state` means."""
        where, _, port = ref.partition("#")
        head, *rest = where.split("/")
        pool = next((p for p in self.model.pools.values() if p.id.rpartition("/")[2] == head), None)
        assert pool, f"{ref}: no pool {head}"
        found = []
        for region in pool.regions:
            for endpoint in region.endpoints:
                for family in families(endpoint):
                    here = (region.region, endpoint.name, str(family))
                    if here[: len(rest)] == tuple(rest):
                        wanted = probes_of(endpoint, family)
                        assert wanted, f"{ref}: {endpoint.name} has no check"
                        found += [probe for probe in wanted if port in ("", str(probe.port))]
        assert found, f"{ref}: no such endpoint"
        return found

    def reply(
        self, packet: bytes, client: str = RESOLVER, limit: int = PAYLOAD, chance: int = 0
    ) -> bytes | None:
        return self.replay.answer(packet, client, limit, chance, self.now)

    def ask(
        self, name: str, rtype: str = "A", *, chance: int = 0, source: str = RESOLVER, **more: Any
    ) -> Reply:
        """Ask over a stream; `more` is what `query` takes."""
        raw = self.reply(query(name, rtype, **more), source, STREAM, chance)
        assert raw is not None
        return Reply(raw)


def read(folder: Path, files: Mapping[str, str]) -> Model:
    """The model of zone files given as texts."""
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return load(folder, known=Known(lines=frozenset(LINES)))


class Reply:
    """A reply, read by dnspython, record by record: sections are lists of (owner, ttl, type, data)."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.message = dns.message.from_wire(raw, one_rr_per_rrset=True)
        self.rcode = dns.rcode.to_text(self.message.rcode())
        self.flags = set(dns.flags.to_text(self.message.flags).lower().split())
        self.answer = _records(self.message.answer)
        self.authority = _records(self.message.authority)
        self.additional = _records(self.message.additional)
        self.scope: int | None = None
        self.source: int | None = None
        for option in self.message.options:
            if option.otype == 8:
                self.scope, self.source = option.scopelen, option.srclen

    @property
    def values(self) -> list[str]:
        """The data of the answer's records."""
        return [data for _, _, _, data in self.answer]

    @property
    def ttls(self) -> set[int]:
        return {ttl for _, ttl, _, _ in self.answer}


Record = tuple[str, int, str, str]


def _records(section: list[dns.rrset.RRset]) -> list[Record]:
    return [
        (text_name(rrset.name.to_text()), rrset.ttl, dns.rdatatype.to_text(rrset.rdtype), rrset[0].to_text())
        for rrset in section
    ]


def text_name(text: str) -> str:
    return text.rstrip(".").lower() or "."


def query(
    name: str | bytes,
    rtype: str | int = "A",
    *,
    subnet: str | None = None,
    edns: int | None = None,
    do: bool = False,
    version: int = 0,
    rclass: int = 1,
    flags: int = 0,
    ident: int = 0x1234,
    options: bytes = b"",
) -> bytes:
    """A query's packet. `name` is text or wire; `subnet` is a Client Subnet (`10.1.0.0/16`, which, like `do`,
    `version` and `options` (with code and length), brings an OPT record along); `flags` are the header's.
    """
    wire = names.from_text(name.rstrip(".") + ".") if isinstance(name, str) else name
    number = type_number(rtype) if isinstance(rtype, str) else rtype
    opt = b""
    if subnet is not None or edns is not None or do or version or options:
        option = (subnet_option(subnet) if subnet else b"") + options
        head = b"\0\0\x29" + (edns if edns is not None else PAYLOAD).to_bytes(2) + bytes((0, version))
        opt = head + (0x8000 if do else 0).to_bytes(2) + len(option).to_bytes(2) + option
    counts = b"\0\1\0\0\0\0" + (1 if opt else 0).to_bytes(2)
    header = ident.to_bytes(2) + flags.to_bytes(2) + counts
    return header + wire + number.to_bytes(2) + rclass.to_bytes(2) + opt


def subnet_option(text: str) -> bytes:
    """A Client Subnet option (RFC 7871 §6) with its code and length."""
    address, _, length = text.partition("/")
    network = ip_network((address, int(length)), strict=False)
    octets = network.network_address.packed[: (network.prefixlen + 7) // 8]
    value = (1 if network.version == 4 else 2).to_bytes(2) + bytes((network.prefixlen, 0)) + octets
    return b"\0\x08" + len(value).to_bytes(2) + value


def chances(count: int) -> list[int]:
    """`count` chances spread evenly over the 32 bits: what they draw is exactly by weight."""
    return [((2 * i + 1) << 31) // count for i in range(count)]


def mixed_case(name: str) -> str:
    """The same name as a resolver with 0x20 might spell it."""
    letters = iter(range(len(name)))
    return re.sub("[a-z]", lambda m: m[0].upper() if next(letters) % 2 else m[0], name)
