"""From what was observed to a verdict: over checks that are joined, and over observers."""

from __future__ import annotations

import pytest

from geodns.core.failover import detection
from geodns.core.health import Health, Probe, Verdict
from geodns.core.observations import HERE, Observation, agreed, joined, verdict
from geodns.model import Check, Endpoint

WEB, DISK, SSH = Check("http"), Check("tcp", port=5432, probe="192.0.2.99"), Check("tcp", port=22)
STATES = {"u": Verdict.UP, "d": Verdict.DOWN, "?": Verdict.UNKNOWN}


def parts(text: str) -> list[Health]:
    """`u10 d20~30`: up since 10, down since 20 and in doubt until 30; `?` is unknown."""
    found = []
    for word in text.split():
        since, _, doubt = word[1:].partition("~")
        found.append(Health(STATES[word[0]], float(since or 0), float(doubt or 0), f"why {word}"))
    return found


@pytest.mark.parametrize(
    ("observed", "need", "wanted"),
    [
        # all of: one that is down is enough, and the first such decided it; the last one up did
        ("u10 u20 u30", 0, "u30"),
        ("u10 d20 d15", 0, "d15"),
        ("u10 ? u30", 0, "?"),
        ("u10 ? d30", 0, "d30"),
        # any of
        ("d10 d20 d30", 1, "d30"),
        ("d10 u20 u15", 1, "u15"),
        ("d10 ? d30", 1, "?"),
        ("u10 ? d30", 1, "u10"),
        # at least two of
        ("u10 u20 d30", 2, "u20"),
        ("u10 d20 d30", 2, "d30"),
        ("u10 d20 ?", 2, "?"),
        ("d10 d20 ?", 2, "d20"),
        ("u10 u20 ?", 2, "u20"),
        ("?", 0, "?"),
    ],
)
def test_checks_are_joined(observed: str, need: int, wanted: str) -> None:
    [expected] = parts(wanted)
    found = joined(parts(observed), need, ["tcp"] * 3 if " " in observed else ["tcp"])
    assert (found.verdict, found.since) == (expected.verdict, expected.since)


@pytest.mark.parametrize(
    ("observed", "need", "until"),
    [
        ("u1 u2~50 u3~40", 0, 40.0),  # the first one that falls takes all of them down
        ("u1 u2~50 u3~40", 2, 50.0),  # one may fall
        ("u1 u2~50 u3~40", 1, 0.0),  # two may fall, and no more are in doubt
        ("d1~60 d2~70 u3", 0, 70.0),  # both must rise
        ("d1~60 d2~70 u3", 2, 60.0),  # one of them
        ("d1~60 d2 d3", 2, 0.0),
        ("d1~60 d2 ?", 2, 60.0),  # what is not known yet may be up at any moment
        ("u1~60 ?", 0, 0.0),  # unknown: nothing to lose
    ],
)
def test_it_is_in_doubt_while_enough_parts_are(observed: str, need: int, until: float) -> None:
    held = parts(observed)
    assert joined(held, need, ["tcp"] * len(held)).doubt_until == until


def test_people_are_told_which_part_is_down() -> None:
    assert joined(parts("u1 d2 d3"), 0, ["http", "tcp", "tls"]).reason == "1 of 3 up, 3 must be: tcp why d2"
    assert joined(parts("u1 d2"), 1, ["http", "tcp"]).reason == "1 of 2 up, 1 must be: tcp why d2"
    assert joined(parts("u1 ?"), 0, ["http", "tcp"]).reason == "1 of 2 up, 2 must be: 1 not probed yet"


def test_an_endpoint_is_as_well_as_its_checks_come_to() -> None:
    """(web and disk) or ssh: the disk is elsewhere and is the same one for all."""
    both = Check("follow", of=(WEB, DISK))
    endpoint = Endpoint("a", ipv4="192.0.2.1", check=Check("follow", of=(both, SSH), need=1))
    web, disk = Probe(WEB, "192.0.2.1", 80), Probe(DISK, "192.0.2.99", 5432)
    up, down = Health(Verdict.UP, 5.0), Health(Verdict.DOWN, 7.0, reason="3 of 3: connection refused")
    known = {web: up, disk: up, Probe(SSH, "192.0.2.1", 22): down}
    assert verdict(endpoint, 4, known).verdict is Verdict.UP
    fell = verdict(endpoint, 4, known | {disk: down})
    assert fell.verdict is Verdict.DOWN
    assert fell.reason.endswith("follow 1 of 2 up, 2 must be: tcp 3 of 3: connection refused")
    assert verdict(endpoint, 4, {}).verdict is Verdict.UNKNOWN


def test_without_a_check_it_is_up() -> None:
    assert verdict(Endpoint("a", ipv4="192.0.2.1"), 4, {}).verdict is Verdict.UP


def test_what_one_observer_says_is_so() -> None:
    probe, health = Probe(WEB, "192.0.2.1", 80), Health(Verdict.DOWN, 7.0)
    assert agreed([Observation(HERE, probe, health)]) == {probe: health}


def test_the_slowest_of_the_checks_bounds_the_failover() -> None:
    quick, slow = Check("tcp", interval=1, timeout=1), Check("tcp", interval=10, timeout=2)
    assert detection(Check("follow", of=(quick, slow), need=1)) == detection(slow) == 32
