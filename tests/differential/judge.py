"""What counts as a difference.

Four voices: NSD, Knot, BIND and the standard as the `oracle` reads it. geodns has to say what the oracle
says, field by field. So has each peer, or else exactly what is foretold of it (`peers.KNOWN`): a peer that
says anything else is a finding, and so is one way that all three go together and geodns does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from tests.differential.answers import ANY, CNAME, NS, SOA, Answer, Record
from tests.differential.oracle import HOSTS_AT, NOERROR, Told, World, labels_of, tell
from tests.differential.peers import KNOWN, foretold
from tests.differential.queries import Query
from tests.differential.servers import LIMIT, US
from tests.differential.sizes import Ruler

RESPONSE, AD = 0x8000, 0x0020
LEAST = 8  # names of a chain that are always told
COMPRESSED = (NS, CNAME, SOA, 12, 15)  # the types in whose rdata geodns compresses names
CASED = (b"\7example\0", b"\2ab")  # what the zones write with capital letters here and there
OTHER = {
    "glue-tc": "glue that does not fit: TC by RFC 9471, as Knot; NSD and BIND leave glue out",
    "nsd: host-tc": "NSD sets TC where addresses of a referral's hosts do not fit, glue or not",
    "knot: no-soa": "Knot leaves out the SOA of a negative answer where it does not fit, without TC",
    "knot: cut-chain": "Knot says NOERROR of a chain that does not fit, whatever is at its end",
    "bind: reserve": "BIND wants room for a whole name before it compresses it, so TC comes a little early",
    "near-the-limit": "how well names are compressed decides about TC",
}
WHY = {f"{way.peer}: {way.id}": way.why for way in KNOWN} | OTHER


@dataclass(frozen=True)
class Case:
    """A question and all its answers."""

    query: Query
    ours: Answer
    peers: Mapping[str, Answer]
    world: World


@dataclass(frozen=True)
class Verdict:
    """`findings`: unexplained differences; `classes`: the known ways that were met.

    `voices`: how many peers say what the oracle says.
    """

    findings: tuple[str, ...]
    classes: frozenset[str]
    voices: int


def judge(case: Case) -> Verdict:
    standard = tell(case.world, case.query.name, case.query.qtype)
    wrong, classes = _ours(case, _as_far(standard, case.ours))
    findings = [f"{US}: {what}" for what in (*_frame(case.query, case.ours), *wrong)]
    found = {peer: _ways(case, peer, theirs) for peer, theirs in case.peers.items()}
    for peer, theirs in case.peers.items():
        wrong = _frame(case.query, theirs)
        if peer == "bind" and case.query.qtype == ANY and wrong == ["flags"] and theirs.flags & AD:
            wrong = []  # where nothing is left of the answer, all of it is secure
        if found[peer] is None:
            wrong.append("none of its ways leads there")
        findings += [f"{peer}: {what}" for what in wrong]
        classes.update(f"{peer}: {way}" for way in found[peer] or ())
    voices = sum(ways == () for ways in found.values())
    return Verdict((*findings, *_alone(case, set(found.values()))), frozenset(classes), voices)


def _frame(query: Query, answer: Answer) -> list[str]:
    """The parts of a reply that repeat the query."""
    opt = None if query.payload is None else (0, 0x8000 if query.do else 0)
    wanted = {
        "flags": RESPONSE | query.packet[2] << 8 & 0x0100,
        "question": query.packet[12 : 12 + len(answer.question)],
        "opt": opt,
    }
    return [field for field, value in wanted.items() if getattr(answer, field) != value]


def _sections(told: Told, answer: Answer) -> list[str]:
    """Where an answer is not as told. A truncated one may leave records out, and say nothing else."""
    wrong = [field for field in ("rcode", "aa") if getattr(told, field) != getattr(answer, field)]
    for field in ("answer", "authority"):
        told_, said = getattr(told, field), getattr(answer, field)
        if not (said <= told_ if answer.tc else said == told_):
            wrong.append(field)
    return wrong


def _as_far(standard: Told, ours: Answer) -> Told:
    """The standard, ended where ours ends: of a long chain, and of one without end, some names are enough."""
    if not standard.round and len(standard.path) <= LEAST:
        return standard
    if ours.tc and ours.rcode == NOERROR:
        return replace(standard, rcode=NOERROR)
    if ours.answer in standard.stages[min(LEAST, standard.round or LEAST) :] and not ours.authority:
        return Told(answer=set(ours.answer))
    return standard


def _ours(case: Case, told: Told) -> tuple[list[str], set[str]]:
    answer, size = case.ours, _Size(case.query, told)
    found = [f"{field} is not what the oracle says" for field in _sections(told, answer)]
    classes: set[str] = set()
    if not answer.additional <= _beside(case.world, answer):
        found.append("additional has what belongs to no host of the answer")
    if not answer.tc and not told.glue <= answer.additional:
        found.append("additional lacks glue")
    if answer.repeated:
        found.append("a record stands twice in a section")
    if answer.size > size.limit:
        found.append("too long")
    if answer.tc and size.fits:
        found.append("tc where all fits")
    elif answer.tc and not size.must_be_cut:
        classes.add("near-the-limit")
    elif answer.tc and any(not peer.tc for peer in case.peers.values()):
        classes.add("glue-tc")
    return found, classes


def _beside(world: World, answer: Answer) -> set[Record]:
    """The addresses of all hosts that an answer names; of a wildcard's own, under the name that was asked."""
    found: set[Record] = set()
    for owner, rtype, _, rdata in answer.answer | answer.authority:
        if rtype in HOSTS_AT:
            host = rdata[HOSTS_AT[rtype] :]
            own = host[:1] == b"\0"
            found |= world.beside(labels_of(owner), covered=True) if own else world.beside(labels_of(host))
    return found


