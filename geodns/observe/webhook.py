"""Alarms over HTTP: one POST of JSON, signed, to whoever answers 2xx.

The signature covers the time and the body, so that a receiver can tell what is old or was made up
(docs/alarms.md shows how). TLS is verified; redirects are not followed: what one is told, not every one is.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import socket
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from geodns.errors import printable
from geodns.observe.hooks import Message, Outcome, Send

TIMESTAMP, SIGNATURE = "Geodns-Timestamp", "Geodns-Signature"
AGAIN = frozenset({408, 425, 429})  # of 4xx; any other would be answered in the same way again
MAX_DETAIL = 200  # characters


class Poster:
    """What all webhooks share; it keeps nothing between messages. Made anywhere, used in one event loop."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._tls = ssl.create_default_context()
        self._session: aiohttp.ClientSession | None = None
        self._names = _Names()

    def hook(self, url: str, secret: bytes | None) -> Send:
        return partial(self._post, url, secret)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
        await self._names.close()

    async def _post(self, url: str, secret: bytes | None, message: Message) -> Outcome:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(force_close=True, ssl=self._tls, resolver=self._names),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
                auto_decompress=False,
            )
        headers = {"Content-Type": "application/json", "User-Agent": "geodns"}
        if secret is not None:
            headers |= signed(secret, int(self._clock()), message.body)
        try:
            async with self._session.post(
                url, data=message.body, headers=headers, allow_redirects=False
            ) as response:
                return _judged(response.status)
        except aiohttp.ClientResponseError as error:  # whose text has the URL
            return Outcome(False, printable(f"not HTTP: {error.message}")[:MAX_DETAIL])
        except (aiohttp.ClientError, OSError, UnicodeError) as error:  # the last of a host that is no name
            return Outcome(False, printable(str(error) or type(error).__name__)[:MAX_DETAIL])


def _judged(status: int) -> Outcome:
    if 300 <= status < 400:
        return Outcome(False, f"status {status}: redirects are not followed", final=True)
    return Outcome(200 <= status < 300, f"status {status}", final=400 <= status < 500 and status not in AGAIN)


def signed(secret: bytes, now: int, body: bytes) -> dict[str, str]:
    """The headers that sign a body at Unix seconds: HMAC-SHA-256 over the time, a dot and the body."""
    digest = hmac.new(secret, f"{now}.".encode() + body, hashlib.sha256).hexdigest()
    return {TIMESTAMP: str(now), SIGNATURE: f"v1={digest}"}


def name_of(url: str) -> str:
    """A webhook as it is told of: what is behind the host may be a secret."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}:{parts.port}" if parts.port else f"{parts.scheme}://{host}"


class _Names(AbstractResolver):
    """Threads of its own: names that resolve slowly must not use up the ones that the store waits for."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(4, "geodns-alarms")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        ask = partial(socket.getaddrinfo, host, port, family, socket.SOCK_STREAM, 0, socket.AI_ADDRCONFIG)
        flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
        return [
            ResolveResult(
                hostname=host, host=str(at[0]), port=int(at[1]), family=kind, proto=proto, flags=flags
            )
            for kind, _, proto, _, at in await asyncio.get_running_loop().run_in_executor(self._threads, ask)
        ]

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
