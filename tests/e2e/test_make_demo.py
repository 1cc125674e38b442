"""`make demo`, every line that it says to try, break and mend, and nothing left behind."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from demo_support import Demo, demo


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with demo(tmp_path_factory.mktemp("demo")) as started:
        yield started


def test_every_line_that_it_says_to_try_works_as_it_stands(
    running: Demo, required: Callable[[str], str]
) -> None:
    for tool in ("dig", "curl"):
        required(tool)
    lines = [line.strip() for line in running.said().splitlines() if line.startswith("  ")]
    assert len(lines) >= 6
    for line in lines:
        if "demo break" not in line:
            done = running.shell(line)
            assert done.returncode == 0, f"{line}\n{done.stderr}"
            assert done.stdout.strip(), line
    assert running.shell("geodns resume eu-west").returncode == 0


def test_it_narrates_who_is_answered_from_elsewhere_and_that_they_are_back(running: Demo) -> None:
    where = "geodns ask www.gslb.example.com --from 10.1.0.0/16"
    assert re.search(r"A  192\.0\.2\.1[01]$", running.shell(where).stdout.strip())
    assert "cn-south is broken" in running.shell("geodns demo break cn-south").stdout
    running.wait_for(
        r"cn-south down \(3 of 3, \d+\.\d s\): Telecom Guangdong.* (is|are) now answered from cn-north\n"
    )
    assert re.search(r"A  192\.0\.2\.11[01]$", running.shell(where).stdout.strip())
    out = "critical  region-out"
    running.wait_until(lambda _: out in running.shell("geodns alarms").stdout)
    assert "cn-south is mended" in running.shell("geodns demo mend cn-south").stdout
    running.wait_for(
        r"cn-south up \(2 of 2, \d+\.\d s\): Telecom Guangdong.* (is|are) now answered from cn-south\n"
    )
    answered = running.shell(where).stdout.strip()
    assert re.search(r"A  192\.0\.2\.(1[01]|20)$", answered), "the standby may be back first"
    running.wait_until(lambda _: out not in running.shell("geodns alarms").stdout)


def test_an_unknown_region_is_told_with_those_there_are(running: Demo) -> None:
    done = running.shell("geodns demo break atlantis")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("geodns: the demo has no region 'atlantis'; it has ap-southeast, cn-north")


def test_a_second_demo_says_in_one_line_why_not(running: Demo) -> None:
    done = running.shell("geodns demo")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert running.shell("geodns ask www.gslb.example.com").returncode == 0, "the first one is unharmed"


def test_ctrl_c_stops_all_of_it_and_leaves_nothing(running: Demo) -> None:
    running.interrupt()
    assert "the demo has stopped" in running.said()
    assert "Traceback" not in running.said()
    assert running.left() == []


@pytest.mark.parametrize("variable", ["DNS_PORT", "ADMIN_PORT"])
def test_a_taken_port_is_one_line(tmp_path_factory: pytest.TempPathFactory, variable: str) -> None:
    import socket

    other = Demo(tmp_path_factory.mktemp("other"))
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", int(other.environ[variable])))
        holder.listen()
        done = other.shell("geodns demo")
    assert done.returncode == 1
    assert [line for line in done.stderr.splitlines() if other.environ[variable] in line and "taken" in line]
    assert "Traceback" not in done.stderr
    assert list(other.temporary.rglob("*")) == []
