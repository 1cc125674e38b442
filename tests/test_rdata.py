"""Rdata: what people write, to the bytes that go on the wire."""

from __future__ import annotations

import dns.rdata
import dns.rdataclass
import dns.rdatatype
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geodns.core.compile.rdata import AmbiguousNameError, canonical, pack, present, type_name, type_number
from geodns.core.names import from_text

ZONE = from_text("gslb.example.com.")

GOOD = [
    ("A", "192.0.2.1", b"\xc0\x00\x02\x01"),
    ("aaaa", "2001:db8::1", bytes.fromhex("20010db8000000000000000000000001")),
    ("CNAME", "www", b"\x03www" + ZONE),
    ("CNAME", "@", ZONE),
    ("NS", "ns1.example.net.", b"\x03ns1\x07example\x03net\x00"),
    ("MX", "10 Mail", b"\x00\x0a\x04Mail" + ZONE),
    ("TXT", 'v=DKIM1; p="x"', b'\x0ev=DKIM1; p="x"'),
    ("TXT", "", b"\x00"),
    ("TXT", '"a b" c', b"\x03a b\x01c"),
    ("TXT", "é", b"\x02\xc3\xa9"),
    ("TXT", "x" * 256, b"\xff" + b"x" * 255 + b"\x01x"),
    ("SRV", "1 2 3 host", b"\x00\x01\x00\x02\x00\x03\x04host" + ZONE),
    ("RP", "@ .", ZONE + b"\x00"),
    ("TYPE65280", "\\# 2 abcd", b"\xab\xcd"),
    ("TYPE1", "192.0.2.1", b"\xc0\x00\x02\x01"),
    ("A", "\\# 4 c0000201", b"\xc0\x00\x02\x01"),
    ("HTTPS", "1 . alpn=h2", b"\x00\x01\x00\x00\x01\x00\x03\x02h2"),
]


@pytest.mark.parametrize(("rtype", "text", "wire"), GOOD)
def test_presentation_becomes_wire(rtype: str, text: str, wire: bytes) -> None:
    assert pack(rtype, text, ZONE) == wire


@pytest.mark.parametrize(
    ("rtype", "text", "told"),
    [
        ("A", "192.0.2", "no IPv4 address"),
        ("A", "192.0.2.01", "no IPv4 address"),
        ("A", " 192.0.2.1", "no IPv4 address"),
        ("A", "١.0.2.1", "no IPv4 address"),
        ("AAAA", "fe80::1%eth0", "zone index"),
        ("MX", "70000 mail", "no MX data"),
        ("CAA", '0 issue "é"', "beyond ASCII"),
        ("SRV", "1 2 99999 host", "no SRV data"),
        ("ANY", "x", "no type for data"),
        ("OPT", "\\# 0", "no type for data"),
        ("NOPE", "x", "no record type"),
        ("TYPE70000", "\\# 0", "no record type"),
        ("TYPE65280", "\\# 3 ab", "no TYPE65280 data"),
        ("TXT", "x" * 70000, "limit is 65535"),
    ],
)
def test_what_is_wrong_is_told(rtype: str, text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        pack(rtype, text, ZONE)


@pytest.mark.parametrize(
    ("rtype", "text"),
    [
        ("CNAME", "a.b"),
        ("MX", "10 a.b"),
        ("SRV", "1 2 3 a.b"),
        ("NAPTR", '1 1 "" "" "" a.b'),
        ("RP", "x a.b"),
    ],
)
def test_several_labels_without_a_final_dot_show_both_readings(rtype: str, text: str) -> None:
    with pytest.raises(AmbiguousNameError, match=r"write 'a\.b\.' .* or 'a\.b\.gslb\.example\.com\.'"):
        pack(rtype, text, ZONE)


def test_type_names_go_both_ways() -> None:
    assert type_number("aaaa") == 28
    assert type_name(28) == "AAAA"
    assert type_number(type_name(65280)) == 65280


@given(st.sampled_from(["A", "AAAA", "MX", "TXT", "SRV", "CAA", "LOC", "HTTPS", "NSEC", "TYPE9"]), st.text())
def test_any_text_is_packed_or_refused_with_a_sentence(rtype: str, text: str) -> None:
    try:
        pack(rtype, text, ZONE)
    except ValueError as error:
        assert str(error)


@pytest.mark.parametrize(("rtype", "text"), [(r, t) for r, t, _ in GOOD if r in ("A", "aaaa", "MX", "NS")])
def test_the_short_ways_agree_with_the_library(rtype: str, text: str) -> None:
    origin = dns.name.from_wire(ZONE, 0)[0]
    number = dns.rdatatype.from_text(rtype)
    rdata = dns.rdata.from_text(dns.rdataclass.IN, number, text, origin, False)
    assert pack(rtype, text, ZONE) == rdata.to_wire(origin=origin)


@pytest.mark.parametrize(("rtype", "text", "wire"), GOOD)
def test_what_is_shown_is_read_as_the_same(rtype: str, text: str, wire: bytes) -> None:
    number = type_number(rtype)
    assert pack(rtype, present(number, wire), ZONE) == wire
    assert pack(rtype, present(number, wire, ZONE), ZONE) == wire


@pytest.mark.parametrize(
    ("rtype", "text", "whole", "short"),
    [
        ("CNAME", "www", "www.gslb.example.com.", "www"),
        ("CNAME", "@", "gslb.example.com.", "@"),
        ("CNAME", ".", ".", "."),
        ("CNAME", "a.b.gslb.example.com.", "a.b.gslb.example.com.", "a.b.gslb.example.com."),
        ("CNAME", "a.GSLB.example.com.", "a.GSLB.example.com.", "a.GSLB.example.com."),
        ("CNAME", "a\\032b", "a\\032b.gslb.example.com.", "a\\032b"),
        ("MX", "10 www", "10 www.gslb.example.com.", "10 www"),
        ("TXT", "v=1; x", '"v=1; x"', "v=1; x"),
        ("TXT", '"a" "b"', '"a" "b"', '"a" "b"'),
        ("TXT", r'"\\# 1 aa"', r'"\\# 1 aa"', r'"\\# 1 aa"'),
        ("TYPE65280", "\\# 0", "\\# 0", "\\# 0"),
    ],
)
def test_names_are_shown_whole_or_relative_to_the_zone(rtype: str, text: str, whole: str, short: str) -> None:
    wire = pack(rtype, text, ZONE)
    assert present(type_number(rtype), wire).rstrip() == whole
    assert present(type_number(rtype), wire, ZONE).rstrip() == short


@pytest.mark.parametrize(
    ("rtype", "first", "second", "one"),
    [
        ("NS", "a.example.", "A.Example.", True),
        ("MX", "10 a.example.", "10 A.example.", True),
        ("SRV", "1 2 3 a.example.", "1 2 3 A.example.", True),
        ("NAPTR", '1 1 "u" "" "" a.', '1 1 "U" "" "" a.', False),
        ("HTTPS", "1 a.example.", "1 A.example.", False),
        ("TXT", "a", "A", False),
        ("TYPE65280", "\\# 2 0161", "\\# 2 0141", False),
    ],
)
def test_two_values_are_one_where_only_names_differ_in_case(
    rtype: str, first: str, second: str, one: bool
) -> None:
    number = type_number(rtype)
    found = [canonical(number, pack(rtype, text, ZONE)) for text in (first, second)]
    assert (found[0] == found[1]) is one
