"""Answers, case by case: files, places and state above, queries and their answers below.

A file of `tests/cases/answers/*.case` begins with what it is about (free text). Then, in this order:

    >>> z.yaml                    a file of the zones folder; `>>> places` is an `Atlas`.
    ...                           What stands before the first `##` is there in every case of the file.
    ## what the case shows        its own `>>>` sections are added, or replace those of the same name
    ----
    state {down: [web/south/s1], paused: [north], now: 1000}
    www.z.test A from 10.1.0.0/24 -> NOERROR aa; scope 24; 15 A one of 192.0.2.1 *3 | 192.0.2.2
    gone.z.test A -> NXDOMAIN aa; soa 30

`state` holds until the next one (`Lab.state`); without one all is up. A query is `NAME TYPE`, then any of
`from NETWORK` (Client Subnet) or `from ADDRESS` (source), `udp` (else a stream), `edns N`, `do`,
`version N`, `class N`. An answer is RCODE and flags, then, each behind a `;`:

    scope N                       of the Client Subnet option; left out where none comes back, or it is 0
    soa TTL [ZONE]                the authority section is the SOA of the zone (by default z.test)
    [authority|additional] [OWNER] TTL TYPE DATA       a record; without OWNER that of the question
    [OWNER] TTL TYPE [turns|sticky] HOW of A *W | B    a steered RRset: HOW is one, a number, or all; A and B
                                  the possible answers, with weights; drawn, in turns, or by the client
    opt SIZE VERSION [do]         the OPT record, where it is of interest

Lines may be continued: a line that begins with blanks goes on. Every query is asked cold, warm, in mixed
case and, where it is steered, often enough to see that the weights are kept; explain must agree each time.
"""

from __future__ import annotations

import re
from collections import Counter
from ipaddress import ip_network
from math import gcd
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from core_support import PAYLOAD, RESOLVER, Lab, Record, Reply, chances, mixed_case, query, text_name

from geodns.core import edns, names
from geodns.core.compile.rdata import type_number
from geodns.core.edns import Subnet, unwrap
from geodns.core.explain import Client, explain
from geodns.core.replay import STREAM

CASES = Path(__file__).parent / "cases" / "answers"


class Case(NamedTuple):
    title: str
    files: dict[str, str]
    lines: list[str]


def parse(text: str) -> list[Case]:
    prologue, *parts = re.split(r"^## ", text, flags=re.MULTILINE)
    shared = _sections(prologue)
    cases = []
    for part in parts:
        title, _, body = part.partition("\n")
        given, _, asked = body.partition("----\n")
        joined = re.sub(r"\n[ \t]+", " ", asked)
        lines = [line for line in joined.splitlines() if line and not line.startswith("#")]
        cases.append(Case(title.strip(), shared | _sections(given), lines))
    return cases


def _sections(text: str) -> dict[str, str]:
    found = {}
    for chunk in re.split(r"^>>> ", text, flags=re.MULTILINE)[1:]:
        name, _, content = chunk.partition("\n")
        found[name.strip()] = content
    return found


class Question(NamedTuple):
    name: str
    rtype: str
    subnet: str | None = None
    source: str = RESOLVER
    udp: bool = False
    edns: int | None = None
    do: bool = False
    version: int = 0
    rclass: int = 1

    def packet(self, name: str = "", flags: int = 0) -> bytes:
        return query(
            name or self.name,
            self.rtype,
            subnet=self.subnet,
            edns=self.edns,
            do=self.do,
            version=self.version,
            rclass=self.rclass,
            flags=flags,
        )


def question(text: str) -> Question:
    name, rtype, *words = text.split()
    found: dict[str, Any] = {}
    left = iter(words)
    for word in left:
        match word:
            case "from":
                who = next(left)
                found["subnet" if "/" in who else "source"] = who
            case "udp" | "do":
                found[word] = True
            case "edns" | "version":
                found[word] = int(next(left))
            case "class":
                found["rclass"] = int(next(left))
            case _:
                raise AssertionError(f"a query knows no '{word}'")
    return Question(name, rtype, **found)


class Steered(NamedTuple):
    """A steered RRset as expected: `how` is "" (drawn), "turns" or "sticky"; `count` None means all."""

    owner: str
    ttl: int
    rtype: str
    how: str
    count: int | None
    weights: dict[str, int]


