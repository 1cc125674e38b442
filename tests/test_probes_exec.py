"""Exec checks with real programs: what counts as well, and what nobody gets away with."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from probe_support import LOOPBACK, gone

from geodns.core.health import Outcome, Probe
from geodns.model import Check
from geodns.monitor.probes import Prober

AT_ONCE = 2


@pytest.fixture
async def prober() -> AsyncIterator[Prober]:
    made = Prober(LOOPBACK, commands=AT_ONCE)
    yield made
    await made.close()


def running(script: str, *arguments: str, timeout: float = 5.0, port: int = 0) -> Probe:
    """A probe that runs a script of the shell; the check itself has none."""
    command = ("/bin/sh", "-c", script, "sh", *arguments)
    return Probe(Check("exec", command=command, timeout=timeout), "127.0.0.1", port)


@pytest.mark.parametrize(
    ("script", "wanted"),
    [
        ("echo fine; echo more", Outcome(True, "fine")),
        ("echo; echo '  OK - 3 users|users=3 '", Outcome(True, "OK - 3 users|users=3")),
        ("echo bad >&2; exit 2", Outcome(False, "exit code 2: bad")),
        ("exit 3", Outcome(False, "exit code 3")),
        ("kill -SEGV $$", Outcome(False, "killed by SIGSEGV")),
        ("printf 'a\\033[31mb\\377\\n'; exit 1", Outcome(False, "exit code 1: a [31mb\ufffd")),
    ],
)
async def test_what_a_program_ends_with_decides(prober: Prober, script: str, wanted: Outcome) -> None:
    assert await prober(running(script)) == wanted


async def test_a_program_that_says_nothing(prober: Prober) -> None:
    ok, detail, *_ = await prober(running("true"))
    assert ok
    assert detail.startswith("exit code 0 in ")


async def test_arguments_are_no_shell_s(prober: Prober) -> None:
    check = Check("exec", command=("/bin/echo", "$HOME; `id` *", "two  blanks"))
    assert (await prober(Probe(check, "127.0.0.1", 0))).detail == "$HOME; `id` * two blanks"


async def test_it_knows_what_its_environment_says_and_nothing_else(
    prober: Prober, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEODNS_SECRET", "not for programs")
    script = "env | grep -v ^_= | grep -v ^PWD= | grep -v ^SHLVL= | sort | tr '\\n' ' '; pwd"
    told = (await prober(running(script, port=389, timeout=2.5))).detail
    assert told.replace("SHLVL=0 ", "") == (
        "GEODNS_ADDRESS=127.0.0.1 GEODNS_HOST=127.0.0.1 GEODNS_PORT=389 GEODNS_TIMEOUT=2.5 LANG=C.UTF-8 "
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin /"
    )
    assert "GEODNS_PORT" not in (await prober(running("env | tr '\\n' ' '"))).detail


async def test_no_file_of_the_server_is_open_in_it(prober: Prober) -> None:
    ours = os.dup(0)
    os.set_inheritable(ours, True)
    listed = (await prober(running("ls /proc/self/fd | tr '\\n' ' '"))).detail.split()
    os.close(ours)
    assert len(listed) <= 4, listed  # standard ones, and the folder that ls reads


async def test_a_program_whose_time_is_over_is_killed_with_its_group(prober: Prober, tmp_path: Path) -> None:
    script = f"sleep 60 & echo $! > {tmp_path}/child; echo $$ > {tmp_path}/head; trap '' TERM; wait; sleep 60"
    began = time.monotonic()
    assert await prober(running(script, timeout=0.5)) == Outcome(False, "timed out after 0.5 s")
    assert time.monotonic() - began < 2
    for name in ("child", "head"):
        assert await gone(int((tmp_path / name).read_text()))


async def test_what_a_program_leaves_behind_ends_with_it(prober: Prober, tmp_path: Path) -> None:
    began = time.monotonic()
    assert await prober(running(f"sleep 60 & echo $! > {tmp_path}/child; echo ok")) == Outcome(True, "ok")
    assert time.monotonic() - began < 2
    assert await gone(int((tmp_path / "child").read_text()))


async def test_what_left_the_group_holds_nothing_up(prober: Prober, tmp_path: Path) -> None:
    """It holds the pipe open; that is closed here."""
    files = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    began = time.monotonic()
    script = f"setsid sh -c 'echo $$ > {tmp_path}/pid; exec sleep 5' & sleep 0.2; echo ok"
    assert await prober(running(script)) == Outcome(True, "ok")
    assert time.monotonic() - began < 2
    await asyncio.sleep(0.05)
    assert len(os.listdir("/proc/self/fd")) <= files + 1  # noqa: PTH208 - the loop's own pipe
    os.kill(int((tmp_path / "pid").read_text()), 9)


async def test_endless_output_ends_it(prober: Prober) -> None:
    assert await prober(running("yes")) == Outcome(False, "ended: it wrote more than 64 KiB")
    assert await prober(running("echo begun; cat /dev/zero")) == Outcome(
        False, "ended: it wrote more than 64 KiB"
    )


async def test_a_probe_that_is_given_up_leaves_nothing(prober: Prober, tmp_path: Path) -> None:
    task = asyncio.create_task(prober(running(f"echo $$ > {tmp_path}/pid; exec sleep 60")))
    await asyncio.sleep(0.5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await gone(int((tmp_path / "pid").read_text()))


async def test_no_more_run_at_a_time_than_may_and_waiting_is_no_failure(
    prober: Prober, tmp_path: Path
) -> None:
    script = f"touch {tmp_path}/$$; ls {tmp_path} | wc -l; sleep 0.3; rm {tmp_path}/$$"
    found = await asyncio.gather(*(prober(running(script, timeout=1.5)) for _ in range(8)))  # 1.2 s in all
    assert all(outcome.ok for outcome in found), found
    assert max(int(outcome.detail) for outcome in found) == AT_ONCE


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("/nowhere/at/all", "cannot run /nowhere/at/all: no such file or directory"),
        ("/etc/passwd", "cannot run /etc/passwd: permission denied"),
    ],
)
async def test_what_cannot_be_run(prober: Prober, program: str, why: str) -> None:
    assert await prober(Probe(Check("exec", command=(program,)), "127.0.0.1", 0)) == Outcome(False, why)


async def test_programs_are_off_by_default() -> None:
    made = Prober(LOOPBACK)
    assert await made(running("true")) == Outcome(False, "not allowed: programs are not run (probes.exec)")
    await made.close()


async def test_nor_are_they_told_an_address_that_probes_may_not_reach() -> None:
    made = Prober(commands=1)
    refused = await made(running("true"))
    assert not refused.ok
    assert refused.detail.startswith("not allowed: 127.0.0.1 is this machine")
    await made.close()


async def test_starting_one_holds_up_answers_for_a_moment_only(prober: Prober) -> None:
    """Of the slowest start in twenty the loop stands still for less than a probe's interval by far."""
    loop, longest = asyncio.get_running_loop(), 0.0
    check = Check("exec", command=(sys.executable, "-c", ""), timeout=10.0)
    for _ in range(20):
        task = asyncio.create_task(prober(Probe(check, "127.0.0.1", 0)))
        while not task.done():
            before = loop.time()
            await asyncio.sleep(0)
            longest = max(longest, loop.time() - before)
            await asyncio.sleep(0.001)
    assert longest < 0.1
