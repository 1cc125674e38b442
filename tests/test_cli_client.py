"""The verbs that talk to a running server: status, regions, pause, resume, explain."""

# ruff: noqa: F401, F811 - fixtures are imported by name

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from admin_support import NOW, TOKEN, with_paused, with_verdict
from cli_support import Geodns, Running, closed_port, geodns, running

from geodns.core.health import Verdict
from geodns.core.verbs import Change

FAILOVERS = [
    {"pool": "web", "ttl": 15, "detection": None, "seconds": None, "names": 1, "examples": ["www"]},
    {"pool": "img", "ttl": 29, "detection": 11.0, "seconds": 40.0, "names": 10, "examples": ["a", "b", "c"]},
    {"pool": "api", "ttl": 15, "detection": 11.0, "seconds": 26.0, "names": 1, "examples": ["www"]},
]


class TestTalkingToTheServer:
    def test_regions(self, geodns: Geodns, running: Running) -> None:
        running.control.state = with_verdict(
            with_paused(running.control.state, "cn-north"), "cn-south", Verdict.DOWN
        )
        done = geodns("regions", "--url", running.url)
        assert done.code == 0
        rows = {line.split()[0]: line.split(maxsplit=5)[5] for line in done.out.splitlines()}
        assert rows == {
            "REGION": "STATE",
            "cn-south": "down",
            "cn-north": "paused by who: why",
            "eu-west": "not probed yet",
            "unused": "in no pool",
        }

    def test_pause_tells_until_when_and_when_caches_have_forgotten(
        self, geodns: Geodns, running: Running
    ) -> None:
        done = geodns("pause", "cn-south", "--reason", "cable cut", "--for", "30m", "--url", running.url)
        assert done.code == 0
        first, second, third = done.out.splitlines()
        assert first.startswith("cn-south is paused until 2023-11-1") and first.endswith(": cable cut")
        assert second.startswith("out of the answers since 2023-11-1")
        assert third.startswith("forgotten by resolvers by 2023-11-1")
        (asked,) = running.control.calls
        assert asked.changes == (Change("pause", "cn-south", until=NOW + 1800),)
        assert (asked.reason, asked.overrule, "@" in asked.actor) == ("cable cut", frozenset(), True)

    def test_resume(self, geodns: Geodns, running: Running) -> None:
        running.control.state = with_paused(running.control.state, "cn-south")
        assert geodns("resume", "cn-south", "--url", running.url).out.startswith(
            "cn-south serves again since 20"
        )
        assert geodns("resume", "cn-south", "--url", running.url).out == "cn-south was not paused\n"

    def test_a_refused_pause_says_whom_it_would_hit_and_can_be_overruled(
        self, geodns: Geodns, running: Running
    ) -> None:
        running.control.state = with_paused(running.control.state, "cn-north", "eu-west")
        refused = geodns("pause", "cn-south", "-r", "x", "--url", running.url)
        assert (refused.code, refused.out) == (1, "")
        assert refused.err.startswith("geodns: pausing cn-south is refused: clients of www.example.com.")
        assert refused.err.endswith("or overrule leaves-no-region\n")
        made = geodns("pause", "cn-south", "-r", "x", "--overrule", "leaves-no-region", "--url", running.url)
        assert (made.code, made.out.splitlines()[1]) == (0, "overruled: leaves-no-region")

    def test_json_is_the_apis_body_refusals_too(self, geodns: Geodns, running: Running) -> None:
        done = geodns("pause", "cn-south", "-r", "x", "-o", "json", "--url", running.url)
        assert json.loads(done.out)["effective_at"] == "2023-11-14T22:13:20.000Z"
        unknown = geodns("resume", "nowhere/else", "-o", "json", "--url", running.url)
        assert unknown.code == 1
        assert json.loads(unknown.out)["code"] == "unknown-region"
        assert unknown.err.startswith("geodns: there is no region 'nowhere/else'; known regions: ")

    def test_status_shows_what_is_wrong(self, geodns: Geodns, running: Running) -> None:
        found = {
            "version": "0.1.0",
            "lane": "python",
            "started": NOW,
            "ready": {"ready": True, "why": "remembered verdicts"},
            "zones": [{"apex": "gslb.example.com.", "serial": 7, "names": 12}],
            "problem": ["zones/a.yaml:3:1: unknown key 'tll' (did you mean 'ttl'?)"],
            "databases": [{"kind": "city", "type": "GeoLite2-City", "age_days": 3.2, "path": "/x.mmdb"}],
            "synthetic": True,
            "failover": {"budget": 30.0, "records": FAILOVERS},
            "probes": {"late": 0},
        }
        running.control.status = lambda: found  # type: ignore[method-assign]
        lines = geodns("status", "--url", running.url).out.splitlines()
        assert "ready       yes: remembered verdicts" in lines
        assert "zone        gslb.example.com. serial 7, 12 names" in lines
        assert "NOT TAKEN   zones/a.yaml:3:1: unknown key 'tll' (did you mean 'ttl'?)" in lines
        assert any("SYNTHETIC" in line for line in lines)
        told = [line for line in lines if "(www" in line or "(a, b" in line]
        assert told == [
            "failover    never: an endpoint of web has no check (www)",
            "            at most 40 s, OVER THE BUDGET: noticed after 11 s, TTL 29 s (a, b, c and 7 more)",
            "            at most 26 s: noticed after 11 s, TTL 15 s (www)",
        ]

    @pytest.mark.parametrize(
        ("found", "told"),
        [
            ({"lane": "native", "threads": 2}, "native lane, 2 threads on each address"),
            ({"lane": "native", "threads": 1}, "native lane, 1 thread on each address"),
            (
                {"lane": "native", "threads": 1, "lane_why": "fog"},
                "native lane, 1 thread on each address: fog",
            ),
            ({"lane": "python", "lane_why": "it rains"}, "python lane: it rains"),
            ({"lane": "python"}, "python lane"),
        ],
    )
    def test_status_shows_the_lane(
        self, geodns: Geodns, running: Running, found: dict[str, object], told: str
    ) -> None:
        running.control.status = lambda: {"version": "0.1.0", **found}  # type: ignore[method-assign]
        assert geodns("status", "--url", running.url).out.splitlines()[0].split("  ")[-1] == f"0.1.0, {told}"

    def test_status_of_a_server_that_says_less(self, geodns: Geodns, running: Running) -> None:
        running.control.status = lambda: {}  # type: ignore[method-assign]
        assert geodns("status", "--url", running.url).code == 0


