"""What counts as a difference, and where NSD, Knot and BIND are known to differ among themselves.

Every peer has a voice in every field. For some questions a peer is known to go its own way: `KNOWN` says
when and why, and its voice is set aside. Those that remain must agree, and geodns must agree with them:
anything else is a finding, a disagreement that is not in the table included.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from itertools import takewhile

from tests.differential.answers import ANY, CNAME, DNAME, DS, HINFO, NS, Answer, Record
from tests.differential.queries import TYPES, Query
from tests.differential.servers import LIMIT
from tests.differential.zones import Name, Zone, fold

NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP = range(5)
FIELDS = ("rcode", "aa", "flags", "question", "opt", "answer", "authority")
SECTIONS = ("answer", "authority")
NSEC3 = 50
LONGEST = 5  # names that Knot follows
FIRST_META = 128  # RFC 6895 §3.1: query and meta types from here to 255
BESIDE_CNAME = (24, 25, 30, 46, 47)  # SIG, KEY, NXT, RRSIG, NSEC
RFC8482_TTL = 3600


class World:
    """What the zones hold, as far as the classes of disagreement ask."""

    def __init__(self, zones: list[Zone]) -> None:
        self.apexes = {fold(zone.apex) for zone in zones}
        self.names: set[Name] = set()
        self.empty: set[Name] = set()
        self.addresses: set[tuple[bytes, int, int, bytes]] = set()
        for zone in zones:
            owners = {fold(owner) for owner in zone.owners()}
            for owner in owners:
                above = (owner[i:] for i in range(1, len(owner) - len(zone.apex)))
                self.empty.update(name for name in above if name not in owners)
            self.names |= owners
            self.addresses.update(_addresses(zone))
        self.names |= self.empty

    def apex(self, name: Name) -> Name | None:
        """The zone that answers for a name."""
        return next((name[i:] for i in range(len(name) + 1) if name[i:] in self.apexes), None)

    def is_nested(self, name: Name) -> bool:
        """Whether the zone that answers for a name has another of the zones above or below it."""
        own = self.apex(name)
        return own is not None and any(
            apex != own and (apex[-len(own) :] == own or own[-len(apex) :] == apex) for apex in self.apexes
        )

    def star(self, name: Name) -> Name | None:
        """The wildcard that a name which does not exist is answered from."""
        for i in range(len(name)):
            if name[i:] in self.names or name[i:] in self.apexes:
                star = (b"*", *name[i:])
                return star if i and star in self.names else None
        return None


def _addresses(zone: Zone) -> Iterator[Record]:
    for data in zone.sets.values():
        if data.rtype in ("A", "AAAA"):
            for value in data.values:
                yield wire_of(fold(data.owner)), TYPES[data.rtype], data.ttl, ip_address(value).packed


@dataclass(frozen=True)
class Case:
    """A question and all its answers.

    `path`: the names that the CNAMEs lead through, folded; `endless` where that comes round.
    """

    query: Query
    ours: Answer
    peers: Mapping[str, Answer]
    world: World
    path: tuple[Name, ...]
    endless: bool


def case_of(query: Query, ours: Answer, peers: Mapping[str, Answer], world: World) -> Case:
    records = ours.answer.union(*(peer.answer for peer in peers.values()))
    targets = {owner: rdata for owner, rtype, _, rdata in records if rtype == CNAME}
    names = [fold(query.name)]
    owner = wire_of(names[0])
    while owner in targets and len(names) <= len(targets):
        owner = targets[owner]
        names.append(labels_of(owner))
    return Case(query, ours, peers, world, tuple(names), owner in targets)


def wire_of(name: Name) -> bytes:
    return b"".join(bytes([len(label)]) + label for label in name) + b"\0"


def labels_of(wire: bytes) -> Name:
    found, at = [], 0
    while wire[at]:
        found.append(wire[at + 1 : at + 1 + wire[at]])
        at += 1 + wire[at]
    return tuple(found)


@dataclass(frozen=True)
class Known:
    """Where `peers` go their own way: `holds` is asked for each of them."""

    id: str
    peers: tuple[str, ...]
    why: str
    holds: Callable[[Case, Answer], bool]


def _leaves(case: Case, theirs: Answer) -> bool:
    """The chain leads out of the first zone, and until then the peer has nothing else than geodns."""
    first = case.world.apex(case.path[0])
    inside = set(takewhile(lambda name: case.world.apex(name) == first, case.path))
    if inside == set(case.path):
        return False
    own = {record for record in theirs.answer if labels_of(record[0]) in inside}
    return case.ours.tc or own <= case.ours.answer


def _by_wildcard(case: Case, theirs: Answer) -> bool:
    return any((star := case.world.star(name)) is not None and star in case.world.empty for name in case.path)


def _nested(case: Case, theirs: Answer) -> bool:
    return any(case.world.is_nested(name) for name in case.path)


KNOWN = (
    Known(
        "meta-type",
        ("bind",),
        "BIND answers unassigned query and meta types (128 to 255) with FORMERR; no RFC asks for that",
        lambda case, theirs: FIRST_META <= case.query.qtype < ANY and theirs.rcode == FORMERR,
    ),
    Known(
        "type-0",
        ("knot",),
        "Knot answers type 0, which is reserved, with NOTIMP",
        lambda case, theirs: case.query.qtype == 0 and theirs.rcode == NOTIMP,
    ),
    Known(
        "other-zone",
        ("knot", "bind"),
        "a chain into another zone of the server: Knot and BIND look no farther than the zone asked, "
        "NSD goes on, as RFC 1034 §4.3.2 step 3a has it",
        _leaves,
    ),
    Known(
        "beside-cname",
        ("knot", "bind"),
        "no CNAME is followed for the types that RFC 2535 and 4035 allow beside one (Knot: RRSIG and NSEC)",
        lambda case, theirs: case.query.qtype in BESIDE_CNAME and len(case.path) > 1 and theirs.aa,
    ),
    Known(
        "nsec3-cname",
        ("nsd",),
        "NSD follows no CNAME for NSEC3 (RFC 5155 §7.2.8 lets no question for it be answered)",
        lambda case, theirs: case.query.qtype == NSEC3 and len(case.path) > 1,
    ),
    Known(
        "any-dname",
        ("bind",),
        "ANY below a DNAME: BIND stops behind the synthesized CNAME",
        lambda case, theirs: (
            case.query.qtype == ANY and len(case.path) > 1 and theirs.answer <= case.ours.answer
        ),
    ),
    Known(
        "loop",
        ("nsd", "knot", "bind"),
        "a chain without end: each server has its own bound, BIND says SERVFAIL at it",
        lambda case, theirs: case.endless or len(case.path) > LONGEST or case.peers["bind"].rcode == SERVFAIL,
    ),
    Known(
        "dname-once",
        ("nsd",),
        "a chain that passes one DNAME twice: NSD stops at the second time",
        lambda case, theirs: (
            any(record[1] == DNAME for record in theirs.answer) and theirs.answer < case.ours.answer
        ),
    ),
    Known(
        "empty-wildcard",
        ("nsd",),
        "NSD says NXDOMAIN where the wildcard is an empty non-terminal; RFC 4592 §4.1 says NODATA",
        lambda case, theirs: theirs.rcode == NXDOMAIN and _by_wildcard(case, theirs),
    ),
    Known(
        "nested",
        ("nsd",),
        "NSD has one tree for all zones: what an upper zone holds below a lower zone's apex shines through",
        _nested,
    ),
    Known(
        "undelegated-ds",
        ("knot", "bind"),
        "DS of a served zone that its upper zone does not delegate: NXDOMAIN would hide the whole zone (RFC "
        "8020), and so might a wildcard; so NODATA, as NSD",
        lambda case, theirs: (
            case.query.qtype == DS
            and fold(case.query.name) in case.world.apexes
            and (theirs.rcode == NXDOMAIN or bool(theirs.answer))
        ),
    ),
)


@dataclass(frozen=True)
class Verdict:
    """`findings`: unexplained differences; `classes`: the known disagreements that were met."""

    findings: tuple[str, ...]
    classes: frozenset[str]


def judge(case: Case) -> Verdict:
    classes: set[str] = set()
    voices = dict(case.peers)
    for known in KNOWN:
        for name in known.peers:
            if name in voices and differs(case, voices[name]) and known.holds(case, voices[name]):
                classes.add(known.id)
                del voices[name]
    findings = list(_fields(case, voices))
    findings += _truncation(case, voices, classes)
    findings += _additional(case, voices)
    if case.ours.repeated:
        findings.append("a record stands twice in a section")
    return Verdict(tuple(findings), frozenset(classes))


def differs(case: Case, theirs: Answer) -> bool:
    return any(getattr(theirs, field) != getattr(case.ours, field) for field in FIELDS)


def _minimal(case: Case) -> bool:
    """ANY answered by RFC 8482 §4.2."""
    return case.query.qtype == ANY and any(r[1:3] == (HINFO, RFC8482_TTL) for r in case.ours.answer)


def _fields(case: Case, voices: Mapping[str, Answer]) -> list[str]:
    findings = []
    for field in FIELDS:
        if field == "answer" and _minimal(case):
            if not all(peer.answer or peer.tc for peer in voices.values()):
                findings.append("answer: ANY of nothing")
            continue
        if field in SECTIONS and case.ours.tc:
            continue
        told = {getattr(peer, field) for peer in voices.values() if not (peer.tc and field in SECTIONS)}
        mine = getattr(case.ours, field)
        if len(told) > 1:
            findings.append(f"{field}: the peers disagree, and it is not known why")
        elif told and mine not in told:
            findings.append(f"{field}: the peers agree on something else")
    return findings


def _truncation(case: Case, voices: Mapping[str, Answer], classes: set[str]) -> list[str]:
    """TC where a required record does not fit. Of glue only Knot says so (RFC 9471)."""
    if case.query.tcp:
        return ["tc over TCP"] if case.ours.tc else []
    if _minimal(case):
        return []
    limit = min(max(512, case.query.payload or 512), LIMIT)
    told = {name: peer.tc for name, peer in voices.items()}
    if not told or set(told.values()) == {case.ours.tc}:
        return []
    hosts = [labels_of(rdata) for _, rtype, _, rdata in case.ours.authority if rtype == NS]
    if any(case.world.star(host) for host in hosts):
        classes.add("wildcard-glue")
        return []
    near = max((*(peer.size for peer in voices.values()), case.ours.size)) > limit * 0.85
    if told.get("knot") == case.ours.tc or "knot" not in told:
        classes.add("glue-tc")
        return []
    if near:
        classes.add("near-the-limit")
        return []
    return [f"tc: {case.ours.tc}, where {told}"]


def _additional(case: Case, voices: Mapping[str, Answer]) -> list[str]:
    """Only addresses of the zones, and all glue of a referral that the peers have in common (RFC 9471)."""
    findings = []
    theirs = [peer.additional for peer in voices.values() if not peer.tc]
    if not case.ours.additional <= case.world.addresses:
        findings.append("additional: a record that no zone has")
    cuts = [r[0] for r in case.ours.authority if r[1] == NS]
    if theirs and cuts:
        glue = (frozenset.intersection(*theirs) & case.world.addresses) - case.ours.additional
        if any(_inside(record, cuts[0]) for record in glue):
            findings.append("additional: glue is missing")
    return findings


def _inside(record: Record, cut: bytes) -> bool:
    return record[0].endswith(cut)
