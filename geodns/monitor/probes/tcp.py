"""A TCP check: the endpoint is well when it accepts a connection."""

from __future__ import annotations

import asyncio

from geodns.core.health import Outcome, Probe
from geodns.monitor.probes.failure import describe


async def probe(p: Probe, address: str) -> Outcome:
    """Connect to `address` (numeric) at the probe's port and close. No deadline of its own."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        transport, _ = await loop.create_connection(asyncio.Protocol, address, p.port)
    except OSError as error:
        return Outcome(False, describe(error))
    transport.abort()
    return Outcome(True, f"connected in {(loop.time() - began) * 1000:.0f} ms")