class TestFindingTheServer:
    def test_nothing_listens(self, geodns: Geodns, monkeypatch: pytest.MonkeyPatch) -> None:
        port = closed_port()
        monkeypatch.setenv("ADMIN_PORT", str(port))
        done = geodns("status")
        assert done.code == 1
        assert done.err == (
            f"geodns: no geodns answers at http://127.0.0.1:{port}: start one with `geodns serve` "
            "or `make demo`, or name another by --url\n"
        )

    def test_the_token_is_found_where_it_was_made(
        self, geodns: Geodns, running: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "demo").mkdir()
        (tmp_path / "token").rename(tmp_path / "demo" / "token")
        assert geodns("status", "--url", running.url).code == 0, "the demo's"
        (tmp_path / "demo" / "token").rename(tmp_path / "other")
        assert "no token found: name the server's token file" in geodns("status", "--url", running.url).err
        assert geodns("status", "--url", running.url, "--token-file", "other").code == 0, "by option"
        monkeypatch.setenv("GEODNS_TOKEN_FILE", "other")
        assert geodns("status", "--url", running.url).code == 0, "by environment"
        monkeypatch.delenv("GEODNS_TOKEN_FILE")
        (tmp_path / "geodns.yaml").write_text("admin: {token_file: other}\n")
        assert geodns("status", "--url", running.url).code == 0, "by the settings here"

    def test_a_demos_old_token_does_not_hide_the_right_one(
        self, geodns: Geodns, running: Running, tmp_path: Path
    ) -> None:
        (tmp_path / "demo").mkdir()
        (tmp_path / "demo" / "token").write_text("of-yesterday's-demo")
        assert geodns("status", "--url", running.url).code == 0

    def test_a_wrong_token_is_told_by_its_file(
        self, geodns: Geodns, running: Running, tmp_path: Path
    ) -> None:
        (tmp_path / "wrong").write_text("not-the-token-at-all")
        done = geodns("status", "--url", running.url, "--token-file", "wrong")
        assert done.code == 1
        assert "does not accept the token of wrong" in done.err

    def test_a_token_that_was_not_named_never_leaves_this_machine(
        self, geodns: Geodns, tmp_path: Path
    ) -> None:
        from geodns.cli.client import Api
        from geodns.cli.common import Output

        (tmp_path / "token").write_text(TOKEN)
        assert list(Api("http://gslb.example.com:8053", None, Output.TABLE)._tokens()) == []
        assert [token for _, token in Api("http://[::1]:8053", None, Output.TABLE)._tokens()] == [TOKEN]

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (("status", "--url", "gopher://x"), "is no URL such as http://127.0.0.1:8053"),
            (("pause", "cn-south"), "Missing option '--reason'"),
            (("ask", "www.example.com", "NOTYPE"), "'NOTYPE' is no type such as A"),
            (("ask", "a" * 70), "is no domain name"),
            (("ask", "a", "--from", "10.0.0.0/99"), "'10.0.0.0/99' is neither a network nor an address"),
            (("ask", "a", "--server", "127.0.0.1:dns"), "is no address such as 127.0.0.1:5300"),
            (("explain", "www.example.com"), "Missing option '--from'"),
            (("serve", "--set", "level"), "'level' is not KEY=VALUE"),
            (("nonsense",), "No such command 'nonsense'"),
        ],
    )
    def test_a_wrong_call_is_exit_2_with_what_is_wrong(
        self, geodns: Geodns, arguments: tuple[str, ...], says: str
    ) -> None:
        done = geodns(*arguments)
        assert done.code == 2
        assert says in " ".join(done.err.split())

    def test_a_port_that_is_none(self, geodns: Geodns, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ADMIN_PORT", "eight")
        assert (
            geodns("status").err == "geodns: ADMIN_PORT=eight is no port: it must be a number up to 65535\n"
        )


DECISION: dict[str, Any] = {
    "name": "www.gslb.example.com.",
    "type": "A",
    "rcode": "NOERROR",
    "pool": "web",
    "policy": "by-carrier",
    "pick": "weighted",
    "client": {"address": "10.1.0.0", "family": 4, "prefix": 16, "from": "client subnet", "note": ""},
    "place": {
        "continent": "AS", "country": "CN", "subdivisions": ["CN-GD"], "city": "Guangzhou", "asn": 4134,
        "organization": "Chinanet", "lines": ["telecom"], "at": [23.13, 113.26], "at_from": "location",
    },
    "rules": [
        {"index": 0, "position": "zones/a.yaml:9:7", "when": {"lines": ["unicom"]}, "matched": False,
         "failed_on": "line"},
        {"index": 1, "position": "zones/a.yaml:10:7", "when": {}, "matched": True, "failed_on": ""},
    ],
    "order": [
        {"regions": [["cn-south", 90], ["cn-north", 10]], "by_weight": False, "implied": False},
        {"regions": [["eu-west", 1]], "by_weight": False, "implied": True},
    ],
    "nearest_from": "location",
    "stage": "available",
    "regions": [
        {"region": "cn-south", "group": 0, "healthy": 0, "total": 1, "needed": 1, "dropped": "paused"},
        {"region": "cn-north", "group": 0, "healthy": 1, "total": 1, "needed": 1, "dropped": ""},
    ],
    "endpoints": [
        {"region": "cn-south", "name": "gz-1", "family": 4, "value": "192.0.2.10", "verdict": "up",
         "reason": "200 OK", "tier": 1, "weight": 3, "kept": False, "why": "the region does not serve"},
        {"region": "cn-north", "name": "bj-1", "family": 4, "value": "192.0.2.110", "verdict": "up",
         "reason": "200 OK", "tier": 1, "weight": 1, "kept": True, "why": ""},
    ],
    "odds": [{"region": "cn-north", "name": "bj-1", "value": "192.0.2.110", "weight": 1, "share": 1.0}],
    "ttl": {"value": 8, "record": 15, "lowered_by": "the answer may change in 8 s"},
    "scope": 16,
    "table": {"agrees": False, "difference": "the running table differs in rrs"},
    "answer": ["192.0.2.110"],
}  # fmt: skip

TOLD = """\
www.gslb.example.com. A  NOERROR  pool web, policy by-carrier, pick weighted
client     10.1.0.0/16 (from the client subnet)
place      where    AS CN CN-GD Guangzhou
           network  AS4134 Chinanet
           lines    telecom
           at       23.13, 113.26 (location)
rules      1  zones/a.yaml:9:7   lines unicom  no: line differs
           2  zones/a.yaml:10:7  everybody     matched
order      1  cn-south 90, cn-north 10
           2  eu-west                   (implied)
nearest    measured from the client's location
stage      available: healthy endpoints serve
regions    cn-south  dropped: paused
           cn-north  serves: 1 of 1 healthy, needs 1
endpoints  cn-south  gz-1  192.0.2.10   up  tier 1 weight 3  dropped: the region does not serve  200 OK
           cn-north  bj-1  192.0.2.110  up  tier 1 weight 1  kept                                200 OK
odds       100.0%  192.0.2.110  cn-north/bj-1
ttl        8 s, lowered from 15 s: the answer may change in 8 s
scope      /16
table      DIFFERS: the running table differs in rrs
answer     192.0.2.110
"""


class TestExplain:
    def test_prints_the_whole_decision_in_its_order(self, geodns: Geodns, running: Running) -> None:
        running.control.explain = lambda *_: DECISION  # type: ignore[method-assign]
        assert (
            geodns("explain", "www.gslb.example.com", "--from", "10.1.0.0/16", "--url", running.url).out
            == TOLD
        )

    def test_passes_on_what_was_asked(self, geodns: Geodns, running: Running) -> None:
        done = geodns("explain", "www", "AAAA", "--from", "10.1.2.3", "-o", "json", "--url", running.url)
        assert json.loads(done.out) == {"name": "www", "type": "AAAA", "client": {"address": "10.1.2.3"}}

    @pytest.mark.parametrize("key", DECISION)
    def test_does_without_any_part(self, geodns: Geodns, running: Running, key: str) -> None:
        running.control.explain = lambda *_: {k: v for k, v in DECISION.items() if k != key}  # type: ignore[method-assign]
        assert geodns("explain", "www", "--from", "10.1.0.0/16", "--url", running.url).code == 0

    def test_a_client_that_is_none(self, geodns: Geodns, running: Running) -> None:
        done = geodns("explain", "www", "--from", "nowhere", "--url", running.url)
        assert (done.code, done.err) == (1, "geodns: 'nowhere' is no address\n")

    def test_without_a_server_says_how_to_do_without(self, geodns: Geodns) -> None:
        done = geodns("explain", "www", "--from", "10.1.2.3", "--url", f"http://127.0.0.1:{closed_port()}")
        assert done.code == 1
        assert done.err.endswith("; --config geodns.yaml explains from the files alone\n")
