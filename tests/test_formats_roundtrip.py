"""A zone that goes through `import`, the loader and `export` is the same zone, and the peers take it."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import dns.name
import dns.zone
import pytest
from checkers import ask_all
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geodns.config.load import load
from geodns.core import names
from geodns.core.compile.rdata import AAAA, CNAME, MX, NS, TXT, pack
from geodns.core.names import ROOT, from_text
from geodns.formats import master, sheet
from geodns.model import RRset, Soa, Zone
from tests.differential import written, zones

SEEDS = range(12)
OF_EACH = 3
APEX = from_text("z.example.")
DS_OF_A_NAMESERVER = f"""\
$ORIGIN z0.test.
$TTL 300
@ SOA ns host 7 7200 1800 1209600 60
@ NS ns
ns NS ns
ns DS 20151 13 2 {"11" * 32}
ns A 192.0.2.53
"""
APART = "123456789abcdefghijklmnopqrstuvwxyz"

Content = Mapping[tuple[dns.name.Name, int], tuple[int, frozenset[object]]]


# Everything that master files can say, in the ways that it can be said.
EVERYTHING = r"""; no $TTL yet: the SOA's own TTL, then the last one stated
@	77 IN SOA ns1 hostmaster.example.com. (
		1 ; serial
		2h 30m 2w 5m )
	NS ns1
ns1	A 192.0.2.1
	IN 90 AAAA 2001:db8::1
plain	A 192.0.2.2
$TTL 1h30m
UPPER	A 192.0.2.3
$ORIGIN sub
@	A 192.0.2.4
x.y	MX 10 @
	MX 20 z
$ORIGIN deeper.sub.example.com.
a	CNAME b.c
$ORIGIN example.com.
$GENERATE 1-3 host$ A 192.0.2.$
$GENERATE 0-4/2 g${10,4,x}.h CNAME ${0,2}.rev
$GENERATE 1-2 m$ MX "10 mail$"
\$quoted TXT "a\"b\\c\;d" e\ f "" "\000\255"
esc\.aped TXT ( "one"
	"two" ) ; end
@sign TXT x
sp\032ace A 192.0.2.9
long TYPE65280 \# 6 ( 010203
  040506 )
