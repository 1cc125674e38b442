"""The admin API as an HTTP server: who may ask, how much at once, and one way to say no.

Every connection carries one request and lives a bounded time, so that nobody can hold the API by being slow.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import secrets
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from geodns.admin import (
    alarms,
    audit,
    events,
    explain,
    health,
    heartbeat,
    loads,
    metrics,
    overrides,
    regions,
    status,
)  # fmt: skip
from geodns.admin.auth import allowed
from geodns.admin.body import dress
from geodns.admin.control import Control
from geodns.admin.keys import CLOCK, CONTROL, STREAMS, Streams
from geodns.admin.problems import ProblemError, problem_of, problem_of_http
from geodns.errors import GeodnsError

_log = structlog.get_logger("geodns.admin")
_WITHOUT_TOKEN = status.OPEN | heartbeat.SIGNED
_quiet = logging.getLogger("geodns.admin.http")  # what is no HTTP is answered 400 and not worth a line
_quiet.disabled = True


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in octets, times in seconds."""

    body: int = 64 * 1024
    line: int = 4096
    header: int = 4096
    headers: int = 64
    connections: int = 128
    requests: int = 32
    connection_time: float = 30.0


@dataclass(slots=True)
class Stats:
    """`requests`: answered ones by status; connections `refused` beyond the bound, `cut` when slow."""

    requests: Counter[int] = field(default_factory=Counter)
    refused: int = 0
    cut: int = 0


class AdminServer:
    """Serves a Control over HTTP to whoever bears the token."""

    def __init__(
        self,
        control: Control,
        token: str,
        *,
        limits: Limits = Limits(),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.stats = Stats()
        self._limits = limits
        self._control = control
        self._app = _application(control, token, limits, clock, self.stats)
        self._runner: web.AppRunner | None = None
        self._server: asyncio.Server | None = None
        self._seen: dict[web.RequestHandler, float] = {}
        self._sweeper: asyncio.TimerHandle | None = None

    @property
    def port(self) -> int:
        """The port that is listened on, which is of interest where 0 was asked for."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self, host: str, port: int) -> None:
        """Listen. Raises GeodnsError where the address cannot be had; nothing is left open then."""
        self._runner = web.AppRunner(
            self._app,
            handle_signals=False,
            access_log=None,
            logger=_quiet,
            max_line_size=self._limits.line,
            max_field_size=self._limits.header,
            max_headers=self._limits.headers,
            auto_decompress=False,
            lingering_time=1.0,
            shutdown_timeout=2.0,
        )
        await self._runner.setup()
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(self._connection, host, port, backlog=64)
        except OSError as error:
            await self.stop()
            raise GeodnsError(_why_not(host, port, error)) from error
        self._sweep()

    async def stop(self) -> None:
        """Stop listening; requests in progress get two seconds."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        if self._server is not None:
            self._server.close()
        self._control.feed().close()
        if self._runner is not None:
            await self._runner.cleanup()

    def _connection(self) -> asyncio.BaseProtocol:
        assert self._runner is not None and self._runner.server is not None
        if len(self._runner.server.connections) >= self._limits.connections:
            self.stats.refused += 1
            return _Refuser()
        return self._runner.server()

    def _sweep(self) -> None:
        """Cut the connections whose time is over: slow headers, slow bodies, readers that do not read."""
        assert self._runner is not None and self._runner.server is not None
        loop = asyncio.get_running_loop()
        now = loop.time()
        timed = set(self._runner.server.connections) - self._app[STREAMS].connections
        self._seen = {c: self._seen.get(c, now) for c in timed}
        for connection, since in self._seen.items():
            if now - since >= self._limits.connection_time and connection.transport is not None:
                connection.transport.abort()
                self.stats.cut += 1
        self._sweeper = loop.call_later(self._limits.connection_time / 10, self._sweep)


class _Refuser(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.abort()


def _why_not(host: str, port: int, error: OSError) -> str:
    host = f"[{host}]" if ":" in host else host
    if error.errno == errno.EADDRINUSE:
        return (
            f"{host}:{port}/tcp is taken by another program: stop it "
            "or choose another port with --admin-port or ADMIN_PORT"
        )
    return f"cannot listen on {host}:{port}/tcp for the admin API: {error.strerror or error}"


def _application(
    control: Control, token: str, limits: Limits, clock: Callable[[], float], stats: Stats
) -> web.Application:
    app = web.Application(
        middlewares=[_speaking(stats), _at_most(limits.requests), _known_callers(token)],
        client_max_size=limits.body,
    )
    app[CONTROL] = control
    app[CLOCK] = clock
    app[STREAMS] = Streams()
    for resource in (
        regions, overrides, loads, audit, events, status, health, heartbeat, alarms, explain, metrics,
    ):  # fmt: skip
        resource.add_routes(app)
    app.freeze()
    return app


def _speaking(stats: Stats) -> Middleware:
    """The outermost layer: whatever happens becomes one response, and is counted."""

    @web.middleware
    async def speak(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            response = await handler(request)
        except ProblemError as problem:
            response = problem.response()
        except GeodnsError as error:
            response = problem_of(error).response()
        except web.HTTPException as error:
            response = problem_of_http(error, request.path).response()
        except Exception as error:  # a bug must cost one request, not the server
            response = _unexpected(request, error).response()
        if not response.prepared:
            dress(response)
        stats.requests[response.status] += 1
        return response

    return speak


def _unexpected(request: web.Request, error: Exception) -> ProblemError:
    incident = secrets.token_hex(4)
    _log.error(
        "a request failed", method=request.method, path=request.path, incident=incident, exc_info=error
    )
    return ProblemError(500, "internal", f"see incident {incident} in the server's log", incident=incident)


def _at_most(most: int) -> Middleware:
    running = 0

    @web.middleware
    async def enter(request: web.Request, handler: Handler) -> web.StreamResponse:
        nonlocal running
        if request.path == events.PATH:  # readers have a bound of their own, and take nobody's place
            return await handler(request)
        if running >= most:
            raise ProblemError(503, "busy", f"{most} requests are running", headers={"Retry-After": "1"})
        running += 1
        try:
            return await handler(request)
        finally:
            running -= 1

    return enter


def _known_callers(token: str) -> Middleware:
    @web.middleware
    async def admit(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not _is_own(request):
            raise ProblemError(403, "foreign-origin", "pages of other sites may not use this API")
        if request.path not in _WITHOUT_TOKEN and not allowed(token, request.headers.get("Authorization")):
            raise ProblemError(
                401,
                "unauthorized",
                "send the token of the server's token file as `Authorization: Bearer …`",
                headers={"WWW-Authenticate": 'Bearer realm="geodns"'},
            )
        return await handler(request)

    return admit


def _is_own(request: web.Request) -> bool:
    """Whether no web page asks, or one that this server gave out itself.

    Own means the same host, written as an address or localhost: a name could be made to point here by
    whoever owns it (DNS rebinding).
    """
    origin = request.headers.get("Origin")
    if origin is None:
        return True
    return origin == f"{request.scheme}://{request.host}" and _is_address(request.host)


def _is_address(host: str) -> bool:
    name = host[1 : host.find("]")] if host.startswith("[") else host.partition(":")[0]
    if name == "localhost":
        return True
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
