"""A TCP check: the endpoint is well when it accepts a connection."""

from __future__ import annotations

import asyncio
import socket

from geodns.core.health import Outcome, Probe
from geodns.monitor.probes.failure import describe


async def probe(p: Probe, address: str) -> Outcome:
    """Connect to `address` (numeric) at the probe's port and close. No deadline of its own."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:  # a transport would cost as much again: nothing is ever sent
        with socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as connecting:
            await loop.sock_connect(connecting, (address, p.port))
    except OSError as error:
        return Outcome(False, describe(error))
    return Outcome(True, f"connected in {(loop.time() - began) * 1000:.0f} ms")
