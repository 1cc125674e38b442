"""The demo's endpoints break and mend for real, from another terminal too, and the narration says it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest

from geodns.core.health import Probe
from geodns.demo.endpoints import Endpoints, control, serve_control
from geodns.demo.narrate import narrate
from geodns.errors import GeodnsError
from geodns.model import Check
from geodns.monitor.probes import Prober


@pytest.fixture
def ports() -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    found = [int(s.getsockname()[1]) for s in held]
    for s in held:
        s.close()
    return found


@pytest.fixture
async def endpoints(ports: list[int]) -> AsyncIterator[Endpoints]:
    endpoints = Endpoints({ports[0]: "cn-south", ports[1]: "cn-south", ports[2]: "eu-west"})
    await endpoints.start()
    yield endpoints
    await endpoints.stop()


async def health(ports: list[int]) -> list[str]:
    """What the real monitor's probe says of each."""
    prober = Prober(["127.0.0.0/8"])
    check = Check("http", path="/healthz", body="ok")
    said = [await prober(Probe(check, "127.0.0.1", port)) for port in ports]
    await prober.close()
    return ["ok" if ok else detail for ok, detail, *_ in said]


async def test_break_and_mend_one_region(endpoints: Endpoints, ports: list[int]) -> None:
    assert await health(ports) == ["ok", "ok", "ok"]
    said = await endpoints.break_("cn-south")
    assert said.startswith("cn-south is broken: 127.0.0.1:")
    assert await health(ports) == ["connection refused", "connection refused", "ok"]
    assert endpoints.broken == ["cn-south"]
    assert await endpoints.break_("cn-south") == said  # again changes nothing
    await endpoints.mend("cn-south")
    await endpoints.mend("cn-south")
    assert await health(ports) == ["ok", "ok", "ok"]
    assert endpoints.broken == []


async def test_a_connection_from_before_the_break_gets_503(endpoints: Endpoints, ports: list[int]) -> None:
    url = f"http://127.0.0.1:{ports[0]}/healthz"
    async with aiohttp.ClientSession() as session:
        async with session.get(url) as before:
            assert before.headers["X-Region"] == "cn-south"
            await before.read()
        await endpoints.break_("cn-south")
        async with session.get(url) as after:
            assert after.status == 503


async def test_after_stop_nobody_listens(endpoints: Endpoints, ports: list[int]) -> None:
    await endpoints.stop()
    assert set(await health(ports)) == {"connection refused"}


async def test_a_taken_port_is_one_line_and_leaves_nothing_open(ports: list[int]) -> None:
    with socket.create_server(("127.0.0.1", ports[1])):
        with pytest.raises(GeodnsError, match=rf"needs 127\.0\.0\.1:{ports[1]}: "):
            await Endpoints({ports[0]: "a", ports[1]: "b"}).start()
        assert await health(ports[:1]) == ["connection refused"]


async def test_control_from_another_terminal(endpoints: Endpoints, ports: list[int], tmp_path: Path) -> None:
    path = tmp_path / "demo" / "control.sock"
    async with await serve_control(endpoints, path):
        assert path.parent.stat().st_mode & 0o777 == 0o700
        said = await asyncio.to_thread(control, "break", "eu-west", path)
        assert said == f"eu-west is broken: 127.0.0.1:{ports[2]} refuses connections"
        assert (await health(ports))[2] == "connection refused"
        assert "answers again" in await asyncio.to_thread(control, "mend", "eu-west", path)
        for verb, region, message in (
            ("break", "mars", "the demo has no region 'mars'; it has cn-south, eu-west"),
            ("explode", "eu-west", "not understood; the demo knows break and mend"),
        ):
            with pytest.raises(GeodnsError) as told:
                await asyncio.to_thread(control, verb, region, path)
            assert str(told.value) == message
        with pytest.raises(GeodnsError, match="running already"):
            await serve_control(endpoints, path)
    with pytest.raises(GeodnsError, match="no demo is running: start it with `make demo`"):
        control("break", "eu-west", path)


async def test_a_socket_left_by_a_killed_demo_is_no_obstacle(endpoints: Endpoints, tmp_path: Path) -> None:
    path = tmp_path / "demo" / "control.sock"
    path.parent.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    with pytest.raises(GeodnsError, match="no demo is running"):
        control("break", "eu-west", path)
    async with await serve_control(endpoints, path):
        await asyncio.to_thread(control, "mend", "eu-west", path)


async def test_a_folder_that_others_may_enter_is_refused(endpoints: Endpoints, tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir(mode=0o755)
    with pytest.raises(GeodnsError, match="not private to you"):
        await serve_control(endpoints, tmp_path / "demo" / "control.sock")


@pytest.mark.parametrize("request_", [b"", b"nonsense\n", b'["break"]\n', b"[[], {}]\n", b"x" * 100_000])
async def test_nonsense_on_the_control_socket_harms_nothing(
    endpoints: Endpoints, tmp_path: Path, request_: bytes
) -> None:
    path = tmp_path / "demo" / "control.sock"
    async with await serve_control(endpoints, path):
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(request_)
        writer.write_eof()
        with suppress(ConnectionResetError):
            assert b"done" not in await reader.read()
        writer.close()
        assert "broken" in await asyncio.to_thread(control, "break", "eu-west", path)


def test_narration() -> None:
    down = ("cn-south", "down", "3 of 3", 9.12)
    assert narrate(*down, [("Telecom Guangdong", "cn-south", "cn-north")]) == (
        "cn-south down (3 of 3, 9.1 s): Telecom Guangdong is now answered from cn-north"
    )
    assert narrate(*down, [("A", "cn-south", "x"), ("B", "cn-south", "x"), ("C", "cn-south", "")]) == (
        "cn-south down (3 of 3, 9.1 s): A and B are now answered from x; C is not answered"
    )
    many = [(f"N{n}", "cn-south", "x") for n in range(5)]
    assert narrate(*down, many).endswith("N0, N1, N2 and 2 more are now answered from x")
    assert narrate("eu-west", "up", "1 of 1", 0.0, [("A", "x", "x")]) == (
        "eu-west up (1 of 1, 0.0 s): nobody is answered differently"
    )
