"""An ICMP check: the endpoint is well when it answers a ping (RFC 792, RFC 4443).

By the system's datagram sockets for it, which need no rights but a group in `net.ipv4.ping_group_range`.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import struct

from geodns.core.health import Outcome, Probe
from geodns.monitor.probes.failure import describe

_ECHO = {socket.AF_INET: (socket.IPPROTO_ICMP, 8, 0), socket.AF_INET6: (socket.IPPROTO_ICMPV6, 128, 129)}
_HEADER = struct.Struct("!BBHHH")  # type, code, checksum, identifier, sequence: the system fills in two


async def probe(p: Probe, address: str) -> Outcome:
    """Ping `address` (numeric) once. No deadline of its own."""
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    protocol, request, reply = _ECHO[family]
    token = secrets.token_bytes(16)
    try:
        with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, protocol) as pinging:
            began = loop.time()
            await loop.sock_connect(pinging, (address, 0))
            await loop.sock_sendall(pinging, _HEADER.pack(request, 0, 0, 0, 1) + token)
            while True:
                heard = await loop.sock_recv(pinging, 1024)
                if heard[:1] == bytes([reply]) and heard[_HEADER.size :] == token:
                    return Outcome(True, f"answered in {(loop.time() - began) * 1000:.0f} ms")
    except PermissionError:
        return Outcome(False, "this process may not ping: its group is not in net.ipv4.ping_group_range")
    except OSError as error:
        return Outcome(False, describe(error))
