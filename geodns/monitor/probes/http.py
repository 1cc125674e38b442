"""An HTTP or HTTPS check: the endpoint is well when its response has an expected status and body.

The connection goes to the probe's address, whatever the Host header and the TLS server name say: one
endpoint of a service is asked, not the service. Redirects are answers like any other, never followed.
"""

from __future__ import annotations

import asyncio
import ssl
from http import HTTPStatus

import aiohttp
from yarl import URL

from geodns.core.health import DEFAULT_PORTS, Probe
from geodns.model import Check
from geodns.monitor.probes.failure import describe, shorten

MAX_BODY = 64 * 1024  # octets of a response that are searched for `check.body`; the rest is never read


def open_session() -> aiohttp.ClientSession:
    """A session that keeps nothing between probes: no pooled connections, cookies, names or proxies.

    Has no limits of its own either: the schedule caps how many probes run, the prober gives the deadline.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, force_close=True, use_dns_cache=False),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
        auto_decompress=False,
        skip_auto_headers=("Accept-Encoding",),
        read_bufsize=MAX_BODY,
    )


async def probe(
    p: Probe, address: str, session: aiohttp.ClientSession, tls: ssl.SSLContext
) -> tuple[bool, str]:
    """Ask `address` (numeric) as the check says: (ok, detail). No deadline of its own."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        async with session.request(
            p.check.method,
            _url(p, address),
            headers=_headers(p),
            allow_redirects=False,
            ssl=tls,
            server_hostname=server_name(p) if p.check.kind == "https" else None,
        ) as response:
            return await _judge(p.check, response, began)
    except aiohttp.ClientConnectorCertificateError as error:
        return False, describe(error.certificate_error)
    except aiohttp.ClientConnectorError as error:
        return False, describe(error.os_error)
    except aiohttp.ServerDisconnectedError:
        return False, "connection closed without a response"
    except aiohttp.ClientResponseError as error:
        return False, shorten(f"not HTTP: {error.message}")
    except aiohttp.ClientPayloadError:
        return False, "connection closed in the middle of the body"
    except OSError as error:  # aiohttp.ClientOSError among them
        return False, describe(error)


async def _judge(check: Check, response: aiohttp.ClientResponse, began: float) -> tuple[bool, str]:
    if not any(low <= response.status <= high for low, high in check.status):
        return False, f"status {response.status}, want {status_text(check.status)}"
    if check.body is not None and not await _holds(response.content, check.body.encode()):
        return False, shorten(f"body lacks {check.body!r}")
    took = asyncio.get_running_loop().time() - began
    return True, f"{response.status} {_phrase(response.status)}in {took * 1000:.0f} ms"


async def _holds(stream: aiohttp.StreamReader, wanted: bytes) -> bool:
    seen = bytearray()
    while wanted not in seen:
        chunk = await stream.read(MAX_BODY - len(seen))  # nothing, once the bound is reached
        if not chunk:
            return False
        seen += chunk
    return True


def server_name(p: Probe) -> str:
    """What TLS asks for and verifies: `sni`, else `host`, else the probed address itself."""
    return p.check.sni or p.check.host or p.address


def _url(p: Probe, address: str) -> URL:
    host = f"[{address}]" if ":" in address else address
    path = p.check.path if p.check.path.startswith("/") else f"/{p.check.path}"
    return URL(f"{p.check.kind}://{host}:{p.port}{path}", encoded=True)


def _headers(p: Probe) -> dict[str, str]:
    address = f"[{p.address}]" if ":" in p.address else p.address
    own = address if DEFAULT_PORTS[p.check.kind] == p.port else f"{address}:{p.port}"
    return {"Host": p.check.host or own, "User-Agent": "geodns", **dict(p.check.headers)}


def status_text(ranges: tuple[tuple[int, int], ...]) -> str:
    """`200-299` or `200, 204`: inclusive ranges as people write them."""
    return ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in ranges)


def _phrase(status: int) -> str:
    try:
        return f"{HTTPStatus(status).phrase} "
    except ValueError:
        return ""
