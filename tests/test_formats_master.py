"""Master files, as people wrote them over forty years, read; what cannot be read or held is told."""

from __future__ import annotations

import pytest

from geodns.core.compile.rdata import present, type_name
from geodns.core.names import from_text, to_text
from geodns.errors import ConfigError
from geodns.formats import master, sheet
from geodns.model import Zone

HEAD = "$ORIGIN z.example.\n$TTL 300\n@ SOA ns host 7 7200 1800 1209600 60\n@ NS ns\n"  # four lines


def records(zone: Zone) -> list[str]:
    return [
        f"{to_text(r.owner)} {r.ttl} {type_name(r.rtype)} {present(r.rtype, rdata)}"
        for r in zone.rrsets
        for rdata in r.rdata
    ]


def read(text: str) -> list[str]:
    """The records below the head."""
    zone, lost = master.read(HEAD + text, "f")
    assert not lost
    return records(zone)[1:]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a A 192.0.2.1", ["a.z.example. 300 A 192.0.2.1"]),
        ("a A 192.0.2.1\n  A 192.0.2.2", ["a.z.example. 300 A 192.0.2.1", "a.z.example. 300 A 192.0.2.2"]),
        ("a 60 IN A 192.0.2.1", ["a.z.example. 60 A 192.0.2.1"]),
        ("a IN 1h30m A 192.0.2.1", ["a.z.example. 5400 A 192.0.2.1"]),
        ("A.Z.Example. A 192.0.2.1", ["a.z.example. 300 A 192.0.2.1"]),
        ("a MX ( 10 ; comment\n\t@ )", ["a.z.example. 300 MX 10 z.example."]),
        ("a MX 10 b.c", ["a.z.example. 300 MX 10 b.c.z.example."]),
        ("$ORIGIN sub\na A 192.0.2.1", ["a.sub.z.example. 300 A 192.0.2.1"]),
        ("$TTL 5\na A 192.0.2.1", ["a.z.example. 5 A 192.0.2.1"]),
        ("$GENERATE 8-9 h${0,3,d} A 192.0.2.$", [f"h00{i}.z.example. 300 A 192.0.2.{i}" for i in (8, 9)]),
        (
            "$GENERATE 0-4/2 $ CNAME ${1}.a",
            [f"{i}.z.example. 300 CNAME {i + 1}.a.z.example." for i in (0, 2, 4)],
        ),
        ('a TXT one "two ; \\" \\000" ', ['a.z.example. 300 TXT "one" "two ; \\" \\000"']),
        ("a TYPE65280 \\# 2 ( ab\ncd )", ["a.z.example. 300 TYPE65280 \\# 2 abcd"]),
        ("a TYPE1 \\# 4 c0000201", ["a.z.example. 300 A 192.0.2.1"]),
        ("*.a A 192.0.2.1", ["*.a.z.example. 300 A 192.0.2.1"]),
        ("a\\.b\\032c A 192.0.2.1", ["a\\.b\\ c.z.example. 300 A 192.0.2.1"]),
        ("a A 192.0.2.1\na A 192.0.2.1", ["a.z.example. 300 A 192.0.2.1"]),
        ("a MX 1 b\na MX 1 B", ["a.z.example. 300 MX 1 b.z.example."]),
        ("a CNAME b\na A 192.0.2.1", ["a.z.example. 300 CNAME b.z.example.", "a.z.example. 300 A 192.0.2.1"]),
        ("a A 192.0.2.1\r\nb A 192.0.2.1\r", [f"{x}.z.example. 300 A 192.0.2.1" for x in "ab"]),
    ],
)
def test_what_is_read(text: str, expected: list[str]) -> None:
    assert read(text + "\n") == expected


def test_the_soa_is_kept_with_its_serial() -> None:
    soa = master.read("z.example. 77 SOA Ns.z.example. a\\.b.example. 4294967295 1 2 3 4\n", "f")[0].soa
    assert (soa.serial, soa.refresh, soa.retry, soa.expire, soa.minimum, soa.ttl) == (
        4294967295,
        1,
        2,
        3,
        4,
        77,
    )
    assert (to_text(soa.mname), to_text(soa.rname)) == ("Ns.z.example.", "a\\.b.example.")


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("z.example. 1 SOA . . 1 1 1 1 1", None),
        ("$ORIGIN Z.example.\n@ 1 SOA . . 1 1 1 1 1", None),
        ("$ORIGIN example.\nz 1 SOA . . 1 1 1 1 1", None),
        ("@ 1 SOA . . 1 1 1 1 1", "z.example."),
        (" 1 SOA . . 1 1 1 1 1", "z.example."),
    ],
)
def test_which_zone_it_is(text: str, origin: str | None) -> None:
    zone, _ = master.read(text + "\n", "f", from_text(origin) if origin else None)
    assert to_text(zone.apex) == "z.example."


SOA = "@ 1 SOA . . 1 1 1 1 1\n"


