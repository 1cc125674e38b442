"""The probes of RFC 8906 §8 as the RFC writes them, by dig, against a started server with cookies on."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Mapping

import pytest
from e2e_support import PATIENCE, UNCHECKED, Server

ZONE = "shop.example"
PLAIN, EDNS = "+noedns +noad +norec", "+nocookie +edns=0 +noad +norec"
VERSION = "+nocookie +edns=1 +noednsneg +noad +norec"

# What dig shows of a reply: its name here, and where it stands; "-" where it does not.
SHOWN = {
    "status": r"status: (\w+)",
    "opcode": r"opcode: (\w+)",
    "flags": r";; flags: ([a-z ]*);",
    "header": r";; flags:.*MBZ: (\w+)",
    "soa": r"\n[^;].*\sIN\s+(SOA)\s",
    "answers": r"ANSWER: (\d+)",
    "edns": r"EDNS: version: (\d+)",
    "do": r"EDNS: .*flags: (do)",
    "mbz": r"EDNS: .*MBZ: (\w+)",
    "unknown": r"(OPT=100)",
    "cookie": r"COOKIE: \w+ \((\w+)\)",
    "nsid": r'NSID: .*\("(.*)"\)',
}
NO_EDNS = {"header": "-", "edns": "-"}
SOA = {"status": "NOERROR", "soa": "SOA", "flags": "qr aa"}
WITH_EDNS = {**SOA, "edns": "0", "mbz": "-", "unknown": "-"}
BADVERS = {"status": "BADVERS", "soa": "-", "flags": "qr", "edns": "0", "mbz": "-", "unknown": "-"}
NOTIMP = {"status": "NOTIMP", "opcode": "RESERVED15", "soa": "-", "flags": "qr"}

PROBES: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "8.1.1": (f"{PLAIN} soa {ZONE}", {**SOA, **NO_EDNS}),
    "8.1.2": (f"{PLAIN} type1000 {ZONE}", {"status": "NOERROR", "answers": "0", "flags": "qr aa", **NO_EDNS}),
    "8.1.3.1": (f"{PLAIN} +cd soa {ZONE}", {**SOA, **NO_EDNS}),
    "8.1.3.2": (f"+noedns +norec +ad soa {ZONE}", {**SOA, **NO_EDNS}),
    "8.1.3.3": (f"{PLAIN} +zflag soa {ZONE}", {**SOA, **NO_EDNS}),
    "8.1.3.4": (f"+noedns +noad +rec soa {ZONE}", {**SOA, "flags": "qr aa rd", **NO_EDNS}),
    "8.1.4": ("+noedns +noad +opcode=15 +norec +header-only", {**NOTIMP, **NO_EDNS}),
    "8.1.5": (f"{PLAIN} +tcp soa {ZONE}", {**SOA, **NO_EDNS}),
    "8.2.1": (f"{EDNS} soa {ZONE}", WITH_EDNS),
    "8.2.2": (f"{VERSION} soa {ZONE}", BADVERS),
    "8.2.3": (f"{EDNS} +ednsopt=100 soa {ZONE}", WITH_EDNS),
    "8.2.4": (f"{EDNS} +ednsflags=0x40 soa {ZONE}", WITH_EDNS),
    "8.2.5": (f"{VERSION} +ednsflags=0x40 soa {ZONE}", BADVERS),
    "8.2.6": (f"{VERSION} +ednsopt=100 soa {ZONE}", BADVERS),
    "8.2.7": (
        f"+norec +dnssec +bufsize=512 +ignore txt long.{ZONE}",
        {"status": "NOERROR", "flags": "qr aa tc", "edns": "0", "do": "do"},
    ),
    "8.2.8": (f"{EDNS} +dnssec soa {ZONE}", {**WITH_EDNS, "do": "do"}),
    "8.2.9": (f"{VERSION} +dnssec soa {ZONE}", {**BADVERS, "do": "do"}),
    "8.2.10": (
        f"+edns=0 +noad +norec +cookie +nsid +expire +subnet=0.0.0.0/0 soa {ZONE}",
        {**WITH_EDNS, "cookie": "good", "nsid": "one"},
    ),
    "all at once": (
        f"{VERSION} +cookie +nsid +ednsopt=100 +ednsflags=0x80 soa {ZONE}",
        {**BADVERS, "cookie": "-"},
    ),
}


@pytest.fixture(scope="module")
def server(serve: Callable[..., Server]) -> Server:
    return serve(UNCHECKED + f"  long: {{TXT: {'x' * 2000}}}\n", "identity: {nsid: one}\n").start()


@pytest.mark.parametrize("probe", PROBES)
def test_what_dig_is_told(server: Server, required: Callable[[str], str], probe: str) -> None:
    words, expected = PROBES[probe]
    command = [required("dig"), "@127.0.0.1", "-p", str(server.port), "+tries=1", "+time=3", *words.split()]
    for _ in ("first", "from memory"):
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True)
        matches = {what: re.search(pattern, done.stdout) for what, pattern in SHOWN.items()}
        shown = {what: match[1] if match else "-" for what, match in matches.items()}
        assert {what: shown[what] for what in expected} == expected, done.stdout
        assert "malformed" not in done.stdout
