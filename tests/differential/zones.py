"""Random zones that all four servers load: small vocabularies, so that names meet, hide and cover each other.

A name is a tuple of labels (bytes), leftmost first, without the root. Everything follows from one seed.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random

Name = tuple[bytes, ...]

STAR = b"*"
PLAIN = (b"a", b"b", b"c", b"ns", b"www", b"_tcp")
ODD = (
    b"x.y",
    b"q r",
    b"\x00",
    b"\xff\xfe",
    b'"',
    b"\\",
    b"@",
    b"l" * 63,
    b"a*",
    b"**",
    b"$",
    b";",
    b"(",
    b"\x41b",
)
OUTSIDE: tuple[Name, ...] = ((b"elsewhere", b"invalid"), (b"host", b"elsewhere", b"invalid"))
NEVER = b"zz"  # a label that no zone has
STEERED = b"steered"  # a label that no query has
TTLS = (0, 30, 300, 604800, 2**31 - 1)
SPECIAL = b"." + b'"\\;()@$ '
MAX_NAME = 255


def wire(name: Name) -> bytes:
    return b"".join(bytes([len(label)]) + label for label in name) + b"\0"


def text(name: Name) -> str:
    """Presentation form, absolute."""
    return "".join(f"{label_text(label)}." for label in name) or "."


def label_text(label: bytes) -> str:
    """`\\DDD` for all that is special: NSD 4.6 reads the two characters of an escaped backslash as three."""
    return "".join(f"\\{o:03d}" if o <= 32 or o >= 127 or o in SPECIAL else chr(o) for o in label)


@dataclass
class Data:
    """One RRset: `values` in presentation form, names in them absolute."""

    owner: Name
    rtype: str
    ttl: int
    values: list[str]


@dataclass
class Zone:
    apex: Name
    soa_ttl: int
    minimum: int
    sets: dict[tuple[Name, str], Data] = field(default_factory=dict)
    steers: list[Name] = field(default_factory=list)
    """Names that only geodns has, steered, and that no query asks for: what they must not disturb."""

    def soa(self) -> str:
        return (
            f"{text((b'ns', *self.apex))} {text((b'admin', *self.apex))} 7 7200 1800 1209600 {self.minimum}"
        )

    def owners(self) -> set[Name]:
        return {owner for owner, _ in self.sets}


def generate(seed: int, count: int) -> list[Zone]:
    """`count` zones for one server, some of them below others."""
    chance = Random(seed)
    zones: list[Zone] = []
    for number in range(count):
        apex: Name = (b"z%d" % number, chance.choice((b"test", b"Example")))
        if zones and chance.random() < 0.45:
            above = chance.choice(zones).apex
            apex = tuple(chance.choice(PLAIN) for _ in range(chance.choice((1, 1, 2)))) + above
        if len(apex) < 8 and fold(apex) not in {fold(zone.apex) for zone in zones}:
            zones.append(Zone(apex, chance.choice(TTLS), chance.choice(TTLS)))
    apexes = [zone.apex for zone in zones]
    ground = _Ground(set(map(fold, apexes)))
    fillers = [_Filler(zone, apexes, ground, chance) for zone in zones]
    for filler in fillers:
        filler.apex_nameservers()
    for filler in fillers:
        filler.fill()
    for zone in zones:
        zone.steers = _steers(zone, apexes, chance)
        if zone.steers:  # additional data never hold what is steered
            owner = (b"_sip", *zone.apex)
            zone.sets[owner, "SRV"] = Data(owner, "SRV", 30, [f"0 0 1 {text(name)}" for name in zone.steers])
    return zones


def _steers(zone: Zone, apexes: list[Name], chance: Random) -> list[Name]:
    """Names below what the zone has, so that no other name comes into being with them."""
    covers = {fold(data.owner) for data in zone.sets.values() if data.rtype in ("NS", "DNAME")} | set(
        map(fold, apexes)
    )
    covers.discard(fold(zone.apex))
    if (zone.apex, "DNAME") in zone.sets:
        return []
    owners = {fold(data.owner): data.owner for data in zone.sets.values()}
    seen = [
        (STEERED, *owner)
        for name, owner in owners.items()
        if not any(name[i:] in covers for i in range(len(name))) and len(wire(owner)) < 245
    ]
    return chance.sample(seen, min(len(seen), chance.randint(0, 3)))


@dataclass
class _Ground:
    """The owners of all zones: NSD takes a name in one zone as below a DNAME in another."""

    owners: set[Name]
    dnames: set[Name] = field(default_factory=set)


def fold(name: Name) -> Name:
    return tuple(label.lower() for label in name)


class _Filler:
    """Fills one zone by the rules that NSD, Knot and BIND insist on, and by no others."""

    def __init__(self, zone: Zone, apexes: list[Name], ground: _Ground, chance: Random) -> None:
        self.zone = zone
        self.ground = ground
        self.apex = zone.apex
        self.chance = chance
        self.apexes = apexes
        self.below = [a for a in apexes if len(a) > len(self.apex) and a[-len(self.apex) :] == self.apex]
        self.pool = [self.random_owner() for _ in range(chance.randint(4, 18))]
        self.kinds: dict[Name, str] = {}

    def fill(self) -> None:
        if self.chance.random() < 0.1:
            self.dname(self.apex)
        elif self.chance.random() < 0.5:
            self.data(self.apex)
        for apex in self.below:
            if self.chance.random() < 0.8:
                self.cut(apex)
        if self.chance.random() < 0.15:
            self.long_chain(self.chance.randint(2, 20))
        for owner in self.pool:
            kind = self.chance.choices(
                ("data", "alias", "cut", "dname", "glue"), weights=(45, 22, 14, 9, 10)
            )[0]
            getattr(self, kind)(owner)

    def random_owner(self) -> Name:
        labels = []
        for _ in range(self.chance.choice((1, 1, 1, 2, 2, 3))):
            labels.append(
                self.chance.choices((STAR, self.chance.choice(PLAIN), self.chance.choice(ODD)), (2, 7, 1))[0]
            )
        found = (*labels, *self.apex)
        return found if self.chance.random() < 0.97 else self.longest(found)

    def longest(self, name: Name) -> Name:
        """A name of 255 octets below `name`: of few long labels, or of as many as there can be."""
        size = self.chance.choice((1, 63))
        while len(wire(name)) + 2 <= MAX_NAME:
            name = (b"n" * min(size, MAX_NAME - len(wire(name)) - 1), *name)
        return name

    def free(self, owner: Name, kind: str) -> bool:
        """Whether `owner` can be of this kind: a CNAME stands alone, nothing stands below a DNAME."""
        if len(wire(owner)) > MAX_NAME:
            return False
        owner = fold(owner)
        known = self.kinds.get(owner, kind)
        if known != kind and ("alias" in (kind, known) or {kind, known} == {"cut", "dname"}):
            return False
        if any(_is_below(owner, dname) for dname in self.ground.dnames if dname != owner):
            return False
        return kind != "dname" or not any(_is_below(n, owner) for n in self.ground.owners if n != owner)

    def put(self, owner: Name, kind: str, rtype: str, values: list[str]) -> None:
        if (fold(owner), rtype) in {(fold(o), t) for o, t in self.zone.sets} or not self.free(owner, kind):
            return
        self.ground.owners.add(fold(owner))
        if kind == "dname":
            self.ground.dnames.add(fold(owner))
        if self.kinds.get(fold(owner), "data") == "data":
            self.kinds[fold(owner)] = kind
        ttl = self.chance.choice(TTLS)
        self.zone.sets[owner, rtype] = Data(owner, rtype, ttl, list(dict.fromkeys(values)))

    def target(self) -> Name:
        """Something to point to: known, unknown, here, in another zone of the server, or nobody's."""
        below = self.chance.choice((*PLAIN, NEVER, STAR))
        roll = self.chance.random()
        if roll < 0.5:
            return self.chance.choice(self.pool)
        if roll < 0.7:
            return (below, *self.chance.choice(self.pool))
        if roll < 0.8:
            return (below, *self.apex)
        if roll < 0.93:
            return (below, *self.chance.choice(self.apexes))
        return self.chance.choice(OUTSIDE)

    def targets(self) -> Name:
        """A target that surely is a name."""
        found = self.target()
        return found if len(wire(found)) <= MAX_NAME else self.apex

    def host(self) -> str:
        return text(self.targets())

    def apex_nameservers(self) -> None:
        """Those inside the zone have an address: BIND insists."""
        near = [(label, *self.apex) for label in self.chance.sample((b"ns", b"a"), self.chance.randint(0, 2))]
        far = [OUTSIDE[0]] if not near or self.chance.random() < 0.3 else []
        self.put(self.apex, "data", "NS", [text(host) for host in (*near, *far)])
        for host in near:
            self.put(host, "data", "A", self.value("A"))
            self.addresses(host)

    def nameservers(self, owner: Name, count: int) -> None:
        hosts: list[Name] = []
        for _ in range(count):
            above = owner if self.chance.random() < 0.8 else self.chance.choice(self.pool)
            near = (self.chance.choice((b"ns", b"a")), *above)
            hosts.append(
                near if self.chance.random() < 0.5 and len(wire(near)) <= MAX_NAME else self.targets()
            )
        self.put(owner, "cut", "NS", [text(host) for host in hosts])
        for host in hosts:
            if self.chance.random() < 0.8 and _is_below(host, self.apex):
                self.addresses(host)

    def addresses(self, owner: Name) -> None:
        if self.chance.random() < 0.85:
            self.put(owner, "data", "A", self.value("A"))
        if self.chance.random() < 0.5:
            self.put(owner, "data", "AAAA", self.value("AAAA"))

    def data(self, owner: Name) -> None:
        for rtype in self.chance.sample(tuple(VALUES), self.chance.randint(1, 3)):
            if owner != self.apex or rtype not in DNSSEC:
                self.put(owner, "data", rtype, self.value(rtype))

    def value(self, rtype: str) -> list[str]:
        if rtype in SINGLE:
            return [VALUES[rtype](self)]
        large = self.chance.choice(((24, 44), (70, 80), (4, 20)))
        many = self.chance.choices((1, 2, 5, self.chance.randint(*large)), (10, 5, 2, 1))[0]
        return [VALUES[rtype](self) for _ in range(many)]

    def alias(self, owner: Name) -> None:
        self.put(owner, "alias", "CNAME", [self.host()])

    def long_chain(self, length: int) -> None:
        """One name to the next, now and then through a DNAME, to something or nothing."""
        names: list[Name] = [(b"c%d" % i, *self.apex) for i in range(length + 1)]
        for this, onward in pairwise(names):
            if self.chance.random() < 0.2:
                below = (b"to", *this)
                self.put(below[1:], "dname", "DNAME", [text(onward)])
            self.put(this, "alias", "CNAME", [text(onward)])
        if self.chance.random() < 0.7:
            self.data(names[-1])

    def cut(self, owner: Name) -> None:
        if STAR in owner[:1] or fold(owner) == fold(self.apex):
            return
        self.nameservers(owner, self.chance.randint(1, 3))
        if (owner, "NS") not in self.zone.sets:
            return
        if self.chance.random() < 0.5:
            self.put(owner, "cut", "DS", [f"{self.chance.randrange(65536)} 13 2 {self.hexits(32)}"])
        if self.chance.random() < 0.5:  # occluded: never to be seen
            self.data((self.chance.choice((*PLAIN, STAR)), *owner))
        if self.chance.random() < 0.3:
            self.put(owner, "cut", "TXT", ["occluded"])

    def dname(self, owner: Name) -> None:
        if STAR in owner[:1]:
            return
        deep = (b"d" * 63, b"d" * 63, b"d" * 63, b"d" * 40)
        target = self.targets() if self.chance.random() < 0.85 else (*deep, *OUTSIDE[0])
        if len(wire(target)) > MAX_NAME // 2 and _is_below(target, self.apex):
            target = self.apex  # Knot 3.2 goes round for ever where such a one lies below the DNAME itself
        self.put(owner, "dname", "DNAME", [text(target)])

    def glue(self, owner: Name) -> None:
        self.addresses(owner)

    def hexits(self, octets: int) -> str:
        return self.chance.randbytes(octets).hex()

    def base64(self, octets: int) -> str:
        return b64encode(self.chance.randbytes(octets)).decode()

    def dashed(self, octets: int, sign: str) -> str:
        return self.chance.randbytes(octets).hex(sign, 1 if sign == "-" else 2)