@pytest.mark.parametrize("text", ["", SOA, f"$ORIGIN z\n{SOA}", "a. 1 A 192.0.2.1\n"])
def test_a_file_that_does_not_say_it_is_asked_for_it(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^f: the file does not say which zone it is \(name the zone"):
        master.read(text, "f")


def test_an_soa_elsewhere_is_none() -> None:
    with pytest.raises(ConfigError, match=r"^f: the file has no SOA at other\. \(name the zone"):
        master.read(HEAD, "f", from_text("other."))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a A 192.0.2", "5:1: 'a A 192.0.2' cannot be read"),
        ("\n\na MX (\n10\n)", "7:1: data is missing or in another form: expecting an identifier"),
        ("a A (\n192.0.2.1", "5:1: unbalanced parentheses"),
        ("a A 192.0.2.1 x", "5:1: 'x' is more than the type holds"),
        ("a FOO x", "5:1: 'FOO' is no TTL, no class and no record type"),
        ("a CH A 192.0.2.1", "5:1: the class is not IN, the only one that is served"),
        ("a AXFR \\# 0", "5:1: AXFR is no type for data in a zone"),
        ("a OPT \\# 0", "5:1: OPT is no type for data in a zone"),
        ('a TXT "x', "5:1: newline in quoted string"),
        ("a MINFO b c", "5:1: the data can be written as \\# length hex only"),
        ("a TXT \udcff", "5:1: octets that are no UTF-8 are written \\DDD"),
        ("ü A 192.0.2.1", "5:1: 'ü' is not ASCII; write international names as xn--…"),
        ("a..b A 192.0.2.1", "5:1: A DNS label is empty"),
        ("b SOA ns h 1 1 1 1 1", "5:1: an SOA stands only at z.example."),
        ("@ SOA ns h 1 1 1 1 1", "5:1: the zone has another SOA already (remove one of them)"),
        ("$TTL x", "5:1: DNS TTL value is not well-formed"),
        (
            "$INCLUDE x",
            "5:1: $INCLUDE is not followed (write one file first: named-compilezone -o flat.zone ZONE FILE)",
        ),
        ("$UNICODE 2003", "5:1: $UNICODE is no directive of master files"),
        ("$GENERATE 1-x a$ A 192.0.2.1", "5:1: '$GENERATE 1-x a$ A 192.0.2.1' cannot be read"),
        ("\n$GENERATE 1-999 a$ A 192.0.2.1", "6:1: the file has more than 100 records (split the zone)"),
        ("\x00\x1b[31m", "5:1: '\\x00\\x1b[31m' cannot be read"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_line(text: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        master.read(f"{HEAD}{text}\n", "f", records=100)
    assert str(caught.value) == f"f:{told}"


@pytest.mark.parametrize(
    ("text", "told", "held"),
    [
        (
            "a.other. A 192.0.2.1\nb.other. A 192.0.2.1",
            "f:5:1: warning: what lies outside the zone z.example. is left out, 2 times",
            [],
        ),
        (
            "a NSEC b A\na A 192.0.2.1",
            "f:5:1: warning: geodns does not sign zones: RRSIG, NSEC and NSEC3 are left out",
            ["a.z.example. 300 A 192.0.2.1"],
        ),
        (
            "a 9 A 192.0.2.1\na 7 A 192.0.2.2\na 8 A 192.0.2.3",
            "f:6:1: warning: an RRset with several TTLs gets the lowest (RFC 2181 §5.2), 2 times",
            [f"a.z.example. 7 A 192.0.2.{i}" for i in (1, 2, 3)],
        ),
        (
            "a 2147483648 A 192.0.2.1",
            "f:5:1: warning: a TTL beyond 31 bits is taken for 0 (RFC 2181 §8)",
            ["a.z.example. 0 A 192.0.2.1"],
        ),
    ],
)
def test_what_cannot_be_held_is_told(text: str, told: str, held: list[str]) -> None:
    zone, lost = master.read(f"{HEAD}{text}\n", "f")
    assert [str(problem) for problem in lost] == [told]
    assert records(zone)[1:] == held


def test_what_is_written_reads_well() -> None:
    zone, _ = master.read(
        HEAD
        + "ns A 192.0.2.53\n  AAAA 2001:db8::53\n@ NS ns.example.net.\n@ TXT v=spf1\\ -all\n@ MX 10 mail\n"
        + "www 60 A 192.0.2.1\nwww 60 AAAA 2001:db8::1\n*.a 60 A 192.0.2.1\n*.a TXT plain\n"
        + "z.example A 192.0.2.2\n@.b A 192.0.2.3\n<< A 192.0.2.4\n",
        "f",
    )
    assert sheet.write(zone) == (
        "zone: z.example\n"
        "ttl: 5m\n"
        "soa: {mname: ns, rname: host, serial: 7, refresh: 2h, retry: 30m, expire: 14d, minimum: 1m, "
        "ttl: 5m}\n"
        "nameservers:\n"
        "  ns: [192.0.2.53, '2001:db8::53']\n"
        "  ns.example.net.: []\n"
        "records:\n"
        "  '@': {TXT: v=spf1 -all, MX: 10 mail}\n"
        "  www: {ttl: 1m, A: 192.0.2.1, AAAA: '2001:db8::1'}\n"
        "  '*.a': {A: {ttl: 1m, values: 192.0.2.1}, TXT: plain}\n"
        "  z.\\101\\120\\097\\109\\112\\108\\101: {A: 192.0.2.2}\n"
        "  \\@.b: {A: 192.0.2.3}\n"
        "  \\060\\060: {A: 192.0.2.4}\n"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "nameservers:\n- ns\n"),
        ("@ NS ns.example.net.\n", "nameservers:\n- ns\n- ns.example.net.\n"),
        ("ns 60 A 192.0.2.53\n", "records:\n  '@': {NS: ns}\n  ns: {ttl: 1m, A: 192.0.2.53}\n"),
        ("ns A 192.0.2.53\na 5 A 192.0.2.1\na 5 TXT x\nb 5 TXT x\n", "records:\n  '@': {ttl: 5m, NS: ns}\n"),
    ],
)
def test_nameservers_stand_by_themselves_where_that_fits(text: str, expected: str) -> None:
    assert expected in sheet.write(master.read(HEAD + text, "f")[0])
