"""Small zones with one thing to say about each: what `geodns check` says, and what NSD, Knot and BIND say.

Where at least two of the three refuse to load a zone it is an error here; where all three are silent it is
none, and what is warned of all the same has its reason below. What differs for a reason is in `DIFFERENT`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from checkers import Verdicts, ask_all

from geodns.config.load import load
from geodns.errors import ConfigError, Problem, Severity

LONG = "l" * 63
DIGEST = "aa" * 32
SOA = "@ SOA ns hostmaster 1 7200 1800 1209600 60"

# What it is: the lines of a master file below `$ORIGIN z.example.` (SOA, NS and its address are added where
# none are given), and the codes that are told.
ZONES: dict[str, tuple[str, str]] = {
    "nothing wrong": ("", ""),
    # CNAME and DNAME
    "CNAME beside other data": ("w CNAME a\nw A 192.0.2.1\na A 192.0.2.1", "error cname-beside"),
    "CNAME beside KEY": ("a CNAME ns\na KEY 256 3 13 AAAA", "error cname-beside"),
    "CNAME beside its NSEC": ("a CNAME ns\na NSEC b A NSEC", "error cname-beside"),
    "two CNAMEs": ("w CNAME a\nw CNAME b\na A 192.0.2.1\nb A 192.0.2.1", "error many-cnames"),
    "a CNAME twice, in another case": ("w CNAME ns\nw CNAME NS", "warning duplicate-value"),
    "CNAME at the apex": ("@ CNAME a.example.net.", "error cname-at-apex"),
    "CNAME at a cut": ("s NS q.example.net.\ns CNAME a.example.net.", "error cname-beside"),
    "CNAME to nothing": ("w CNAME nothere", ""),
    "CNAMEs in a circle": ("w CNAME v\nv CNAME w", ""),
    "CNAME at a wildcard": ("* CNAME ns", ""),
    "two DNAMEs": ("d DNAME a.example.net.\nd DNAME b.example.net.", "error many-cnames"),
    "data below a DNAME": ("d DNAME a.example.net.\nx.d A 192.0.2.1", "error below-dname"),
    "data far below a DNAME": ('d DNAME a.example.net.\nx.y.d TXT "1"', "error below-dname"),
    "data beside a DNAME": ("d DNAME a.example.net.\nd A 192.0.2.1", ""),
    "CNAME beside a DNAME": ("d DNAME a.example.net.\nd CNAME b.example.net.", "error cname-beside"),
    "NS beside a DNAME": ("d DNAME a.example.net.\nd NS ns.example.net.", "error dname-beside-ns"),
    "DNAME above the nameserver": ("@ DNAME a.example.net.", "error alias-target, error below-dname"),
    "DNAME at a wildcard": ("*.d DNAME a.example.net.", "warning wildcard-dname"),
    "DNAME into itself": ("d DNAME x.d.z.example.", ""),
    # delegations
    "data at a cut": ('s NS q.example.net.\ns TXT "1"', "warning below-cut"),
    "address at a cut": ("s NS q.example.net.\ns A 192.0.2.1", ""),
    "data below a cut": ('s NS q.example.net.\nx.s TXT "1"', "warning below-cut"),
    "CNAME below a cut": ("s NS q.example.net.\nx.s CNAME a.example.net.", "warning below-cut"),
    "DNAME below a cut": ("s NS q.example.net.\nx.s DNAME a.example.net.", "warning below-cut"),
    "a cut below a cut": ("s NS q.example.net.\nx.s NS q.example.net.", "warning below-cut"),
    "an address below a cut": ("s NS q.example.net.\nx.s A 192.0.2.1", ""),
    "no glue": ("s NS ns.s.z.example.", "warning missing-glue"),
    "no glue for the cut itself": ("s NS s", "warning missing-glue"),
    "glue at the cut": ("s NS s\ns A 192.0.2.1", ""),
    "IPv6 glue": ("s NS ns.s.z.example.\nns.s AAAA 2001:db8::1", ""),
    "no sibling glue": ("s NS ns.t.z.example.\nt NS q.example.net.", "warning missing-glue"),
    "sibling glue": ("s NS ns.t.z.example.\nt NS ns.t.z.example.\nns.t A 192.0.2.1", ""),
    "delegated to a host without address": ("s NS nx", "warning missing-address"),
    "delegated to a CNAME": ("s NS nc\nnc CNAME ns", "warning alias-target"),
    "delegated below a DNAME": ("s NS n.d.z.example.\nd DNAME q.example.net.", "warning alias-target"),
    "delegated to an address": ("s NS 192.0.2.1.", "warning address-as-name"),
    "NS at a wildcard": ("*.w NS ns.example.net.", "error wildcard-ns"),
    "DS": (f"s NS q.example.net.\ns DS 1 13 2 {DIGEST}", ""),
    "DS without NS": (f"s DS 1 13 2 {DIGEST}", "warning ds-alone"),
    "DS at the apex": (f"@ DS 1 13 2 {DIGEST}", "error ds-at-apex"),
    "DS below a cut": (f"s NS q.example.net.\nx.s DS 1 13 2 {DIGEST}", "warning ds-alone, warning below-cut"),
    "DS with a short digest": (f"s NS q.example.net.\ns DS 1 13 2 {DIGEST[2:]}", "error bad-rdata"),
    # the apex
    "no NS": ("!NS", "error no-nameserver"),
    "a nameserver without address": ("@ NS ns\n@ NS nx", "error missing-address"),
    "a nameserver by wildcard": ("@ NS nx\n* A 192.0.2.53", ""),
    "a nameserver that is a CNAME": ("@ NS ns\n@ NS nc\nnc CNAME ns", "error alias-target"),
    "a nameserver below a cut, no glue": (
        "@ NS ns\n@ NS n.s.z.example.\ns NS q.example.net.",
        "warning missing-glue",
    ),
    "a nameserver that is an address": ("@ NS ns\n@ NS 192.0.2.1.", "warning address-as-name"),
    "SOA, no address for MNAME": (SOA.replace(" ns ", " nx "), "warning missing-address"),
    "SOA, retry over refresh": ("@ SOA ns h 1 1800 7200 1209600 60", "warning soa-times"),
    "SOA, expire under refresh": ("@ SOA ns h 1 7200 1800 3600 60", "warning soa-times"),
    "SOA, a long MINIMUM": ("@ SOA ns h 1 7200 1800 1209600 86400", "warning long-negative"),
    "SOA, the largest serial": ("@ SOA ns h 4294967295 7200 1800 1209600 60", ""),
    "SOA, a serial beyond 32 bits": ("@ SOA ns h 4294967296 7200 1800 1209600 60", "error out-of-range"),
    "SOA, beyond 32 bits": ("@ SOA ns h 1 7200 1800 4294967296 60", "error out-of-range"),
    # hosts
    "MX to a CNAME": ("@ MX 10 mc\nmc CNAME ns", "warning alias-target"),
    "MX to a host without address": ("@ MX 10 mc", "warning missing-address"),
    "MX to an address": ("@ MX 10 192.0.2.1.", "warning address-as-name"),
    "MX below a cut": ("@ MX 10 m.s.z.example.\ns NS ns.example.net.", ""),
    "null MX": ("@ MX 0 .", ""),
    "SRV to a CNAME": ("_x._tcp SRV 1 1 1 sc\nsc CNAME ns", "warning alias-target"),
    "SRV to a host without address": ("_x._tcp SRV 1 1 1 sc", "warning missing-address"),
    "SRV to nothing": ("_x._tcp SRV 0 0 0 .", ""),
    "HTTPS to a CNAME": ("w HTTPS 1 sc\nsc CNAME ns", ""),
    "HTTPS to nothing": ("w HTTPS 1 sc", ""),
    "PTR to a CNAME": ("p PTR sc\nsc CNAME ns", ""),
    "underscore above an address": ("a_b A 192.0.2.1", "warning odd-host"),
    "underscore above MX": ("a_b MX 10 ns", "warning odd-host"),
    "underscore above others": ("a_b CNAME ns\n_a TXT x", ""),
    "a space above an address": ("a\\032b A 192.0.2.1", "warning odd-host"),
    "a leading hyphen": ("-a A 192.0.2.1", "warning odd-host"),
    "address at a wildcard": ("* A 192.0.2.1", ""),
    "a wildcard inside": ("a.*.b A 192.0.2.1", "warning odd-host"),
    # TTLs
    "the longest TTL": ("a 2147483647 A 192.0.2.1", "warning long-ttl"),
    "a TTL beyond 31 bits": ("a 2147483648 A 192.0.2.1", "error out-of-range"),
    "a TTL beyond 32 bits": ("a 4294967296 A 192.0.2.1", "error out-of-range"),
    "a TTL over a week": ("a 604801 A 192.0.2.1", "warning long-ttl"),
    "TTL 0": ("a 0 A 192.0.2.1", ""),
    # one value, twice
    "A twice": ("a A 192.0.2.1\na A 192.0.2.1", "warning duplicate-value"),
    "MX twice, in another case": ("a MX 10 ns\na MX 10 NS", "warning duplicate-value"),
    "SRV twice, in another case": ("_a SRV 1 1 1 ns\n_a SRV 1 1 1 NS", "warning duplicate-value"),
    "RP twice, in another case": ("a RP ns ns\na RP ns NS", "warning duplicate-value"),
    "HTTPS in another case": ("a HTTPS 1 ns\na HTTPS 1 NS", ""),
    "TXT in another case": ("a TXT x\na TXT X", ""),
    # names
    "the longest label": (f"{LONG} A 192.0.2.1", ""),
    "a longer label": (f"{LONG}x A 192.0.2.1", "error bad-name"),
    "a name too long": (f"{LONG}.{LONG}.{LONG}.{LONG} A 192.0.2.1", "error bad-name"),
    "a name too long in data": (f"a CNAME {LONG}.{LONG}.{LONG}.{LONG}.", "error bad-rdata"),
    "an empty label": ("a..b A 192.0.2.1", "error bad-name"),
    # data
    "TXT, empty": ('a TXT ""', ""),
    "TXT, 255 octets": (f'a TXT "{"x" * 255}"', ""),
    "TXT, 256 octets": (f'a TXT "{"x" * 256}"', "error bad-rdata"),
    "TXT, never closed": ('a TXT "abc', "error bad-rdata"),
    "A, 256": ("a A 192.0.2.256", "error bad-rdata"),
    "A, a leading zero": ("a A 192.0.2.01", "error bad-rdata"),
    "A, three numbers": ("a A 192.0.2", "error bad-rdata"),
    "A, two addresses": ("a A 192.0.2.1 192.0.2.2", "error bad-rdata"),
    "AAAA, no digit": ("a AAAA 2001:db8::g", "error bad-rdata"),
    "AAAA, IPv4": ("a AAAA 192.0.2.1", "error bad-rdata"),
    "MX, preference beyond 16 bits": ("a MX 65536 ns", "error bad-rdata"),
    "MX, negative": ("a MX -1 ns", "error bad-rdata"),
    "MX, no preference": ("a MX ns", "error bad-rdata"),
    "SRV, port beyond 16 bits": ("_a SRV 1 1 65536 ns", "error bad-rdata"),
    "CAA, flags beyond 8 bits": ('a CAA 256 issue "x"', "error bad-rdata"),
    "CAA, a hyphen in the tag": ('a CAA 0 is-sue "x"', "error bad-rdata"),
    "CAA, no tag": ('a CAA 0 "" "x"', "error bad-rdata"),
    "CAA, a critical tag that nobody knows": ('a CAA 128 foo "x"', ""),
    "TLSA, half an octet": ("a TLSA 3 1 1 abc", "error bad-rdata"),
    "TLSA, no data": ("a TLSA 3 1 1", "error bad-rdata"),
    "TLSA, a short hash": ("a TLSA 3 1 1 ab", "error bad-rdata"),
    "SSHFP, a short hash": ("a SSHFP 1 1 abcd", "error bad-rdata"),
    "SSHFP, beyond 8 bits": (f"a SSHFP 256 1 {'aa' * 20}", "error bad-rdata"),
    "LOC beyond the pole": ("a LOC 91 0 0 N 0 0 0 E 0m", "error bad-rdata"),
    "HINFO, one text": ('a HINFO "x"', "error bad-rdata"),
    "NID, one group": ("a NID 10 14:4fff:ff20:ee64", "error bad-rdata"),
    "ZONEMD, a short hash": ("@ ZONEMD 1 1 1 aa", "error bad-rdata"),
    "URI, empty": ('a URI 1 1 ""', "error bad-rdata"),
    "HTTPS": ("a HTTPS 1 . port=1 alpn=h3", ""),
    "HTTPS, a mandatory key that is not there": ("w HTTPS 1 . mandatory=alpn", "error bad-rdata"),
    "HTTPS, a key twice": ("w HTTPS 1 . alpn=h2 alpn=h3", "error bad-rdata"),
    "HTTPS, no-default-alpn alone": ("w HTTPS 1 . no-default-alpn", "error bad-rdata"),
    "HTTPS, an alias with parameters": ("w HTTPS 0 a.example.net. alpn=h2", "error bad-rdata"),
    "SVCB, a key without a name": ("a SVCB 1 . key65400=x", ""),
    "an unknown type": ("a FOO bar", "error unknown-type"),
    "a type without a name": ("a TYPE65280 \\# 2 abcd", ""),
    "a type without a name or data": ("a TYPE65280 \\# 0", ""),
    "the wrong length": ("a TYPE65280 \\# 3 abcd", "error bad-rdata"),
    "A by number": ("a TYPE1 \\# 4 c0000201", ""),
    "A by number, too short": ("a TYPE1 \\# 3 c00002", "error bad-rdata"),
    "a type for questions": ("a AXFR \\# 0", "error meta-type"),
    "a type of messages": ("a TYPE250 \\# 0", "error meta-type"),
    "an obsolete type": ("a MINFO ns ns", "error bad-rdata"),
    "a type that only some know": ("a AMTRELAY 10 0 1 192.0.2.1", ""),
    "other types": (
        "a OPENPGPKEY AAAA\na CERT 1 1 1 AAAA\na APL 1:192.0.2.0/24\na EUI48 00-00-5e-00-53-2a\n"
        "a L32 10 10.1.2.0\na DHCID AAAA\na AFSDB 1 ns\na RT 1 ns\n@ CSYNC 1 3 A NS AAAA",
        "",
    ),
}

# Warnings where all three are silent: why they are worth a line.
REASONS = {
    "below-cut": "the data is never served, which nobody wants who wrote it",
    "missing-glue": "of the apex: BIND looks at delegations alone",
    "wildcard-dname": "RFC 6672 §3.3 leaves open what it means, and servers differ",
    "ds-alone": "nobody ever asks for it, so the delegation it was meant for has another name",
    "missing-address": "of MNAME: NOTIFY and update look it up",
    "soa-times": "secondaries would drop the zone before they tried again",
    "long-negative": "RFC 2308 §5: a mistaken MINIMUM makes added names invisible for hours",
    "long-ttl": "RFC 8767 §4: over a week it is cut short, or a mistake stays",
    "duplicate-value": "a copy that was meant to be edited",
}

# Errors where none refuses, or the other way round.
DIFFERENT = {
    "CNAME beside its NSEC": "what a signer made is no use without signing",
    "TLSA, a short hash": "a SHA-256 hash of another length matches no certificate",
    "URI, empty": "RFC 7553 §4.4: the target is not empty",
    "HTTPS, an alias with parameters": "RFC 9460 §2.4.2: clients ignore them, so they are a mistake",
    "an obsolete type": "dnspython does not know its text; TYPE14 \\# … is understood",
    "a type that only some know": "NSD 4.6 and Knot 3.2 are older than AMTRELAY",
    "a TTL beyond 31 bits": "BIND takes it for 0, NSD and Knot as it stands; RFC 2181 §8 does not allow it",
}


def master(body: str) -> str:
    """The lines as a master file, with what every zone must have."""
    lines = [line for line in body.splitlines() if not line.startswith("!")]
    given = {tuple(line.split()[:2]) for line in lines}
    for owner, rtype, line in (("ns", "A", "ns A 192.0.2.53"), ("@", "NS", "@ NS ns"), ("@", "SOA", SOA)):
        if (owner, rtype) not in given and f"!{rtype}" not in body.splitlines():
            lines.insert(0, line)
    lines.sort(key=lambda line: line.split()[1] != "SOA")
    return "\n".join(["$ORIGIN z.example.", "$TTL 300", *lines]) + "\n"


def zone_file(body: str) -> str:
    """The same as JSON, which is YAML."""
    content: dict[str, object] = {"zone": "z.example", "ttl": 300}
    records: dict[str, dict[str, dict[str, object]]] = {}
    for line in master(body).splitlines()[2:]:
        owner, _, rest = line.partition(" ")
        first, _, data = rest.partition(" ")
        ttl, (rtype, _, data) = (
            (first, data.partition(" ")) if first.isdigit() else ("300", (first, "", data))
        )
        if rtype == "SOA":
            keys = ("mname", "rname", "serial", "refresh", "retry", "expire", "minimum")
            content["soa"] = dict(zip(keys, data.split(), strict=True))
            continue
        values = records.setdefault(owner, {}).setdefault(rtype, {"ttl": ttl, "values": []})["values"]
        assert isinstance(values, list)
        values.append(data)
    return json.dumps({**content, "records": records})


def problems(body: str, folder: Path) -> tuple[Problem, ...]:
    (folder / "z.yaml").write_text(zone_file(body))
    try:
        return load(folder).problems
    except ConfigError as error:
        return error.problems


@pytest.mark.parametrize("what", ZONES)
def test_what_is_told_of_a_zone(what: str, tmp_path: Path) -> None:
    body, expected = ZONES[what]
    told = problems(body, tmp_path)
    codes = dict.fromkeys(f"{problem.severity.value} {problem.code}" for problem in told)
    assert ", ".join(codes) == expected, "\n".join(map(str, told))
    assert all(problem.hint or problem.severity is Severity.ERROR for problem in told)


@pytest.fixture(scope="module")
def verdicts(required: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Verdicts:
    """What the three say of all of them; every zone has an apex of its own."""
    texts = {
        _apex(what): master(body).replace("z.example.", f"{_apex(what)}.")
        for what, (body, _) in ZONES.items()
    }
    return ask_all(texts, tmp_path_factory.mktemp("peers"), required)


def _apex(what: str) -> str:
    return f"z{list(ZONES).index(what)}.example"


@pytest.mark.parametrize("what", ZONES)
def test_as_the_peers_say(what: str, verdicts: Verdicts) -> None:
    said = {peer: of[_apex(what)] for peer, of in verdicts.items()}
    refused = sum(one.refuses for one in said.values())
    silent = not any(one.refuses or one.lines for one in said.values())
    codes = ZONES[what][1]
    differs = (refused > 1 and "error" not in codes) or (refused == 0 and "error" in codes)
    assert differs == (what in DIFFERENT), said
    if silent and not differs:
        assert all(code.removeprefix("warning ") in REASONS for code in codes.split(", ") if code), said


def test_every_reason_is_needed(verdicts: Verdicts) -> None:
    silent = {
        what
        for what in ZONES
        if not any(of[_apex(what)].refuses or of[_apex(what)].lines for of in verdicts.values())
    }
    needed = {
        code.partition(" ")[2] for what in silent for code in ZONES[what][1].split(", ") if "warning" in code
    }
    assert needed == set(REASONS)