def _is_below(name: Name, above: Name) -> bool:
    return len(name) >= len(above) and fold(name)[len(name) - len(above) :] == fold(above)


def _some(f: _Filler, limit: int) -> str:
    size = f.chance.choice((0, 1, 4, limit))
    return f"\\# {size} {f.hexits(size)}".rstrip()


def _parameters(f: _Filler) -> str:
    every = ("alpn=h2,h3", "port=8443", "ipv4hint=192.0.2.1,192.0.2.2", "ipv6hint=2001:db8::1", "key65400=ab")
    return " ".join(f.chance.sample(every, f.chance.randint(0, len(every))))


DNSSEC = (
    "DNSKEY",
    "CDNSKEY",
    "CDS",
    "CSYNC",
    "NSEC3PARAM",
    "ZONEMD",
)  # at an apex they change what is served
SINGLE = ("CSYNC", "NSEC3PARAM", "ZONEMD", "SPF")
VALUES = {
    "A": lambda f: f"192.0.2.{f.chance.randrange(256)}",
    "AAAA": lambda f: f"2001:db8::{f.chance.randrange(65536):x}",
    "MX": lambda f: f"{f.chance.randrange(100)} {f.host()}",
    "TXT": lambda f: f'"{f.hexits(f.chance.choice((1, 4, 60)))}" "second \\"part\\" \\000"',
    "SRV": lambda f: f"{f.chance.randrange(9)} 5 443 {f.host()}",
    "PTR": lambda f: f.host(),
    "NAPTR": lambda f: f'1 2 "s" "SIP+D2U" "" {f.host()}',
    "HINFO": lambda f: f'"{f.hexits(2)}" "os"',
    "RP": lambda f: f"{f.host()} {f.host()}",
    "AFSDB": lambda f: f"1 {f.host()}",
    "KX": lambda f: f"1 {f.host()}",
    "CAA": lambda f: f'0 issue "{f.hexits(3)}"',
    "TLSA": lambda f: f"3 1 1 {f.hexits(32)}",
    "SSHFP": lambda f: f"1 1 {f.hexits(20)}",
    "LOC": lambda f: "52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m",
    "SVCB": lambda f: f"{f.chance.randrange(3)} {f.host()}",
    "HTTPS": lambda f: f"1 {f.chance.choice((f.host(), '.'))} {_parameters(f)}",
    "URI": lambda f: f'1 2 "http://{f.hexits(2)}/"',
    "TYPE65280": lambda f: _some(f, 90),
    "TYPE10": lambda f: _some(f, 20),
    "TYPE14": lambda f: f"\\# {len(both := (wire(f.targets()) + wire(f.targets())))} {both.hex()}",
    "X25": lambda f: f'"{f.chance.randrange(10**9)}"',
    "ISDN": lambda f: f'"{f.chance.randrange(10**9)}" "004"',
    "RT": lambda f: f"2 {f.host()}",
    "NSAP": lambda f: f"0x{f.hexits(20)}",
    "PX": lambda f: f"10 {f.host()} {f.host()}",
    "GPOS": lambda f: '"-32.6882" "116.8652" "10.0"',
    "CERT": lambda f: f"1 {f.chance.randrange(65536)} 5 {f.base64(30)}",
    "APL": lambda f: "1:192.0.2.0/24 !2:2001:db8::/32 !1:0.0.0.0/0",
    "IPSECKEY": lambda f: f"10 3 2 host.elsewhere.invalid. {f.base64(32)}",
    "DNSKEY": lambda f: f"256 3 13 {f.base64(64)}",
    "CDNSKEY": lambda f: f"257 3 13 {f.base64(64)}",
    "CDS": lambda f: f"{f.chance.randrange(65536)} 13 2 {f.hexits(32)}",
    "DHCID": lambda f: f.base64(35),
    "NSEC3PARAM": lambda f: f"1 0 0 {f.hexits(4)}",
    "SMIMEA": lambda f: f"3 1 1 {f.hexits(32)}",
    "HIP": lambda f: f"2 {f.hexits(16)} {f.base64(33)} {f.host()}",
    "OPENPGPKEY": lambda f: f.base64(200),
    "CSYNC": lambda f: "66 3 A NS AAAA",
    "ZONEMD": lambda f: f"7 1 1 {f.hexits(48)}",
    "SPF": lambda f: f'"v=spf1 -all {f.hexits(3)}"',
    "NID": lambda f: f"10 {f.dashed(8, ':')}",
    "L32": lambda f: f"10 192.0.2.{f.chance.randrange(256)}",
    "L64": lambda f: f"10 {f.dashed(8, ':')}",
    "LP": lambda f: f"10 {f.host()}",
    "EUI48": lambda f: f.dashed(6, "-"),
    "EUI64": lambda f: f.dashed(8, "-"),
    "AVC": lambda f: f'"app-name:{f.hexits(4)}"',
    "DLV": lambda f: f"{f.chance.randrange(65536)} 13 2 {f.hexits(32)}",
    "AMTRELAY": lambda f: f"10 1 3 {f.host()}",
    "TYPE731": lambda f: _some(f, 20),
}
