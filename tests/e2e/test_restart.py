"""What a start rests on: remembered verdicts answer at once, without them the first round is waited for."""

from __future__ import annotations

import signal
from collections.abc import Callable

from e2e_support import ZONE, Deaf, Origin, Server, until

EAST, WEST = "192.0.2.1", "192.0.2.2"


def test_verdicts_are_remembered_over_kill_9_and_answer_at_once(
    serve: Callable[..., Server], origin: Callable[[], Origin]
) -> None:
    east, west = origin(), origin()
    server = serve(ZONE.format(east=east.port, west=west.port)).start()
    assert server.status()["ready"]["why"] == "the first round of checks is done"
    east.close()
    until(lambda: server.answers() == [WEST])
    until(lambda: _remembered(server))
    server.stop(signal.SIGKILL)
    server.start()
    assert server.status()["ready"]["why"] == "remembered verdicts"
    assert server.answers() == [WEST]


def _remembered(server: Server) -> bool:
    """Verdicts are written down beside the loop; a kill in that very moment may lose one."""
    import sqlite3

    with sqlite3.connect(server.folder / "state.sqlite") as db:
        return db.execute("SELECT count(*) FROM verdicts WHERE verdict = 'down'").fetchone()[0] == 1


def test_without_any_the_first_round_is_waited_for_and_readyz_tells(
    serve: Callable[..., Server], origin: Callable[[], Origin]
) -> None:
    """A probe that hangs keeps the server waiting, but for no longer than startup_wait."""
    deaf = Deaf()
    zone = ZONE.format(east=deaf.port, west=origin().port).replace("timeout: 200ms", "timeout: 60s")
    server = serve(zone, "startup_wait: 1s\n").start(ready=False)
    first = server.readiness()
    assert first == {"ready": False, "why": "waiting for the first round of checks"}
    until(lambda: (server.readiness() or {}).get("ready"))
    assert (server.readiness() or {})["why"] == "startup_wait is over, 1 of 2 probes did not answer"
    assert server.answers() == [WEST], "what was never probed is not told while another is up"
    deaf.close()
