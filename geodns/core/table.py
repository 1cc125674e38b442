"""The table: everything that can be known before a query, flat, immutable, the same for every lane.

Names. `Names` holds all owner names of all zones (empty non-terminals included) as nodes 0..n-1; node i's
wire name, lower case, is `wire[name_at[i]:name_at[i+1]]`. For a query type found among
`types[types_at[i]:types_at[i+1]]` the answer is the entry of `answers` at the same index; for any other type
it is `otherwise[i]`. A name that does not exist is answered from its closest encloser's `below`: a node (a
wildcard's, its answers apply) where >= 0, else answer `~below` (NXDOMAIN, a referral, a DNAME). A name with
no encloser at all is refused.

Answers. Answer a is one row of the `a_*` arrays. Its message is: the header with `a_flags` (AA and RCODE),
the question as asked, `bodies[a_body[a]:a_extra[a]]` with `a_an`, `a_ns`, `a_ar` records, then — where all
fit — `bodies[a_extra[a]:a_body[a+1]]` with `a_more` additional records. `a_more` may be left out, anything
else not (TC). A steered answer (`a_sheet` >= 0) puts the RRset of an answer set behind that body, which then
holds only the CNAMEs that led to it. `a_slot` is the tally's counter. The only compression pointer is
0xC00C, the question's name.

A name below a DNAME is the packet's own: an answer with FLAG_DNAME holds the DNAME record alone, its owner
written out. Replay puts the synthesized CNAME behind it and goes on with the name that this leads to
(`core.dname`).

Sheets. A sheet is the answer sets of one steered RRset, one for each class: rebuilt when verdicts change,
while `Names` stays. `Sheet.empty` is the authority section (an SOA) of its NODATA.

A lane keeps whatever index it likes beside this (the Python lane `core.index`). `LAYOUT` is the version of
all that is said here, for lanes that are built apart from this one.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass

LAYOUT = 3

FLAG_AA = 0x0400
FLAG_DNAME = 0x4000  # in `a_flags` only: see above
FLAG_NO_SUBNET = 0x8000  # in `a_flags` only: the zone leaves Client Subnet out of its answers

FIXED, WEIGHTED, TURNS, STICKY = range(4)
STATES = (
    b"",
    b"fail open: no endpoint is known to be up",
    b"paused: every region for this client is",
)
SLOTS = 4096


@dataclass(frozen=True, slots=True)
class Names:
    """See the top of the file. Arrays: `H` 16 bits, `I` 32 bits, `i` 32 bits signed."""

    wire: bytes
    name_at: array[int]
    types: array[int]
    types_at: array[int]
    answers: array[int]
    otherwise: array[int]
    below: array[int]
    depth: int  # the most labels any owner has: where the search for an encloser starts
    a_flags: array[int]
    a_an: array[int]
    a_ns: array[int]
    a_ar: array[int]
    a_more: array[int]
    a_body: array[int]
    a_extra: array[int]
    a_sheet: array[int]
    a_slot: array[int]
    bodies: bytes


@dataclass(frozen=True, slots=True)
class AnswerSet:
    """The possible answers of one class. Member m's resource record is `rrs[at[m]:at[m+1]]`.

    The members stand twice in a row, so that any turn of the circle is one slice. `count` records go into
    an answer. `weights` are cumulative (WEIGHTED). `order`: the starts in turn (TURNS), or the member of
    each of 4096 slots (STICKY). Records carry `ttl`; when `change_at` (Unix seconds, 0: never) comes sooner
    the TTL, at `ttl_at` in each record, is lowered to it, but not under `ttl_min`. Empty: NODATA.
    `state` is an index of STATES: what an extended error may say of the answer.
    """

    pick: int
    count: int
    members: int
    rrs: bytes
    at: array[int]
    weights: array[int]
    order: array[int]
    ttl: int
    ttl_min: int
    ttl_at: int
    change_at: int
    slot: int
    state: int = 0


@dataclass(frozen=True, slots=True)
class Sheet:
    """The answer sets of one steered RRset by class. `plan` is what its classes are numbered by.

    A set is added when its class is first seen and never changed; a verdict makes a new sheet.
    `sticky`: the client's network takes part in the choice, so the scope is at least /24 or /56.
    """

    plan: int
    sticky: bool
    empty: bytes
    empty_ttl: int
    sets: Mapping[int, AnswerSet]
