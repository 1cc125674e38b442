"""The demo's endpoints: small HTTP servers on loopback that can be broken and mended.

A broken one really closes its listening socket, so that the monitor meets a real failure. Another terminal
reaches the running demo over a Unix socket at a fixed place of the user's own.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
import tempfile
import time
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from aiohttp import web

from geodns.errors import GeodnsError

HOST = "127.0.0.1"
_MAX_LINE = 4096  # octets of a request or a reply on the control socket
_PATIENCE = 5.0  # seconds for either side of the control socket


class Endpoints:
    """One HTTP server with a listening socket for each of `ports`, which maps a TCP port to a region id."""

    def __init__(self, ports: Mapping[int, str]) -> None:
        self._ports = dict(ports)
        self._sites: dict[int, web.TCPSite] = {}
        self._runner: web.AppRunner | None = None
        self.changed_at: dict[str, float] = {}
        """When each region was last broken or mended, Unix seconds."""

    @property
    def regions(self) -> list[str]:
        return sorted(set(self._ports.values()))

    @property
    def broken(self) -> list[str]:
        """The regions whose endpoints refuse connections."""
        return sorted({region for port, region in self._ports.items() if port not in self._sites})

    async def start(self) -> None:
        """Listen on every port. Raises GeodnsError where one is taken; nothing is left open then."""
        app = web.Application()
        app.router.add_get("/healthz", self._healthz)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        try:
            for port in self._ports:
                await self._listen(port)
        except GeodnsError:
            await self.stop()
            raise

    async def stop(self) -> None:
        self._sites.clear()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def break_(self, region: str) -> str:
        """Close the listening sockets of a region; says what happened. Raises GeodnsError if unknown."""
        ports = [port for port in self._of(region) if port in self._sites]
        for port in ports:
            await self._sites.pop(port).stop()
        self.changed_at[region] = time.time()
        return f"{region} is broken: {_places(self._of(region))} refuses connections"

    async def mend(self, region: str) -> str:
        """Listen again; says what happened. Raises GeodnsError if unknown or a port is taken."""
        for port in self._of(region):
            if port not in self._sites:
                await self._listen(port)
        self.changed_at[region] = time.time()
        return f"{region} is mended: {_places(self._of(region))} answers again"

    def _of(self, region: str) -> list[int]:
        ports = [port for port, its in self._ports.items() if its == region]
        if not ports:
            raise GeodnsError(f"the demo has no region '{region}'; it has {', '.join(self.regions)}")
        return ports

    async def _listen(self, port: int) -> None:
        assert self._runner is not None
        site = web.TCPSite(self._runner, HOST, port)
        try:
            await site.start()
        except OSError as error:
            await site.stop()
            raise GeodnsError(f"the demo's endpoint needs {HOST}:{port}: {error.strerror}") from error
        self._sites[port] = site

    async def _healthz(self, request: web.Request) -> web.Response:
        name = request.get_extra_info("sockname")
        if name is None or name[1] not in self._sites:  # a connection that was opened before the break
            return web.Response(status=503, text="broken\n")
        return web.Response(text="ok\n", headers={"X-Region": self._ports[name[1]]})


def _places(ports: list[int]) -> str:
    return ", ".join(f"{HOST}:{port}" for port in sorted(ports))


def control_path() -> Path:
    """Where the running demo of this user listens for `break` and `mend`."""
    return Path(tempfile.gettempdir()) / f"geodns-demo-{os.getuid()}" / "control.sock"


async def serve_control(endpoints: Endpoints, path: Path | None = None) -> asyncio.Server:
    """Take `break` and `mend` from other terminals until the returned server is closed.

    Raises GeodnsError where a demo of this user runs already, or the place belongs to another user.
    """
    path = path or control_path()
    _private_folder(path.parent)
    if _is_served(path):
        raise GeodnsError("a demo of yours is running already: stop it first (Ctrl-C in its terminal)")
    path.unlink(missing_ok=True)
    verbs = {"break": endpoints.break_, "mend": endpoints.mend}

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, TimeoutError, ValueError, asyncio.IncompleteReadError):
            async with asyncio.timeout(_PATIENCE):
                reply = await _obey(verbs, await reader.readline())
                writer.write(json.dumps(reply).encode() + b"\n")
                await writer.drain()
        writer.close()

    return await asyncio.start_unix_server(answer, path, limit=_MAX_LINE)


async def _obey(
    verbs: Mapping[str, Callable[[str], Coroutine[Any, Any, str]]], line: bytes
) -> dict[str, str]:
    try:
        verb, region = json.loads(line)
        return {"done": await verbs[verb](region)}
    except GeodnsError as error:
        return {"error": str(error)}
    except (ValueError, KeyError, TypeError):
        return {"error": f"not understood; the demo knows {' and '.join(verbs)}"}


def control(verb: str, region: str, path: Path | None = None) -> str:
    """Tell the running demo to `break` or `mend` a region; what it says. Raises GeodnsError otherwise."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(_PATIENCE)
        try:
            client.connect(str(path or control_path()))
            client.sendall(json.dumps([verb, region]).encode() + b"\n")
            reply = json.loads(client.makefile("rb").readline(_MAX_LINE))
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise GeodnsError("no demo is running: start it with `make demo` in another terminal") from error
        except (OSError, ValueError) as error:
            raise GeodnsError(f"the running demo does not answer: {error}") from error
    if "error" in reply:
        raise GeodnsError(reply["error"])
    return str(reply["done"])


def _private_folder(folder: Path) -> None:
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise GeodnsError(f"{folder} is not private to you: remove it and start again")


def _is_served(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True
