"""What dig sees of the demo's zone: every kind of record and answer."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from e2e_support import PATIENCE, Server

ROOT = Path(__file__).parents[2]
APEX = "gslb.example.com"


@pytest.fixture(scope="module")
def server(serve: Callable[..., Server], databases: Mapping[str, Path]) -> Server:
    """The zone as it is, without its endpoints: nothing is healthy, so everything is served."""
    named = ", ".join(f"{key}: {path}" for key, path in databases.items())
    files = {path.name: path.read_text() for path in (ROOT / "zones").iterdir()}
    return serve(files, f"databases: {{synthetic: true, {named}}}\n").start()


@pytest.fixture(scope="module")
def dig(server: Server, required: Callable[[str], str]) -> Callable[..., str]:
    program = required("dig")

    def ask(*words: str) -> str:
        command = [program, "@127.0.0.1", "-p", str(server.port), "+tries=1", "+time=3", "+norecurse", *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True)
        assert "malformed" not in done.stdout + done.stderr
        assert "WARNING" not in done.stdout, done.stdout
        return done.stdout

    return ask


@pytest.mark.parametrize(
    ("name", "rtype", "answers"),
    [
        ("www", "A", r"www 15 A (192\.0\.2|198\.51\.100|203\.0\.113)\.\d+"),
        ("www", "AAAA", r"www 15 AAAA 2001:db8:\d::1[01]"),
        ("api", "A", r"api 10 A \S+"),
        ("all", "A", r"all 15 A \S+( all 15 A \S+)*"),
        ("img", "A", r"img 15 CNAME (cn|eu|us)\.cdn\.example\.net\."),
        ("img", "TXT", r"img 15 CNAME (cn|eu|us)\.cdn\.example\.net\."),
        ("docs", "A", r"docs 15 CNAME example\.github\.io\."),
        ("portal", "A", r"portal 15 CNAME www\.gslb\.example\.com\. www 15 A \S+"),
        ("static", "A", r"static 15 A 192\.0\.2\.200 static 15 A 192\.0\.2\.201"),
        ("static", "AAAA", r"static 15 AAAA 2001:db8::200"),
        ("anything.dyn", "A", r"anything\.dyn 15 A 192\.0\.2\.202 anything\.dyn 15 A 192\.0\.2\.203"),
        ("a.b.dyn", "TXT", r'a\.b\.dyn 15 TXT "anything below dyn"'),
        ("_sip._tcp", "SRV", r"_sip\._tcp 15 SRV 10 20 5060 static\.gslb\.example\.com\."),
        ("@", "MX", r"@ 15 MX 10 mail\.example\.com\."),
        ("@", "TXT", r'@ 15 TXT "v=spf1 -all"'),
        ("@", "CAA", r'@ 15 CAA 0 issue "ca\.example\.net"'),
        ("@", "NS", r"@ 15 NS ns1\.gslb\.example\.com\. @ 15 NS ns2\.gslb\.example\.com\."),
        (
            "@",
            "SOA",
            r"@ 15 SOA ns1\.gslb\.example\.com\. hostmaster\.gslb\.example\.com\. \d+ 7200 1800 1209600 15",
        ),
        ("ns1", "A", r"ns1 15 A 192\.0\.2\.53"),
        ("ns1", "AAAA", r"ns1 15 AAAA 2001:db8::53"),
    ],
)
def test_every_record_of_the_zone(dig: Callable[..., str], name: str, rtype: str, answers: str) -> None:
    owner = APEX if name == "@" else f"{name}.{APEX}"
    lines = dig("+noall", "+answer", owner, rtype).splitlines()
    found = " ".join(_short(line) for line in sorted(lines) if line)
    found = found if name != "portal" else " ".join(_short(line) for line in lines)
    assert re.fullmatch(answers, found), found


def _short(line: str) -> str:
    owner, ttl, _, rtype, data = line.split(None, 4)
    owner = owner.removesuffix(f"{APEX}.").removesuffix(".") or "@"
    return f"{owner} {ttl} {rtype} {data}"


@pytest.mark.parametrize(
    ("name", "rtype", "status", "authority"),
    [
        ("nothing", "A", "NXDOMAIN", "SOA"),
        ("static", "MX", "NOERROR", "SOA"),
        ("_tcp", "A", "NOERROR", "SOA"),
        ("dyn", "A", "NOERROR", "SOA"),
        ("www", "TXT", "NOERROR", "SOA"),
        ("host.branch", "A", "NOERROR", "NS"),
    ],
)
def test_what_is_not_there(
    dig: Callable[..., str], name: str, rtype: str, status: str, authority: str
) -> None:
    told = dig(f"{name}.{APEX}", rtype)
    assert f"status: {status}" in told
    assert "ANSWER: 0" in told
    assert f"\tIN\t{authority}\t" in told
    assert ("flags: qr aa" in told) == (authority == "SOA"), "a referral is no authoritative answer"


def test_a_referral_carries_its_glue(dig: Callable[..., str]) -> None:
    assert "ns.branch.gslb.example.com. 15\tIN\tA\t192.0.2.210" in dig(
        "+noall", "+additional", f"x.branch.{APEX}"
    )


def test_other_peoples_names_are_refused(dig: Callable[..., str]) -> None:
    assert "status: REFUSED" in dig("www.example.org")


def test_clients_of_different_places_get_different_answers_with_their_scope(dig: Callable[..., str]) -> None:
    guangdong = dig("+subnet=10.1.2.0/24", f"www.{APEX}")
    frankfurt = dig("+subnet=10.50.2.0/24", f"www.{APEX}")
    assert re.search(r"\sA\s192\.0\.2\.1[01]\n", guangdong)
    assert re.search(r"\sA\s198\.51\.100\.1[01]\n", frankfurt)
    assert "CLIENT-SUBNET: 10.1.2.0/24/20" in guangdong


def test_a_sticky_client_keeps_its_answer(dig: Callable[..., str]) -> None:
    one = {dig("+short", "+subnet=10.50.7.0/24", f"api.{APEX}") for _ in range(4)}
    assert len(one) == 1
    others = {dig("+short", f"+subnet=10.50.{n}.0/24", f"api.{APEX}") for n in range(12)}
    assert len(others) == 2, "both endpoints of the region serve somebody"


def test_round_robin_turns(dig: Callable[..., str]) -> None:
    firsts = [dig("+short", "+subnet=10.50.0.0/16", f"all.{APEX}").split()[0] for _ in range(4)]
    assert firsts[0] != firsts[1]
    assert firsts[:2] == firsts[2:]


def test_ask_shows_the_same_without_dig(server: Server) -> None:
    from e2e_support import run

    where = ["--server", f"127.0.0.1:{server.port}"]
    told = run("ask", f"static.{APEX}", "A", "--from", "10.1.0.0/16", *where)
    assert told.returncode == 0
    assert "static.gslb.example.com.  15  A  192.0.2.200" in told.stdout