n NAPTR 100 10 "S" "SIP+D2U" "!^(.*)$!sip:\\1@example.com!" .
h HTTPS 1 . alpn="h2,h3" port=8443 ipv4hint=192.0.2.1,192.0.2.2 key65400="x y"
loc LOC 52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m
caa CAA 128 iodef "mailto:a@b.c"
*.wild A 192.0.2.10
"""


def content(text: str, origin: str) -> Content:
    """What dnspython, which knows nothing of geodns, finds in a master file."""
    zone = dns.zone.from_text(text, origin, relativize=False)
    return {
        (name, rdataset.rdtype): (rdataset.ttl, frozenset(rdataset))
        for name, rdataset in zone.iterate_rdatasets()
    }


def loaded(zone: Zone, folder: Path) -> Zone:
    (folder / "z.yaml").write_text(sheet.write(zone), encoding="utf-8")
    return load(folder).zones[0]


def same(first: Zone, second: Zone) -> bool:
    """The same but for what is no content: order and digest."""
    plain = [
        replace(zone, digest="", rrsets=tuple(sorted(zone.rrsets, key=lambda r: (r.owner, r.rtype))))
        for zone in (first, second)
    ]
    return plain[0] == plain[1]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_zone_comes_back_whole(seed: int, tmp_path: Path) -> None:
    for zone in zones.generate(seed, OF_EACH):
        text, origin = written.master(zone), zones.text(zone.apex)
        found, lost = master.read(text, "z.zone")
        assert not lost
        again = loaded(found, tmp_path)
        assert same(found, again)
        assert content("\n".join(master.write(again, 1)), origin) == content(text, origin)


def test_a_master_file_means_what_bind_reads_in_it(required: Callable[[str], str], tmp_path: Path) -> None:
    given, read = tmp_path / "given", tmp_path / "read"
    given.write_text(EVERYTHING)
    program = required("named-checkzone")
    subprocess.run([program, "-q", "-D", "-o", read, "-i", "none", "example.com", given], check=True)
    found, lost = master.read(EVERYTHING, "f", from_text("example.com."))
    assert not lost
    assert content("\n".join(master.write(found, 1)), "example.com") == content(
        read.read_text(), "example.com"
    )
    assert same(found, loaded(found, tmp_path))


OCTETS = st.binary(min_size=1, max_size=63)
LABELS = st.one_of(
    st.sampled_from([b"a", b"<<", b"@", b"*", b"~", b"null", b"z", b"example", b"-", b"010"]), OCTETS
)
OWNERS = st.lists(LABELS, max_size=3)
VALUES = st.one_of(
    st.lists(st.binary(max_size=255), min_size=1, max_size=3).map(lambda p: (TXT, b"".join(map(_string, p)))),
    st.text(max_size=300).map(lambda text: (TXT, pack("TXT", f"x{text}", ROOT))),
    st.sampled_from([b'"a"', b"\\# 1 aa", b"~", b" ", b"\\", b"- a: b #c"]).map(lambda d: (TXT, _string(d))),
    st.lists(LABELS, max_size=3).map(lambda labels: (CNAME, _name(labels))),
    st.lists(LABELS, max_size=3).map(lambda labels: (MX, b"\0\1" + _name(labels))),
    st.binary(max_size=40).map(lambda data: (65280, data)),
    st.binary(min_size=16, max_size=16).map(lambda data: (AAAA, data)),
)
TTLS = st.sampled_from([0, 1, 300, 3600, 86400, 90061, 2147483647])


def _string(data: bytes) -> bytes:
    return bytes((len(data),)) + data


def _name(labels: list[bytes]) -> bytes:
    return b"".join(map(_string, labels)) + APEX


@given(records=st.lists(st.tuples(OWNERS, TTLS, VALUES), max_size=8), number=st.integers(0, 2**32 - 1))
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_octets_come_back(
    records: list[tuple[list[bytes], int, tuple[int, bytes]]], number: int, tmp_path: Path
) -> None:
    """Through the zone file, and through the master file; CNAMEs stand where no more than one does."""
    rrsets = {(APEX, NS): RRset(APEX, NS, 300, (b"\2ns\0",))}
    for labels, ttl, (rtype, rdata) in records:
        owner = names.fold(_name(labels))
        alone = rtype != CNAME and (owner, CNAME) not in rrsets
        if alone or not any(owner == other for other, _ in rrsets):
            rrsets.setdefault((owner, rtype), RRset(owner, rtype, ttl, (rdata,)))
    soa = Soa(_name([b"a@b"]), _name([b"a@b"]), number, number, number, number, number, 2147483647)
    zone = Zone(APEX, soa, tuple(rrsets.values()), (), "")
    assert same(zone, loaded(zone, tmp_path))
    again, lost = master.read("\n".join(master.write(zone, 0)) + "\n", "f")
    assert same(zone, again)
    assert not lost


def test_the_peers_take_what_is_exported(required: Callable[[str], str], tmp_path: Path) -> None:
    """But for what they would not take of the zone itself: BIND wants a DNSKEY beside each CDS."""
    given, exported = {}, {}
    for label, seed in zip(APART, SEEDS, strict=False):
        text = written.master(zones.generate(seed, 1)[0])
        found, _ = master.read(text, "z.zone")
        given[f"z{label}.test"] = _renamed(text, label)
        exported[f"z{label}.test"] = _renamed("\n".join(master.write(found, 1)) + "\n", label)
    for folder in (tmp_path / "given", tmp_path / "exported"):
        folder.mkdir()
    found, _ = master.read(DS_OF_A_NAMESERVER, "f")
    given["z0.test"] = exported["z0.test"] = "\n".join(master.write(found, 1)) + "\n"
    before = ask_all(given, tmp_path / "given", required)
    for peer, verdicts in ask_all(exported, tmp_path / "exported", required).items():
        refused = {apex: said.lines for apex, said in verdicts.items() if said.refuses}
        assert all(before[peer][apex].refuses for apex in refused), f"{peer}: {refused}"
        assert len(refused) < len(exported) / 4
        assert "z0.test" not in refused


def _renamed(text: str, label: str) -> str:
    """Every generated zone is called z0; another name of that length keeps the longest names legal."""
    return re.sub(r"\bz0\.(?:test|example)\.", f"z{label}.test.", text, flags=re.IGNORECASE)
