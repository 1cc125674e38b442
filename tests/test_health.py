"""How results become a verdict. A run of results is written as `+` (good) and `-` (bad), 3 s apart."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geodns.core.health import Health, Probe, Result, Track, Verdict, fold, probe_of
from geodns.model import Check, Endpoint

CHECK = Check("tcp", port=80, interval=3.0, timeout=2.0, fall=3, rise=2)


def run(results: str, verdict: Verdict = Verdict.UNKNOWN, check: Check = CHECK) -> list[Track]:
    tracks = [Track(Health(verdict))]
    for n, sign in enumerate(results, 1):
        result = Result(sign == "+", n * check.interval, 0.1, "ok" if sign == "+" else "refused")
        tracks.append(fold(tracks[-1], result, check))
    return tracks


LETTER = {Verdict.UP: "U", Verdict.DOWN: "D", Verdict.UNKNOWN: "?"}


@pytest.mark.parametrize(
    ("start", "results", "verdicts", "doubts"),
    [
        # never probed: one good result is enough, `fall` bad ones are needed
        (Verdict.UNKNOWN, "+", "U", "."),
        (Verdict.UNKNOWN, "---", "??D", ".!."),
        (Verdict.UNKNOWN, "--+", "??U", ".!."),
        # up: falls after `fall` bad in a row, a good one in between starts anew
        (Verdict.UP, "---", "UUD", ".!."),
        (Verdict.UP, "--+--+", "UUUUUU", ".!..!."),
        (Verdict.UP, "+++", "UUU", "..."),
        # down: rises after `rise` good in a row
        (Verdict.DOWN, "++", "DU", "!."),
        (Verdict.DOWN, "+-+-", "DDDD", "!.!."),
        (Verdict.DOWN, "---", "DDD", "..."),
        # there and back: a streak that flipped the verdict is spent
        (Verdict.UP, "---++---", "UUDDUUUD", ".!.!..!."),
    ],
)
def test_a_run_of_results(start: Verdict, results: str, verdicts: str, doubts: str) -> None:
    tracks = run(results, start)[1:]
    assert "".join(LETTER[t.health.verdict] for t in tracks) == verdicts
    assert "".join("!" if t.health.doubt_until else "." for t in tracks) == doubts


def test_a_flip_says_when_since_and_why() -> None:
    track = run("---", Verdict.UP)[-1]
    assert track.health == Health(Verdict.DOWN, since=9.0, doubt_until=0.0, reason="3 of 3: refused")
    assert track.streak_since == 3.0  # the first of the three


def test_doubt_lasts_until_the_next_result_must_be_in() -> None:
    assert run("--", Verdict.UP)[-1].health.doubt_until == 6.0 + CHECK.interval + CHECK.timeout


SIGNS = st.text("+-", max_size=60)


@given(SIGNS, st.integers(1, 5), st.integers(1, 5))
def test_flaps_below_the_threshold_never_change_a_verdict(results: str, fall: int, rise: int) -> None:
    check = Check("tcp", interval=1.0, timeout=1.0, fall=fall, rise=rise)
    before = Verdict.UP
    for n, track in enumerate(run(results, Verdict.UP, check)):
        now = track.health.verdict
        if now is not before:
            need, sign = (fall, "-") if now is Verdict.DOWN else (rise, "+")
            assert results[:n].endswith(sign * need)
        before = now


@given(SIGNS, st.integers(2, 5), st.integers(2, 5))
def test_doubt_is_exactly_one_contrary_result_short_of_a_flip(results: str, fall: int, rise: int) -> None:
    check = Check("tcp", interval=1.0, timeout=1.0, fall=fall, rise=rise)
    for track in run(results, Verdict.UP, check):
        contrary = Result(track.health.verdict is Verdict.DOWN, 1000.0, 0.1)
        flips = fold(track, contrary, check).health.verdict is not track.health.verdict
        assert bool(track.health.doubt_until) == flips


@given(SIGNS, st.integers(1, 5), st.integers(1, 5))
def test_health_changes_only_with_verdict_or_doubt(results: str, fall: int, rise: int) -> None:
    """So that answers are not made anew for every probe."""
    check = Check("tcp", interval=1.0, timeout=1.0, fall=fall, rise=rise)
    tracks = run(results, Verdict.UP, check)
    for one, two in pairwise(tracks):
        same = (one.health.verdict, one.health.doubt_until) == (two.health.verdict, two.health.doubt_until)
        assert (one.health == two.health) == same


def test_what_is_probed() -> None:
    web = Check("https")
    assert probe_of(Endpoint("a", ipv4="192.0.2.1"), 4) is None  # no check: up
    assert probe_of(Endpoint("a", ipv4="192.0.2.1", check=web), 4) == Probe(web, "192.0.2.1", 443)
    assert probe_of(Endpoint("a", ipv4="192.0.2.1", check=web), 6) is None  # no such address
    assert probe_of(Endpoint("a", ipv6="2001:db8::1", port=8443, check=web), 6) == Probe(
        web, "2001:db8::1", 8443
    )
    elsewhere = Endpoint("a", ipv4="192.0.2.1", ipv6="2001:db8::1", probe="127.0.0.1", check=web)
    assert probe_of(elsewhere, 4) == probe_of(elsewhere, 6) == Probe(web, "127.0.0.1", 443)
    target = Endpoint("a", target=b"\3www\7example\0", check=web)
    assert probe_of(target, 0) == Probe(web, "www.example", 443)


def test_a_probe_id_is_the_same_in_every_run_and_tells_checks_apart() -> None:
    one = Probe(Check("http", path="/a"), "2001:db8::1", 80)
    assert one.id == Probe(Check("http", path="/a"), "2001:db8::1", 80).id
    assert one.id.startswith("http://[2001:db8::1]:80#")
    assert one.id != Probe(Check("http", path="/b"), "2001:db8::1", 80).id
