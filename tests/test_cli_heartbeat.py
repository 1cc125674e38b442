"""`geodns heartbeat`: one, or one after the other; signed with a secret that stands in no argument."""

# ruff: noqa: F401, F811 - fixtures are imported by name

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from admin_support import SECRET
from cli_support import Geodns, Running, closed_port, geodns, running

from geodns.core.heartbeats import StaleError

WHO = ("heartbeat", "cn-south:web:gz-1", "--key", "agents")


@pytest.fixture
def secret(tmp_path: Path) -> str:
    (tmp_path / "secret").write_bytes(SECRET + b"\n")
    return str(tmp_path / "secret")


def test_one_heartbeat(geodns: Geodns, running: Running, secret: str) -> None:
    told = geodns(*WHO, "--secret-file", secret, "--load", "70", "--capacity", "100", "--url", running.url)
    assert told.out == "cn-south:web:gz-1 is up: 1 of 1: heartbeat\n"
    [(key, beat, _)] = running.control.beats
    assert (key, beat.subject, beat.load, beat.capacity) == ("agents", "cn-south:web:gz-1", 70.0, 100.0)
    assert not beat.draining
    assert abs(beat.at - time.time()) < 5


def test_draining_with_the_secret_of_the_environment(
    geodns: Geodns, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEODNS_HEARTBEAT_SECRET", SECRET.decode())
    told = geodns(*WHO, "--draining", "--url", running.url, "-o", "json")
    assert json.loads(told.out)["verdict"] == "up"
    assert running.control.beats[0][1].draining


def test_one_after_the_other_until_it_is_ended(
    geodns: Geodns, running: Running, secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is stamped anew; a server that does not answer is told once, and asked again."""
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        running.control.failing = StaleError("heard before") if len(slept) in (2, 3) else None
        if len(slept) == 6:
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", sleep)
    told = geodns(*WHO, "--secret-file", secret, "--every", "5s", "--url", running.url)
    assert (told.code, told.out) == (130, "")
    assert told.err.count("heard before") == 1
    stamps = [beat.at for _, beat, _ in running.control.beats]
    assert len(stamps) == 4
    assert stamps == sorted(set(stamps))
    assert all(4 < seconds <= 5 for seconds in slept)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ((), "GEODNS_HEARTBEAT_SECRET: the variable is not set"),
        (("--secret-file", "none"), "none: the secret cannot be read: No such file"),
        (("--secret-file", "short"), "short: a secret for heartbeats has at least 16 octets"),
    ],
)
def test_without_a_secret_nothing_is_sent(
    geodns: Geodns, running: Running, tmp_path: Path, words: tuple[str, ...], why: str
) -> None:
    (tmp_path / "short").write_text("x")
    told = geodns(*WHO, *words, "--url", running.url)
    assert told.code == 1
    assert why in told.err
    assert not running.control.beats


def test_what_is_refused_is_told_in_a_line(
    geodns: Geodns, running: Running, tmp_path: Path, secret: str
) -> None:
    (tmp_path / "other").write_text("f" * 32)
    told = geodns(*WHO, "--secret-file", str(tmp_path / "other"), "--url", running.url)
    assert told.code == 1
    assert told.err.startswith("geodns: sign the body with the secret of a key of heartbeats.keys")
    nobody = geodns(*WHO, "--secret-file", secret, "--url", f"http://127.0.0.1:{closed_port()}")
    assert nobody.code == 1
    assert "no geodns answers at" in nobody.err
    assert geodns(*WHO, "--secret-file", secret, "--every", "soon").code == 2
