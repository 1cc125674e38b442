"""The door to all kinds of probe: resolves the address, sets the deadline, picks the kind."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import aiohttp

from geodns.core.health import HEARTBEAT, Outcome, Probe
from geodns.monitor.probes import command, dns, grpc, http, http2, icmp, tcp, tls
from geodns.monitor.probes.failure import describe, timed_out
from geodns.monitor.probes.vetting import Vetting

_RESOLVER_THREADS = 8
_VETTED = 1 << 16  # addresses that need not be vetted in each round


class Prober:
    """Probes an endpoint once. One for a whole monitor; made anywhere, used in one event loop.

    `allowed`: networks open to probes although they are closed by default (`vetting`). `authorities`
    makes contexts that verify certificates (default: by the system's); checks with `verify: false` get one
    that accepts any. `commands`: programs that exec checks run at a time; 0: they may not.
    """

    def __init__(
        self,
        allowed: Iterable[str] = (),
        authorities: Callable[[], ssl.SSLContext] = ssl.create_default_context,
        *,
        commands: int = 0,
    ) -> None:
        self._vetting = Vetting(allowed)
        self._commands = asyncio.Semaphore(commands) if commands else None
        self._tls = {(verify, False): _context(authorities, verify) for verify in (True, False)}
        self._tls |= {(verify, True): _context(authorities, verify, http2.ALPN) for verify in (True, False)}
        self._vetted = lru_cache(_VETTED)(self._vet)
        self._connections: tcp.Connections | None = None
        self._session: aiohttp.ClientSession | None = None
        # Threads of its own: names that resolve slowly must not use up the ones that the store waits for.
        self._resolvers = ThreadPoolExecutor(_RESOLVER_THREADS, "geodns-resolve")

    async def __call__(self, p: Probe) -> Outcome:
        """What it finds within `check.timeout` seconds, resolving a host name included."""
        if p.check.kind == HEARTBEAT:
            return Outcome(
                False, "no heartbeat"
            )  # one that is heard is not waited for: it puts the round off
        if p.check.kind != "exec":
            return await self._within(p)
        if self._commands is None:
            return Outcome(False, "not allowed: programs are not run (probes.exec)")
        async with self._commands:  # the time that is waited for others is not the endpoint's
            return await self._within(p)

    async def _within(self, p: Probe) -> Outcome:
        try:
            async with asyncio.timeout(p.check.timeout):
                address = await self._resolve(p)
                refusal = self._vetting.refusal(address)
                return Outcome(False, refusal) if refusal else await self._ask(p, address)
        except socket.gaierror as error:
            return Outcome(False, describe(error))
        except TimeoutError:
            return Outcome(False, timed_out(p.check.timeout))

    def begin(self, p: Probe, done: Callable[[Outcome], None]) -> Callable[[], None] | None:
        """The same without a task, where the kind can: a TCP probe of a numeric address. Else None.

        `done` gets what it finds, later, unless the probe is cancelled by what this returns.
        """
        address = self._vetted(p.address) if p.check.kind == "tcp" else None
        return self._connect().begin(p, address, done) if address else None

    def _vet(self, address: str) -> str | None:
        """A numeric address in its canonical form; None for a host name, and where probes may not go."""
        try:
            numeric = str(ipaddress.ip_address(address))
        except ValueError:
            return None
        return None if self._vetting.refusal(numeric) else numeric

    def _connect(self) -> tcp.Connections:
        if self._connections is None:
            self._connections = tcp.Connections()
        return self._connections

    async def _ask(self, p: Probe, address: str) -> Outcome:
        kind, version = p.check.kind, p.check.version
        tls_context = self._tls[p.check.verify, kind == "grpcs" or (kind == "https" and version == "2")]
        match kind:
            case "tcp":
                return await self._connect().probe(p, address)
            case "tls":
                return await tls.probe(p, address, tls_context)
            case "dns":
                return await dns.probe(p, address)
            case "icmp":
                return await icmp.probe(p, address)
            case "exec":
                return await command.probe(p, address)
            case "grpc" | "grpcs":
                return await grpc.probe(p, address, tls_context if kind == "grpcs" else None)
            case "http" | "https" if version == "2":
                return await http2.probe(p, address, tls_context if kind == "https" else None)
        if self._session is None:
            self._session = http.open_session()
        return await http.probe(p, address, self._session, tls_context)

    async def _resolve(self, p: Probe) -> str:
        """The address itself, or the first one that the system prefers for a host name (RFC 6724)."""
        try:
            return str(ipaddress.ip_address(p.address))
        except ValueError:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._resolvers, _first_address, p.address, p.port)

    async def close(self) -> None:
        self._resolvers.shutdown(wait=False, cancel_futures=True)
        if self._connections is not None:
            self._connections.close()
        if self._session is not None:
            await self._session.close()


def _context(authorities: Callable[[], ssl.SSLContext], verify: bool, *protocols: str) -> ssl.SSLContext:
    context = authorities() if verify else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(protocols)
    return context


def _first_address(host: str, port: int) -> str:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    except UnicodeError as error:  # an empty or over-long label
        raise socket.gaierror(socket.EAI_NONAME, "not a host name") from error
    return str(found[0][4][0])