class Expected:
    def __init__(self, text: str, asked: Question) -> None:
        head, *parts = [part.strip() for part in text.split(";")]
        self.rcode, *flags = head.split()
        self.flags = set(flags)
        self.scope = 0
        self.soa: tuple[int, str] | None = None
        self.opt: tuple[int, int, bool] | None = None
        self.steered: Steered | None = None
        self.sections: dict[str, list[Record]] = {"answer": [], "authority": [], "additional": []}
        for part in parts:
            self._part(part, text_name(asked.name))

    def _part(self, part: str, name: str) -> None:
        words = part.split()
        match words[0]:
            case "scope":
                self.scope = int(words[1])
            case "soa":
                self.soa = int(words[1]), words[2] if len(words) > 2 else "z.test"
            case "opt":
                self.opt = int(words[1]), int(words[2]), words[3:] == ["do"]
            case _:
                section = words.pop(0) if words[0] in ("authority", "additional") else "answer"
                owner = name if words[0].isdigit() else text_name(words.pop(0))
                ttl, rtype, data = int(words[0]), words[1], " ".join(words[2:])
                steered = re.fullmatch(r"(?:(turns|sticky) )?(one|all|\d+) of (.+)", data)
                if steered:
                    how, count, choice = steered.groups()
                    number = {"one": 1, "all": None}[count] if not count.isdigit() else int(count)
                    self.steered = Steered(owner, ttl, rtype, how or "", number, _weights(choice))
                else:
                    self.sections[section].append((owner, ttl, rtype, data))


def _weights(choice: str) -> dict[str, int]:
    found = {}
    for item in choice.split("|"):
        value, _, weight = item.partition("*")
        found[value.strip()] = int(weight or 1)
    return found


