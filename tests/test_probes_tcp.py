"""TCP probes without a task each: against real sockets on loopback, one and two thousand at a time."""

from __future__ import annotations

import asyncio
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from geodns.core.health import Outcome, Probe, Verdict
from geodns.model import Check
from geodns.monitor.probes import Prober
from geodns.monitor.schedule import Monitor


@contextmanager
def accepting() -> Iterator[tuple[int, list[socket.socket]]]:
    """A port at every address of 127.0.0.0/8, and the connections that were taken there by the loop."""
    taken: list[socket.socket] = []
    loop = asyncio.get_running_loop()

    def accept() -> None:
        with suppress(BlockingIOError):
            while True:
                taken.append(listener.accept()[0])

    with socket.socket() as listener:
        listener.bind(("0.0.0.0", 0))
        listener.listen(1024)
        listener.setblocking(False)
        loop.add_reader(listener, accept)
        try:
            yield listener.getsockname()[1], taken
        finally:
            loop.remove_reader(listener)
            for connection in taken:
                connection.close()


@contextmanager
def full() -> Iterator[int]:
    """A port that leaves whoever comes without an answer: its queue is full, so Linux drops the SYN."""
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for waiting in (first, second):
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def tcp(port: int, address: str = "127.0.0.1", timeout: float = 2.0) -> Probe:
    return Probe(Check("tcp", timeout=timeout), address, port)


async def found(prober: Prober, probe: Probe) -> Outcome:
    outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
    assert prober.begin(probe, outcome.set_result) is not None
    assert not outcome.done()  # never before it returned
    async with asyncio.timeout(5):
        return await outcome


async def test_who_accepts_is_well_and_is_left_by_a_reset(prober: Prober) -> None:
    with accepting() as (port, taken):
        ok, detail, *_ = await found(prober, tcp(port))
        assert ok
        assert re.fullmatch(r"connected in \d+ ms", detail)
        await asyncio.sleep(0.01)
        (connection,) = taken
        with pytest.raises(ConnectionResetError):
            connection.recv(1)


async def test_who_refuses_is_not(prober: Prober, closed_port: int) -> None:
    assert await found(prober, tcp(closed_port)) == Outcome(False, "connection refused")


@pytest.mark.parametrize("address", ["::1", "2001:db8::1"])
async def test_over_ipv6(prober: Prober, closed_port: int, address: str) -> None:
    ok, detail, *_ = await found(prober, tcp(closed_port, address, timeout=0.5))
    assert not ok
    assert detail


async def test_who_does_not_answer_is_waited_for_as_long_as_the_check_says(prober: Prober) -> None:
    with full() as port:
        began = time.monotonic()
        assert await found(prober, tcp(port, timeout=0.2)) == Outcome(False, "timed out after 0.2 s")
        assert 0.19 < time.monotonic() - began < 1.0


async def test_after_it_was_cancelled_nothing_is_told(prober: Prober, closed_port: int) -> None:
    told: list[Outcome] = []
    with full() as port:
        for at in (port, closed_port):
            cancel = prober.begin(tcp(at, timeout=0.1), told.append)
            assert cancel is not None
            cancel()
            cancel()
        await asyncio.sleep(0.2)
    assert told == []


async def test_whoever_wants_more_than_a_connection_is_for_a_task(prober: Prober) -> None:
    for probe in (tcp(80, "localhost"), tcp(80, "169.254.169.254"), Probe(Check("http"), "127.0.0.1", 80)):
        assert prober.begin(probe, lambda outcome: None) is None
    assert "cloud metadata" in (await prober(tcp(80, "169.254.169.254"))).detail


async def test_no_descriptor_left_is_a_failure_and_no_fault(
    prober: Prober, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: object) -> socket.socket:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patched:
        patched.setattr("geodns.monitor.probes.tcp.socket.socket", none)
        outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        prober.begin(tcp(80), outcome.set_result)
    assert await outcome == Outcome(False, "too many open files here")


async def test_2_000_endpoints_and_no_late_round(prober: Prober, closed_port: int) -> None:
    check = Check("tcp", interval=5.0, timeout=2.0, fall=1)
    monitor = Monitor(lambda changes: None, time.time, prober, begin=prober.begin)
    with accepting() as (port, taken):
        await monitor.set_probes(
            frozenset(
                Probe(check, f"127.1.{n >> 8}.{n & 255}", port if n % 100 else closed_port)
                for n in range(2000)
            )
        )
        await monitor.first_round()
        await asyncio.sleep(2)
        verdicts = [track.health.verdict for track in monitor.snapshot().values()]
        await monitor.stop()
    assert monitor.stats.late == monitor.stats.errors == 0
    assert monitor.stats.rounds > 2000
    assert (verdicts.count(Verdict.UP), verdicts.count(Verdict.DOWN)) == (1980, 20)
    assert monitor.running == 0
    assert len(taken) >= 1980
