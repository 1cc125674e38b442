"""A TLS check: the endpoint is well when the handshake succeeds and its certificate is good."""

from __future__ import annotations

import asyncio
import ssl

from geodns.core.health import Outcome, Probe
from geodns.monitor.probes.failure import describe

DAY = 86400.0


def server_name(p: Probe) -> str:
    """What TLS asks for and verifies: `sni`, else `host`, else the probed address itself."""
    return p.check.sni or p.check.host or p.address


async def probe(p: Probe, address: str, tls: ssl.SSLContext) -> Outcome:
    """Shake hands with `address` (numeric) at the probe's port and close. No deadline of its own."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        transport, _ = await loop.create_connection(
            asyncio.Protocol, address, p.port, ssl=tls, server_hostname=server_name(p)
        )
    except OSError as error:
        return Outcome(False, describe(error))
    took, version = loop.time() - began, transport.get_extra_info("ssl_object").version()
    transport.abort()
    return Outcome(True, f"{version} in {took * 1000:.0f} ms", expiry(transport))


def expiry(transport: asyncio.BaseTransport | None) -> float | None:
    """When the peer's certificate ends, in Unix seconds; None where it was not verified: nobody read it."""
    spoken = transport and transport.get_extra_info("ssl_object")
    ends = spoken and (spoken.getpeercert() or {}).get("notAfter")
    return float(ssl.cert_time_to_seconds(ends)) if ends else None
