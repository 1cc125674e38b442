"""The door to all kinds of probe: resolves the address, sets the deadline, picks the kind."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import aiohttp

from geodns.core.health import Outcome, Probe
from geodns.monitor.probes import command, dns, http, icmp, tcp, tls
from geodns.monitor.probes.failure import describe
from geodns.monitor.probes.vetting import Vetting

_RESOLVER_THREADS = 8


class Prober:
    """Probes an endpoint once. One for a whole monitor; made anywhere, used in one event loop.

    `commands`: programs that exec checks run at a time; 0: they may not.
    `allowed`: networks open to probes although they are closed by default (`vetting`). `authorities`
    is the context that verifies certificates (default: the system's); checks with `verify: false` get one
    that accepts any.
    """

    def __init__(
        self,
        allowed: Iterable[str] = (),
        authorities: ssl.SSLContext | None = None,
        *,
        commands: int = 0,
    ) -> None:
        self._vetting = Vetting(allowed)
        self._commands = asyncio.Semaphore(commands) if commands else None
        self._verifying = authorities or ssl.create_default_context()
        self._trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._trusting.check_hostname = False
        self._trusting.verify_mode = ssl.CERT_NONE
        self._session: aiohttp.ClientSession | None = None
        # Threads of its own: names that resolve slowly must not use up the ones that the store waits for.
        self._resolvers = ThreadPoolExecutor(_RESOLVER_THREADS, "geodns-resolve")

    async def __call__(self, p: Probe) -> Outcome:
        """What it finds within `check.timeout` seconds, resolving a host name included."""
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
            return Outcome(False, f"timed out after {p.check.timeout:g} s")

    async def _ask(self, p: Probe, address: str) -> Outcome:
        tls_context = self._verifying if p.check.verify else self._trusting
        match p.check.kind:
            case "tcp":
                return await tcp.probe(p, address)
            case "tls":
                return await tls.probe(p, address, tls_context)
            case "dns":
                return await dns.probe(p, address)
            case "icmp":
                return await icmp.probe(p, address)
            case "exec":
                return await command.probe(p, address)
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
        if self._session is not None:
            await self._session.close()


def _first_address(host: str, port: int) -> str:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    except UnicodeError as error:  # an empty or over-long label
        raise socket.gaierror(socket.EAI_NONAME, "not a host name") from error
    return str(found[0][4][0])
