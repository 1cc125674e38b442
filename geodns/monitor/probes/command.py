"""An exec check: the endpoint is well when a program of the operator's ends with exit code 0.

It is run from its list of arguments, without a shell, and knows of the server what its environment says and
nothing else.
"""

from __future__ import annotations

import asyncio

from geodns import programs
from geodns.core.health import Outcome, Probe
from geodns.monitor.probes.failure import describe, shorten


async def probe(p: Probe, address: str) -> Outcome:
    """Run the program for `address` (numeric). No deadline of its own; cancelled, it leaves nothing."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        ended = await programs.run(p.check.command, _environment(p, address))
    except OSError as error:
        return Outcome(False, shorten(f"cannot run {p.check.command[0]}: {describe(error)}"))
    if ended.well:
        took = f"in {(loop.time() - began) * 1000:.0f} ms"
        return Outcome(True, shorten(ended.line) or f"exit code 0 {took}")
    told = ended.line and ended.written <= programs.MAX_OUTPUT
    return Outcome(False, shorten(f"{ended.how}: {ended.line}" if told else ended.how))


def _environment(p: Probe, address: str) -> dict[str, str]:
    port = {"GEODNS_PORT": str(p.port)} if p.port else {}
    return {
        "GEODNS_ADDRESS": address,
        "GEODNS_HOST": p.address,
        "GEODNS_TIMEOUT": f"{p.check.timeout:g}",
        **port,
    }
