"""How NSD, Knot and BIND answer packets that are no plain queries, where they do otherwise than `protocol`.

A manner lets a peer say certain other things to certain kinds of packets, with the reason; whatever else it
says is a finding. Where all three say the same and geodns does not, that is one too, unless it was decided.
Of an error only RCODE and header are compared: whether question and OPT record go with it is a matter of
taste among the three. Mutated packets are of no kind: there geodns is judged, and agreement of the three.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tests.differential.oracle import World
from tests.differential.protocol import (
    BADCOOKIE,
    FORMERR,
    NOERROR,
    NOTAUTH,
    NOTIMP,
    NXDOMAIN,
    REFUSED,
    Gist,
    expected,
    gist,
)
from tests.differential.servers import US
from tests.differential.shapes import COOKIE, KEEPALIVE, SUBNET, Shape

UNREADABLE = ("cut off", "256 octets", "257 octets", "label type", "pointer", "two questions", "question not")
SECTIONS = tuple(f"records in section {number}" for number in (1, 2, 3))
NO_ERRORS = (NOERROR, NXDOMAIN)


@dataclass(frozen=True)
class Manner:
    """What `peer` may say to `kinds` of packets (how they begin): one of `rcodes`, nothing, or other `bits`,
    `options` and `fields` than are expected.
    """

    peer: str
    kinds: tuple[str, ...]
    why: str
    rcodes: tuple[int, ...] = ()
    silent: bool = False
    bits: frozenset[str] = frozenset()
    options: frozenset[int] = frozenset()
    fields: tuple[str, ...] = ()

    def allows(self, wanted: Gist | None, said: Gist | None) -> bool:
        if said is None or wanted is None:
            return self.silent and said is None
        if (said.bits ^ wanted.bits) - {"aa"} <= self.bits and said.rcode in self.rcodes:
            return True
        for name in differences(wanted, said):
            changed = getattr(self, name, None)
            if name in self.fields:
                continue
            if changed is None or not getattr(said, name) ^ getattr(wanted, name) <= changed:
                return False
        return True


def differences(wanted: Gist, said: Gist) -> list[str]:
    found = wanted.differences(said)
    if said.rcode not in NO_ERRORS and wanted.rcode in (None, said.rcode):
        return [name for name in found if name not in ("question", "opt", "options")]
    return found


CD, RD, AA, TC = (frozenset({bit}) for bit in ("cd", "rd", "aa", "tc"))
KNOWN = (
    Manner(
        "nsd",
        (*UNREADABLE, "opcode", "class", "tsig", "rcode", "records", "OPT", "two OPT", "before", "behind"),
        "NSD answers at most 200 errors a second, and over TCP it hangs up",
        silent=True,
    ),
    Manner("nsd", ("cookie length", "no question", "transfer"), "the same", silent=True),
    Manner("nsd", ("rcode",), "NSD takes an RCODE in a query for an error", (FORMERR,)),
    Manner("nsd", ("records in section", "before", "behind"), "NSD: no records but OPT", (FORMERR,)),
    Manner("nsd", ("opcode",), "NSD knows no UPDATE, and NOTIFY needs a question", (NOTIMP, FORMERR)),
    Manner(
        "nsd",
        ("class ANY",),
        "NSD: no AA for class ANY, no SOA (RFC 1035 §6.2)",
        bits=AA,
        fields=("authority",),
    ),
    Manner("nsd", ("class CH",), "NSD: no AA in class CH", bits=AA),
    Manner("nsd", ("type AXFR", "transfer"), "NSD: AXFR over UDP, zones it has not", (NOTIMP, NOTAUTH)),
    Manner("nsd", ("no question",), "NSD: an OPT record is enough of a question", (NOERROR,)),
    Manner("nsd", ("keepalive",), "NSD knows no keepalive", options=frozenset({KEEPALIVE})),
    Manner("knot", ("keepalive",), "Knot knows no keepalive", options=frozenset({KEEPALIVE})),
    Manner(
        "nsd",
        ("subnet", "two subnets"),
        "NSD knows no Client Subnet",
        (NOERROR,),
        options=frozenset({SUBNET}),
    ),
    Manner("knot", UNREADABLE, "Knot says nothing to what has no question that can be read", silent=True),
    Manner("knot", ("opcode",), "Knot: NOTIFY and UPDATE are not for it", (NOTAUTH, FORMERR)),
    Manner("knot", ("class CH",), "Knot: no AA in class CH, and no ANY", (REFUSED,), bits=AA),
    Manner("knot", ("type 0",), "Knot: type 0 is reserved", (NOTIMP,)),
    Manner("knot", ("type AXFR", "type IXFR", "transfer"), "Knot: not authoritative", (NOTIMP, NOTAUTH)),
    Manner("knot", ("no question, a cookie",), "Knot: RFC 7873 §5.4 is not there", (FORMERR,)),
    Manner("knot", ("records in section",), "Knot reads the data of an SOA", (FORMERR,)),
    Manner("knot", ("trailing octets",), "Knot wants a message to end where it ends", (FORMERR,)),
    Manner("knot", ("payload",), "Knot takes some payload sizes for an error", (FORMERR,)),
    Manner("knot", ("OPT with a name",), "Knot does not look at the name", (NOERROR,)),
    Manner(
        "knot", ("cookie",), "Knot's cookies over UDP must be good", (BADCOOKIE,), options=frozenset({COOKIE})
    ),
    Manner(
        "knot",
        ("subnet", "two subnets"),
        "Knot knows no Client Subnet",
        (NOERROR,),
        options=frozenset({SUBNET}),
    ),
    Manner("bind", ("bits",), "BIND repeats CD", bits=CD),
    Manner("bind", ("opcode",), "BIND does not repeat RD; NOTIFY is well come", (NOERROR, FORMERR), bits=RD),
    Manner("bind", ("class",), "BIND knows few classes: FORMERR or NOTIMP", (NOTIMP, FORMERR)),
    Manner(
        "bind",
        ("class CH",),
        "BIND has zones in class CH, and limits the rate there",
        (NOERROR, REFUSED),
        silent=True,
        fields=("authority",),
    ),
    *(
        Manner(
            peer, ("type ANY", "class"), "ANY in full, or more of it than fits", bits=TC, fields=("answer",)
        )
        for peer in ("nsd", "knot", "bind")
    ),
    Manner("bind", ("type",), "BIND: meta types are no question", (FORMERR, NOTIMP)),
    Manner(
        "bind",
        ("type AXFR", "type IXFR", "transfer"),
        "BIND: transfers, also those it grants",
        (FORMERR, NOTAUTH, NOERROR),
    ),
    Manner("bind", ("records in section",), "BIND reads the data of an SOA", (FORMERR,)),
    Manner("bind", ("pointer into the header",), "BIND follows a pointer into the header", (REFUSED,)),
    Manner("bind", ("edns version",), "BIND reads the options of other versions", (FORMERR,)),
    Manner("bind", ("other option",), "BIND wants some options to be of a certain length", (FORMERR,)),
    Manner(
        "bind",
        ("subnet family",),
        "BIND: family 0 is nobody's address",
        (NOERROR,),
        options=frozenset({SUBNET}),
    ),
)
DECIDED = {
    "transfer": "whoever may not have a zone is refused, without being told which zones there are",
    **dict.fromkeys(SECTIONS, "the data of records in a query are not read, right or wrong"),
    "subnet family": "the two that know no Client Subnet let everything pass, and BIND family 0",
    "mutated": "one packet may meet a manner of each",
}


def judge(shape: Shape, replies: Mapping[str, bytes | None], world: World) -> list[str]:
    """What is unexplained in the replies to a packet."""
    wanted = expected(shape, world)
    read: dict[str, Gist | None] = {}
    findings: list[str] = []
    for name, reply in replies.items():
        try:
            read[name] = None if reply is None else gist(reply)
        except (ValueError, IndexError) as error:
            findings.append(f"{name}: unreadable, {error}")
    if findings:
        return findings
    findings = [f"{US}: {what}" for what in _ours(wanted, read[US])]
    peers = {name: said for name, said in read.items() if name != US}
    if shape.kind != "mutated":
        findings += [
            f"{n}: no known manner, {said}" for n, said in peers.items() if not _fits(n, shape, wanted, said)
        ]
    codes = {None if said is None else said.rcode for said in peers.values()}
    ours = read[US]
    if len(codes) == 1 and shape.kind not in DECIDED and codes != {None if ours is None else ours.rcode}:
        findings.append(f"{US} is alone: the three say {codes}")
    return findings


def _ours(wanted: Gist | None, said: Gist | None) -> list[str]:
    if said is None or wanted is None:
        return [] if said is wanted else [f"{said}, not {wanted}"]
    return [
        f"{name} is {getattr(said, name)}, not {getattr(wanted, name)}" for name in wanted.differences(said)
    ]


def _fits(peer: str, shape: Shape, wanted: Gist | None, said: Gist | None) -> bool:
    if said is wanted or (said is not None and wanted is not None and not differences(wanted, said)):
        return True
    return any(
        manner.allows(wanted, said)
        for manner in KNOWN
        if manner.peer == peer and shape.kind.startswith(manner.kinds)
    )