def _ways(case: Case, peer: str, theirs: Answer) -> tuple[str, ...] | None:
    """The fewest of a peer's ways that foretell its answer."""
    for ways, told in foretold(peer, case.world, case.query.name, case.query.qtype):
        fair = _some(told, theirs) if case.query.qtype == ANY else told
        wrong = _sections(fair, theirs)
        about_size = _cut(case, peer, told, theirs) if not wrong else _less(case, peer, told, theirs, wrong)
        if about_size is not None:
            return (*ways, *about_size)
    return None


def _less(case: Case, peer: str, told: Told, theirs: Answer, wrong: list[str]) -> tuple[str, ...] | None:
    """What Knot does where there is no room, beside TC."""
    if peer != "knot" or not _Size(case.query, told).may_be_cut:
        return None
    if wrong == ["authority"] and not theirs.authority and {record[1] for record in told.authority} == {SOA}:
        return ("no-soa",)
    if wrong == ["rcode"] and theirs.tc and theirs.rcode == NOERROR and len(told.path) > 1:
        return ("cut-chain",)
    return None


def _cut(case: Case, peer: str, told: Told, theirs: Answer) -> tuple[str, ...] | None:
    """The ways in which a peer that said TC, if it did, may have come to that."""
    if not theirs.tc or case.query.qtype == ANY or _Size(case.query, told).may_be_cut:
        return ()
    if peer == "nsd" and _Size(case.query, told, _hosts(case.world, told)).may_be_cut:
        return ("host-tc",)
    longest = max((len(owner) for owner, *_ in told.answer | told.authority), default=0)
    return ("reserve",) if peer == "bind" and _Size(case.query, told, less=longest).may_be_cut else None


def _some(told: Told, theirs: Answer) -> Told:
    """ANY may be answered with some of the RRsets (RFC 8482 §4.1)."""
    kinds = {record[:2] for record in theirs.answer}
    return replace(told, answer={record for record in told.answer if record[:2] in kinds}) if kinds else told


def _hosts(world: World, told: Told) -> set[Record]:
    """The addresses of a referral's hosts wherever they lie, and those a wildcard would give them."""
    hosts = (labels_of(rdata) for _, rtype, _, rdata in told.authority if rtype == NS)
    return set().union(*(world.beside(host, covered=True) for host in hosts))


def _alone(case: Case, ways: set[tuple[str, ...] | None]) -> list[str]:
    """The three say the same for the same reason, and geodns does not; but ANY, by RFC 8482."""
    if len(ways) > 1 or case.query.qtype == ANY or case.ours.tc or any(p.tc for p in case.peers.values()):
        return []
    said = {(peer.rcode, peer.aa, peer.answer, peer.authority) for peer in case.peers.values()}
    ours = (case.ours.rcode, case.ours.aa, case.ours.answer, case.ours.authority)
    return [f"{US} is alone"] if len(said) == 1 and ours not in said else []


class _Size:
    """Whether an answer has to be cut, may be, or fits: TC where a needed record does not fit (RFC 9471)."""

    def __init__(self, query: Query, told: Told, others: Iterable[Record] = (), less: int = 0) -> None:
        self.limit = 65535 if query.tcp else min(max(512, query.payload or 0), LIMIT) - less
        self.ruler = Ruler(query.name, query.payload is not None)
        self.records = {*told.answer, *told.authority, *told.glue, *others}

    @property
    def may_be_cut(self) -> bool:
        return self.ruler.most(self.records) > self.limit

    @property
    def must_be_cut(self) -> bool:
        return self.ruler.least(self.records) > self.limit

    @property
    def fits(self) -> bool:
        """Compressed as geodns does it: letters keep their case, so they must be alike."""
        cased = any(label in owner for owner, *_ in self.records for label in CASED)
        compressed = self.ruler.most if cased else lambda records: self.ruler.least(records, COMPRESSED)
        return compressed(self.records) <= self.limit
