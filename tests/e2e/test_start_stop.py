"""Signals and edits at awkward moments: at the start, in the middle of a reading, the folder replaced."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Callable, Iterator

import pytest
from e2e_support import UNCHECKED, ZONE, Deaf, Origin, Server, until

PATIENT = "startup_wait: 60s\n"


@pytest.fixture
def waiting(serve: Callable[..., Server], origin: Callable[[], Origin]) -> Iterator[Server]:
    """A server that waits for a probe that never ends."""
    deaf = Deaf()
    zone = ZONE.format(east=deaf.port, west=origin().port).replace("timeout: 200ms", "timeout: 60s")
    server = serve(zone, PATIENT).start(ready=False)
    assert not (server.readiness() or {})["ready"]
    yield server
    deaf.close()


def test_sigterm_while_the_first_round_is_waited_for_ends_it_at_once(waiting: Server) -> None:
    began = time.monotonic()
    assert waiting.stop() == 0
    assert time.monotonic() - began < 5
    assert "event=answering" not in waiting.log()


def test_sighup_and_edits_while_the_first_round_is_waited_for_are_reloads(waiting: Server) -> None:
    waiting.hang_up()
    until(lambda: waiting.log().count("event=reloaded") == 1)
    waiting.write("shop.example.yaml", UNCHECKED)
    until(lambda: (waiting.readiness() or {})["ready"])
    assert waiting.answers() == ["192.0.2.1"]


def test_a_folder_that_was_replaced_is_followed(serve: Callable[..., Server]) -> None:
    server = serve(UNCHECKED).start()
    shutil.rmtree(server.zones)
    until(lambda: server.status()["problem"])
    server.zones.mkdir()
    server.write("shop.example.yaml", UNCHECKED.replace("192.0.2.100", "192.0.2.101"))
    until(lambda: server.answers("static.shop.example") == ["192.0.2.101"])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ended_while_it_reads_it_ends_at_once_and_cleanly(
    serve: Callable[..., Server], number: signal.Signals
) -> None:
    many = "".join(f"  n{i}: {{A: 192.0.2.1}}\n" for i in range(20_000))
    server = serve(UNCHECKED).start()
    server.write("shop.example.yaml", UNCHECKED + many)
    server.hang_up()
    time.sleep(0.5)
    began = time.monotonic()
    assert server.stop(number) == 0
    assert time.monotonic() - began < 5
    assert "Traceback" not in server.log()
