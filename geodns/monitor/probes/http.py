"""An HTTP or HTTPS check in version 1.1: the endpoint is well when response status and body are as expected.

The connection goes to the probe's address, whatever the Host header and the TLS server name say: one
endpoint of a service is asked, not the service. Redirects are answers like any other, never followed.
"""

from __future__ import annotations

import asyncio
import ssl
from contextvars import ContextVar
from http import HTTPStatus

import aiohttp
from aiohttp.connector import Connection
from aiohttp.tracing import Trace
from yarl import URL

from geodns.core.health import DEFAULT_PORTS, Outcome, Probe
from geodns.model import Check
from geodns.monitor.probes.failure import describe, shorten
from geodns.monitor.probes.tls import expiry, server_name

MAX_BODY = 64 * 1024  # octets of a response that are searched for `check.body`; the rest is never read


def open_session() -> aiohttp.ClientSession:
    """A session that keeps nothing between probes: no pooled connections, cookies, names or proxies.

    Has no limits of its own either: the schedule caps how many probes run, the prober gives the deadline.
    """
    return aiohttp.ClientSession(
        connector=_Connector(limit=0, force_close=True, use_dns_cache=False),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
        auto_decompress=False,
        skip_auto_headers=("Accept-Encoding",),
        read_bufsize=MAX_BODY,
    )


_expires: ContextVar[float | None] = ContextVar("expires", default=None)  # of this probe's certificate


class _Connector(aiohttp.TCPConnector):
    """Notes when the certificate ends while the connection is at hand: a response may have let go of it."""

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109  aiohttp's signature
    ) -> Connection:
        connection = await super().connect(req, traces, timeout)
        _expires.set(expiry(connection.transport))
        return connection


async def probe(p: Probe, address: str, session: aiohttp.ClientSession, tls: ssl.SSLContext) -> Outcome:
    """Ask `address` (numeric) as the check says. No deadline of its own."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    _expires.set(None)
    try:
        async with session.request(
            p.check.method,
            _url(p, address),
            headers=_headers(p),
            allow_redirects=False,
            ssl=tls,
            server_hostname=server_name(p) if p.check.kind == "https" else None,
        ) as response:
            judged = await _judge(p.check, response, began)
            return judged._replace(expires=_expires.get())
    except aiohttp.ClientConnectorCertificateError as error:
        return Outcome(False, describe(error.certificate_error))
    except aiohttp.ClientConnectorError as error:
        return Outcome(False, describe(error.os_error))
    except aiohttp.ServerDisconnectedError:
        return Outcome(False, "connection closed without a response")
    except aiohttp.ClientResponseError as error:
        return Outcome(False, shorten(f"not HTTP: {error.message}"))
    except aiohttp.ClientPayloadError:
        return Outcome(False, "connection closed in the middle of the body")
    except OSError as error:  # aiohttp.ClientOSError among them
        return Outcome(False, describe(error))


async def _judge(check: Check, response: aiohttp.ClientResponse, began: float) -> Outcome:
    if not any(low <= response.status <= high for low, high in check.status):
        return Outcome(False, f"status {response.status}, want {status_text(check.status)}")
    if check.body is not None and not await _holds(response.content, check.body.encode()):
        return Outcome(False, shorten(f"body lacks {check.body!r}"))
    took = asyncio.get_running_loop().time() - began
    return Outcome(True, f"{response.status} {phrase(response.status)}in {took * 1000:.0f} ms")


async def _holds(stream: aiohttp.StreamReader, wanted: bytes) -> bool:
    seen = bytearray()
    while wanted not in seen:
        chunk = await stream.read(MAX_BODY - len(seen))  # nothing, once the bound is reached
        if not chunk:
            return False
        seen += chunk
    return True


def _url(p: Probe, address: str) -> URL:
    host = f"[{address}]" if ":" in address else address
    path = p.check.path if p.check.path.startswith("/") else f"/{p.check.path}"
    return URL(f"{p.check.kind}://{host}:{p.port}{path}", encoded=True)


def _headers(p: Probe) -> dict[str, str]:
    return {"Host": authority(p), "User-Agent": "geodns", **dict(p.check.headers)}


def authority(p: Probe) -> str:
    """The check's host, else the probed address, with its port where that is not the usual one."""
    address = f"[{p.address}]" if ":" in p.address else p.address
    usual = DEFAULT_PORTS.get(p.check.kind) == p.port
    return p.check.host or (address if usual else f"{address}:{p.port}")


def status_text(ranges: tuple[tuple[int, int], ...]) -> str:
    """`200-299` or `200, 204`: inclusive ranges as people write them."""
    return ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in ranges)


def phrase(status: int) -> str:
    """`OK `, with a blank behind it; nothing for a status that has no name."""
    try:
        return f"{HTTPStatus(status).phrase} "
    except ValueError:
        return ""