class Asking:
    """One query of a case against its expectation."""

    def __init__(self, lab: Lab, asked: Question, wanted: Expected) -> None:
        self.lab, self.asked, self.wanted = lab, asked, wanted
        self.limit = PAYLOAD if asked.udp else STREAM
        self.started = lab.tally[:]

    def raw(self, chance: int = 0, name: str = "", flags: int = 0) -> bytes:
        raw = self.lab.reply(self.asked.packet(name, flags), self.asked.source, self.limit, chance)
        assert raw is not None, "silence"
        return raw

    def check(self) -> None:
        cold = self.raw()
        self._check_reply(Reply(cold))
        self._check_variants(cold)
        if self.wanted.steered:
            self._check_choice(self.wanted.steered)
        if not self.asked.version and self.asked.rclass == 1:
            self._check_explain()

    def _check_reply(self, reply: Reply) -> None:
        wanted, asked = self.wanted, self.asked
        assert (reply.rcode, reply.flags - {"qr", "rd"}) == (wanted.rcode, wanted.flags)
        assert reply.message.id == 0x1234
        assert "qr" in reply.flags
        question_ = reply.message.question[0]
        assert text_name(question_.name.to_text()) == text_name(asked.name)
        assert reply.scope == (None if reply.scope is None else wanted.scope)
        assert reply.scope is not None or not wanted.scope
        if wanted.opt:
            message = reply.message
            do = bool(message.ednsflags & 0x8000)
            assert (message.payload, message.edns, do) == wanted.opt
        answer, authority = list(reply.answer), list(reply.authority)
        if wanted.steered:
            steered = [r for r in answer if (r[0], r[2]) == (wanted.steered.owner, wanted.steered.rtype)]
            answer = [r for r in answer if r not in steered]
            self._check_records(steered, wanted.steered)
        if wanted.soa:
            (owner, ttl, rtype, _), *authority = authority
            assert (ttl, owner, rtype) == (*wanted.soa, "SOA")
        assert sorted(answer) == sorted(wanted.sections["answer"])
        assert sorted(authority) == sorted(wanted.sections["authority"])
        assert sorted(reply.additional) == sorted(wanted.sections["additional"])

    def _check_records(self, records: list[Record], wanted: Steered) -> None:
        values = [data for _, _, _, data in records]
        assert {ttl for _, ttl, _, _ in records} == {wanted.ttl}
        assert set(values) <= set(wanted.weights)
        assert len(set(values)) == len(values) == min(wanted.count or 1 << 16, len(wanted.weights))

    def _check_variants(self, cold: bytes) -> None:
        """Warm, with RD and in another case: the same reply, but for what was asked otherwise."""
        for _ in range(3):
            self._rewind()
            assert self.raw() == cold
        spelled = mixed_case(self.asked.name)
        self._rewind()
        other = self.raw(name=spelled)
        assert names.from_text(spelled.rstrip(".") + ".") in other
        assert other.lower() == cold.lower()
        self._rewind()
        desired = self.raw(flags=0x0100)
        assert desired[2:4] == bytes((cold[2] | 1, cold[3]))
        assert desired[4:] == cold[4:]
        self._rewind()

    def _rewind(self) -> None:
        fresh = bytes(8 * (len(self.lab.tally) - len(self.started)))
        self.lab.tally[:] = self.started
        self.lab.tally.frombytes(fresh)

    def _first(self, chance: int) -> str:
        reply = Reply(self.raw(chance))
        self._check_reply(reply)
        wanted = self.wanted.steered
        assert wanted
        return next(
            data for owner, _, rtype, data in reply.answer if (owner, rtype) == (wanted.owner, wanted.rtype)
        )

    def _check_choice(self, wanted: Steered) -> None:
        total = sum(wanted.weights.values())
        if wanted.how == "sticky":
            assert len({self._first(chance) for chance in chances(16)}) == 1
            share = self._slots()
            for value, weight in wanted.weights.items():
                assert share[value] == pytest.approx(weight / total, rel=0.25)
            return
        times = 4 if total < 100 else 1
        firsts = Counter(self._first(chance) for chance in chances(times * total))
        assert firsts == {value: times * weight for value, weight in wanted.weights.items()}

    def _slots(self) -> dict[str, float]:
        """What share of all client networks each value is told first: 4096 slots, seen in the answer set."""
        decision = self._explained()
        values = [member["value"] for member in decision["odds"]]
        made = self.lab.replay.look_up(*self._key())
        assert made
        order = self.lab.sheets.sheets[made.sheet].sets[decision["class"]].order
        counted = Counter(order)
        if not order:
            return {values[0]: 1.0}
        return {value: counted[i] / len(order) for i, value in enumerate(values)}

    def _key(self) -> tuple[bytes, int]:
        wire = names.from_text(self.asked.name.rstrip(".") + ".")
        return names.fold(wire), type_number(self.asked.rtype)

    def _explained(self) -> dict[str, Any]:
        told = self.asked.subnet
        subnet, text = edns.source(self.asked.source), self.asked.source
        if told:
            network = ip_network(told)
            text = told
            subnet = unwrap(Subnet(network.version, int(network.network_address), network.prefixlen))
        located = self.lab.geography(subnet.ip())
        client = Client(text, subnet, told is not None)
        lab = self.lab
        return explain(lab.replay, lab.sheets, lab.world, self._key(), client, located, lab.now)

    def _check_explain(self) -> None:
        found, wanted = self._explained(), self.wanted
        assert found["rcode"] == wanted.rcode
        if wanted.steered:
            weights = {m["value"].rstrip("."): m["weight"] for m in found["odds"]}
            assert _reduced(weights) == _reduced(
                {v.rstrip("."): w for v, w in wanted.steered.weights.items()}
            )
            assert found["table"] == {"agrees": True, "difference": ""}
            assert found["ttl"]["value"] == wanted.steered.ttl
            assert found["scope"] in (None, wanted.scope)


def _reduced(weights: dict[str, int]) -> dict[str, int]:
    divisor = gcd(*weights.values())
    return {value: weight // divisor for value, weight in weights.items()}


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=f"{path.stem}: {case.title}")
        for path in sorted(CASES.glob("*.case"))
        for case in parse(path.read_text("utf-8"))
    ],
)
def test_what_is_answered(case: Case, tmp_path: Path) -> None:
    files = {name: text for name, text in case.files.items() if name != "places"}
    lab = Lab.of(tmp_path, files, yaml.safe_load(case.files.get("places", "{}")) or {})
    assert case.lines, "a case asks something"
    for line in case.lines:
        if line.startswith("state "):
            lab.state(yaml.safe_load(line.removeprefix("state ")))
            continue
        asked_text, arrow, wanted_text = line.partition(" -> ")
        assert arrow, f"neither a state nor a query with its answer: {line}"
        asked = question(asked_text)
        try:
            Asking(lab, asked, Expected(wanted_text, asked)).check()
        except AssertionError as error:
            got = lab.reply(asked.packet(), asked.source, PAYLOAD if asked.udp else STREAM)
            raise AssertionError(
                f"{line}\n{error}\ngot:\n{Reply(got).message if got else 'silence'}"
            ) from error
