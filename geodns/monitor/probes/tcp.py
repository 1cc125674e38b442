"""A TCP check: the endpoint is well when it accepts a connection."""

from __future__ import annotations

import asyncio

from geodns.core.health import Probe
from geodns.monitor.probes.failure import describe


async def probe(p: Probe, address: str) -> tuple[bool, str]:
    """Connect to `address` (numeric) at the probe's port and close: (ok, detail). No deadline of its own."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        transport, _ = await loop.create_connection(asyncio.Protocol, address, p.port)
    except OSError as error:
        return False, describe(error)
    transport.abort()
    return True, f"connected in {(loop.time() - began) * 1000:.0f} ms"
