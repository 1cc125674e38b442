"""How results become a verdict. A run of results is written as `+` (good) and `-` (bad), 3 s apart."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geodns.core.failover import detection
from geodns.core.health import (
    MOST_HELD,
    Health,
    Probe,
    Result,
    Track,
    Verdict,
    flaps_left,
    fold,
    gap,
    probes_of,
)
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
        latest = (track.last.at if track.last else 0.0) + check.interval + check.timeout
        contrary = Result(track.health.verdict is Verdict.DOWN, latest, 0.1)
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


WINDOWED = Check("tcp", interval=3.0, timeout=2.0, fall=3, fall_of=5, rise=2, rise_of=3, damping=0.0)


@pytest.mark.parametrize(
    ("start", "results", "verdicts", "doubts"),
    [
        # 3 of 5: a good result in between does not start anew, it only grows old with the others
        (Verdict.UP, "-+-+-", "UUUUD", "..!!."),
        (Verdict.UP, "--++-", "UUUUD", ".!!!."),
        (Verdict.UP, "--+++-", "UUUUUU", ".!!!.."),
        (Verdict.UP, "---", "UUD", ".!."),
        (Verdict.UP, "-++-++-++-", "UUUUUUUUUU", "...!..!..!"),
        # 2 of 3
        (Verdict.DOWN, "+-+", "DDU", "!!."),
        (Verdict.DOWN, "+--+", "DDDD", "!!.!"),
        # what flipped the verdict is spent
        (Verdict.UP, "---+-+--", "UUDDDUUU", ".!.!!..!"),
    ],
)
def test_a_window_of_results(start: Verdict, results: str, verdicts: str, doubts: str) -> None:
    tracks = run(results, start, WINDOWED)[1:]
    assert "".join(LETTER[t.health.verdict] for t in tracks) == verdicts
    assert "".join("!" if t.health.doubt_until else "." for t in tracks) == doubts


def test_a_window_says_how_many_of_how_many() -> None:
    assert run("-+-+-", Verdict.UP, WINDOWED)[-1].health.reason == "3 of 5: refused"


@given(SIGNS, st.integers(1, 5), st.integers(0, 6), st.integers(1, 5), st.integers(0, 6))
def test_a_verdict_flips_exactly_when_its_window_is_contrary_enough(
    results: str, fall: int, fall_of: int, rise: int, rise_of: int
) -> None:
    check = Check("tcp", interval=1.0, fall=fall, fall_of=fall_of, rise=rise, rise_of=rise_of, damping=0.0)
    tracks = run(results, Verdict.UP, check)
    since = 0  # results before this one flipped a verdict and are spent
    for n, (before, after) in enumerate(pairwise(tracks), 1):
        down = before.health.verdict is Verdict.DOWN
        need, of, sign = (rise, max(rise, rise_of), "+") if down else (fall, max(fall, fall_of), "-")
        counted = results[max(since, n - of) : n].count(sign)
        flipped = after.health.verdict is not before.health.verdict
        assert flipped == (counted >= need and results[n - 1] == sign)
        since = n if flipped else since


@given(SIGNS, st.integers(2, 5), st.integers(0, 6), st.integers(2, 5), st.floats(0.5, 20))
def test_who_is_not_in_doubt_does_not_flip_and_who_flips_does_so_in_time(
    results: str, fall: int, fall_of: int, rise: int, damping: float
) -> None:
    check = Check("tcp", interval=1.0, timeout=0.5, fall=fall, fall_of=fall_of, rise=rise, damping=damping)
    for before, after in pairwise(run(results, Verdict.UP, check)):
        if after.health.verdict is not before.health.verdict:
            assert before.health.doubt_until
            assert after.health.since <= before.health.doubt_until


FAST = Check("tcp", interval=3.0, timeout=0.5, retry_interval=1.0, fall=3, rise=2, damping=0.0)


@pytest.mark.parametrize(
    ("start", "results", "gaps"),
    [
        (Verdict.UP, "+--+", [3, 1, 1, 3]),
        (Verdict.UP, "---", [1, 1, 3]),  # what is surely down is in no hurry
        (Verdict.DOWN, "-++", [3, 1, 3]),
        (Verdict.UNKNOWN, "-+", [1, 3]),
    ],
)
def test_disagreeing_results_are_followed_sooner(start: Verdict, results: str, gaps: list[int]) -> None:
    assert [gap(track, FAST) for track in run(results, start, FAST)[1:]] == gaps


def test_doubt_reckons_with_the_sooner_probe() -> None:
    assert run("--", Verdict.UP, FAST)[-1].health.doubt_until == 6.0 + 1.0 + 0.5


DAMPED = Check("tcp", interval=1.0, timeout=0.5, fall=2, rise=2, damping=10.0)


def outages(results: str, check: Check = DAMPED) -> list[float]:
    """How long each outage lasted by the verdicts, in seconds."""
    lasted, fell = [], 0.0
    for before, after in pairwise(run(results, Verdict.UP, check)):
        if after.health.verdict is not before.health.verdict:
            if after.health.verdict is Verdict.UP:
                lasted.append(after.health.since - fell)
            fell = after.health.since
    return lasted


def test_a_second_fall_is_held_and_each_further_one_twice_as_long() -> None:
    assert outages("--++") == [2]
    again = "--++"
    assert outages(again + "--" + "+" * 30) == [2, 10]
    assert outages(again + "--" + "+" * 12 + "--" + "+" * 25) == [2, 10, 20]


def test_a_return_is_held_no_longer_than_32_times_the_damping() -> None:
    track, lasted = Track(Health(Verdict.UP)), []
    for n in range(3000):  # it fails whenever it is believed to be up
        before, track = track, fold(track, Result(track.health.verdict is Verdict.DOWN, n, 0.1), DAMPED)
        if (before.health.verdict, track.health.verdict) == (Verdict.DOWN, Verdict.UP):
            lasted.append(track.health.since - before.health.since)
    assert lasted[:7] == [2, 10, 20, 40, 80, 160, 320]
    assert set(lasted[7:]) == {MOST_HELD * 10}


def test_staying_up_makes_up_for_a_fall() -> None:
    soon, later = ("--++" + "+" * up + "--" + "+" * 30 for up in (200, MOST_HELD * 10))
    assert outages(soon) == [2, 10]
    assert outages(later) == [2, 2]
    tracks = run("--++" + "+" * MOST_HELD * 10, Verdict.UP, DAMPED)
    assert flaps_left(tracks[4], 4.0, DAMPED) == 1
    assert flaps_left(tracks[-1], 4.0 + MOST_HELD * 10, DAMPED) == 0


def test_without_damping_nothing_is_held() -> None:
    check = Check("tcp", interval=1.0, timeout=0.5, fall=2, rise=2, damping=0.0)
    assert outages("--++" * 10, check) == [2] * 10


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), max_size=12), st.floats(0, 30))
def test_a_failure_is_never_held_back(times: list[tuple[int, int]], damping: float) -> None:
    check = Check("tcp", interval=1.0, timeout=0.5, fall=2, rise=2, damping=damping)
    results = "".join("-" * bad + "+" * good for bad, good in times)
    for n, track in enumerate(run(results, Verdict.UP, check)):
        if results[:n].endswith("--"):
            assert track.health.verdict is Verdict.DOWN


@given(SIGNS, st.floats(1, 30))
def test_what_is_held_is_shown_and_comes_back_when_it_is_over(results: str, damping: float) -> None:
    check = Check("tcp", interval=1.0, timeout=0.5, fall=2, rise=2, damping=damping)
    for before, after in pairwise(run(results + "+" * (MOST_HELD * 30 + 2), Verdict.UP, check)):
        if after.health.verdict is Verdict.UP and before.health.verdict is Verdict.DOWN:
            assert after.health.since >= before.held_until
            assert after.held_until == 0.0
    assert after.health.verdict is Verdict.UP


@pytest.mark.parametrize(
    ("check", "seconds"),
    [
        (Check("tcp"), 11.0),
        (Check("tcp", fall=3, fall_of=5), 11.0),
        (Check("tcp", interval=3.0, retry_interval=0.5, timeout=0.4), 4.4),
        (Check("tcp", interval=3.0, retry_interval=0.5, timeout=2.0), 9.0),  # a probe waits for the last
        (Check("tcp", interval=1.0, timeout=1.5, fall=2), 4.5),  # every other round is left out
    ],
)
def test_how_long_a_failure_stays_unnoticed(check: Check, seconds: float) -> None:
    assert detection(check) == pytest.approx(seconds)


def test_what_is_probed() -> None:
    web = Check("https")
    assert probes_of(Endpoint("a", ipv4="192.0.2.1"), 4) == ()  # no check: up
    assert probes_of(Endpoint("a", ipv4="192.0.2.1", check=web), 4) == (Probe(web, "192.0.2.1", 443),)
    assert probes_of(Endpoint("a", ipv4="192.0.2.1", check=web), 6) == ()  # no such address
    own_port = Endpoint("a", ipv6="2001:db8::1", port=8443, check=web)
    assert probes_of(own_port, 6) == (Probe(web, "2001:db8::1", 8443),)
    elsewhere = Endpoint("a", ipv4="192.0.2.1", ipv6="2001:db8::1", probe="127.0.0.1", check=web)
    assert probes_of(elsewhere, 4) == probes_of(elsewhere, 6) == (Probe(web, "127.0.0.1", 443),)
    target = Endpoint("a", target=b"\3www\7example\0", check=web)
    assert probes_of(target, 0) == (Probe(web, "www.example", 443),)


def test_what_is_probed_of_a_check_that_follows_others() -> None:
    web, disk = Check("https"), Check("tcp", port=5432, probe="192.0.2.99")
    both = Check("follow", of=(web, Check("follow", of=(disk,))))
    assert probes_of(Endpoint("a", ipv4="192.0.2.1", probe="192.0.2.8", check=both), 4) == (
        Probe(web, "192.0.2.8", 443),
        Probe(disk, "192.0.2.99", 5432),
    )


def test_a_probe_id_is_the_same_in_every_run_and_tells_checks_apart() -> None:
    one = Probe(Check("http", path="/a"), "2001:db8::1", 80)
    assert one.id == Probe(Check("http", path="/a"), "2001:db8::1", 80).id
    assert one.id.startswith("http://[2001:db8::1]:80#")
    assert one.id != Probe(Check("http", path="/b"), "2001:db8::1", 80).id
