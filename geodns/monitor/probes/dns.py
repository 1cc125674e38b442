"""A DNS check: the endpoint is well when it answers a question as expected."""

from __future__ import annotations

import asyncio

import dns.asyncbackend
import dns.asyncquery
import dns.exception
import dns.message
import dns.rcode
import dns.rdatatype

from geodns.core.health import Outcome, Probe
from geodns.model import Check
from geodns.monitor.probes.failure import describe, shorten

_BACKEND = dns.asyncbackend.get_backend("asyncio")


async def probe(p: Probe, address: str) -> Outcome:
    """Ask `address` (numeric) for the check's name, over UDP or TCP. No deadline of its own."""
    loop, check = asyncio.get_running_loop(), p.check
    began = loop.time()
    question = dns.message.make_query(check.query or ".", check.record)
    try:
        if check.transport == "tcp":
            reply = await dns.asyncquery.tcp(question, address, port=p.port, backend=_BACKEND)
        else:  # what others send, or forge, is not waited for
            reply = await dns.asyncquery.udp(
                question, address, port=p.port, backend=_BACKEND, ignore_unexpected=True, ignore_errors=True
            )
    except EOFError:
        return Outcome(False, "connection closed without a response")
    except dns.exception.DNSException as error:
        return Outcome(False, shorten(f"not DNS: {type(error).__name__}"))
    except OSError as error:
        return Outcome(False, describe(error))
    rcode = dns.rcode.to_text(reply.rcode())
    if rcode != check.rcode:
        return Outcome(False, f"{rcode}, want {check.rcode}")
    if check.answer is not None and check.answer.lower() not in _answers(reply, check):
        return Outcome(False, shorten(f"no {check.record} {check.answer!r} in the answer"))
    return Outcome(True, f"{rcode} in {(loop.time() - began) * 1000:.0f} ms")


def _answers(reply: dns.message.Message, check: Check) -> set[str]:
    wanted = dns.rdatatype.from_text(check.record)
    return {rdata.to_text().lower() for rrset in reply.answer if rrset.rdtype == wanted for rdata in rrset}
