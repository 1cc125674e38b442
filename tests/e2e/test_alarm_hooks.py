"""A region breaks and is mended: whoever is to be told is told, once, in order, and can prove by whom."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from alarm_support import HANG, SECRET, Receiver, receivers, script
from e2e_support import UNCHECKED, ZONE, Origin, Server, until

LANES_OF_ITS_OWN = True  # who answers has no part in this
EAST_OUT = "region-out:east"
ALARM = "/api/v1/alarms"


@pytest.fixture
def receiver() -> Iterator[Callable[..., Receiver]]:
    yield from receivers()


@pytest.fixture
def alarmed(serve: Callable[..., Server], tmp_path: Path) -> Callable[..., Server]:
    """A server that tells these receivers of alarms."""
    (tmp_path / "secret").write_bytes(SECRET + b"\n")
    (tmp_path / "secret").chmod(0o600)

    def make(zone: str, *to: Receiver, more: str = "", kinds: str = "") -> Server:
        hooks = "\n".join(
            f"    - {{url: {receiver.url}/geodns, secret: {{file: {tmp_path}/secret}}{kinds}}}"
            for receiver in to
        )
        webhooks = f"  webhooks:\n{hooks}\n" if to else ""
        return serve(zone, f"identity: {{server: ns1}}\nalarms:\n  timeout: 1s\n{webhooks}{more}").start()

    return make


def keys(server: Server) -> list[str]:
    return [alarm["key"] for alarm in server.api("GET", ALARM)[1]["alarms"]]


def test_a_region_that_breaks_is_told_of_and_so_that_it_is_mended(
    alarmed: Callable[..., Server],
    receiver: Callable[..., Receiver],
    origin: Callable[[], Origin],
    tmp_path: Path,
) -> None:
    east, west, to = origin(), origin(), receiver(503, 500)  # which fails the first two times
    page = script(tmp_path / "page", f"cat >> {tmp_path}/paged; echo >> {tmp_path}/paged")
    zone = ZONE.format(east=east.port, west=west.port)
    server = alarmed(zone, to, more=f"  command: [{page}]\n")
    time.sleep(0.5)
    assert keys(server) == [] == to.got

    east.healthy = False
    until(lambda: [event for event, _ in to.told()] == ["raised"] * 3)
    assert keys(server) == [EAST_OUT]
    shown = server.cli("alarms").stdout
    assert "critical  region-out  east" in shown
    assert "region east cannot serve: too little is healthy in shop.example/web" in shown
    assert "ALARMS" in (status := server.cli("status").stdout) and "1 critical (geodns alarms)" in status
    east.healthy = True
    until(lambda: to.told()[3:] == [("cleared", EAST_OUT)])
    assert keys(server) == []

    contents = [content for _, content in to.got]
    assert len({content["id"] for content in contents[:3]}) == 1 < len({c["id"] for c in contents})
    assert {content["server"] for content in contents} == {"ns1"}
    until(lambda: (tmp_path / "paged").read_text().count("\n") == 2)
    paged = [json.loads(line) for line in (tmp_path / "paged").read_text().splitlines()]
    assert paged == [contents[0], contents[3]]

    entries = server.api("GET", "/api/v1/log?subject=east&actor=watch")[1]["entries"]
    assert [entry["action"] for entry in entries] == ["clear", "raise"]
    assert entries[1]["after"] == {"alarm": "region-out", "severity": "critical"}
    assert server.metric("geodns_alarms_raised_total") == 1
    messages = {hook["hook"]: hook for hook in server.api("GET", ALARM)[1]["hooks"]}
    assert messages[to.url]["delivered"] == messages[str(page)]["delivered"] == 2
    assert (messages[to.url]["retried"], messages[to.url]["last"]) == (2, "status 204")


def test_who_hangs_holds_up_nobody_else(
    alarmed: Callable[..., Server], receiver: Callable[..., Receiver], origin: Callable[[], Origin]
) -> None:
    east, west = origin(), origin()
    hanging, well = receiver(*[HANG] * 5), receiver()
    server = alarmed(ZONE.format(east=east.port, west=west.port), hanging, well)
    east.healthy = False
    until(well.told)
    east.healthy = True
    until(lambda: len(well.told()) == 2)
    assert well.told() == [("raised", EAST_OUT), ("cleared", EAST_OUT)]
    assert [key for _, key in hanging.told()] == [EAST_OUT] * len(hanging.got), "one at a time"
    assert server.stop() == 0, "nor does it hold up the end"


def test_a_pool_fails_open_and_a_reload_is_refused(
    alarmed: Callable[..., Server], receiver: Callable[..., Receiver], origin: Callable[[], Origin]
) -> None:
    east, west, to = origin(), origin(), receiver()
    zone = ZONE.format(east=east.port, west=west.port)
    server = alarmed(zone, to, kinds=", kinds: [pool-failing-open, reload-refused]")
    east.healthy = west.healthy = False
    until(to.told)
    until(lambda: "checks-failing:http" in keys(server))
    server.write("shop.example.yaml", "zone: [")
    until(lambda: len(to.told()) == 2)
    assert "shop.example.yaml:2:1:" in to.got[1][1]["alarm"]["text"]
    server.write("shop.example.yaml", zone)
    east.healthy = west.healthy = True
    until(lambda: not keys(server))
    until(lambda: len(to.told()) == 4)
    assert to.told()[:2] == [
        ("raised", "pool-failing-open:shop.example/web"),
        ("raised", "reload-refused:zones"),
    ]
    assert {event for event, _ in to.told()[2:]} == {"cleared"}


def test_an_override_is_told_of_before_its_end(
    alarmed: Callable[..., Server], receiver: Callable[..., Receiver]
) -> None:
    to = receiver()
    server = alarmed(UNCHECKED, to, more="  override_ends: 2s\n")
    server.api("PUT", "/api/v1/regions/east/pause", {"reason": "a new router", "actor": "kim", "for": "4s"})
    until(lambda: len(to.told()) == 2)
    assert to.told() == [(event, "override-ends:pause:east") for event in ("raised", "cleared")]
    assert to.at[1] - to.at[0] < 4


def test_a_test_says_who_is_told(
    alarmed: Callable[..., Server], receiver: Callable[..., Receiver], tmp_path: Path
) -> None:
    well, elsewhere, hanging = receiver(), receiver(302), receiver(HANG)
    page = script(tmp_path / "page", "echo no >&2; sleep 60")
    server = alarmed(UNCHECKED, well, elsewhere, hanging, more=f"  command: [{page}]\n")
    done = server.cli("alarms", "--test")
    assert done.returncode == 1
    assert [line.split(None, 2) for line in done.stdout.splitlines()] == [
        [well.url, "ok", "status 204"],
        [elsewhere.url, "FAILED", "status 302: redirects are not followed"],
        [hanging.url, "FAILED", "timed out after 1 s"],
        [str(page), "FAILED", "timed out after 1 s"],
    ]
    assert well.told() == [("test", "test")]
    assert len(elsewhere.got) == 1
    assert keys(server) == []


def test_without_anybody_to_tell_it_says_so(alarmed: Callable[..., Server]) -> None:
    server = alarmed(UNCHECKED)
    done = server.cli("alarms", "--test")
    assert (done.returncode, done.stdout.split(":")[0]) == (0, "nobody is told of alarms")
    assert server.cli("alarms").stdout == "no alarms\n"


def test_a_secret_that_is_not_there_is_told_before_anything_starts(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    server = serve(UNCHECKED, "alarms: {webhooks: [{url: 'http://127.0.0.1:1', secret: {file: none}}]}\n")
    with pytest.raises(AssertionError, match="none: the secret cannot be read"):
        server.start()
