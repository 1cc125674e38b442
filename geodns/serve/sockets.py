"""Binding: an address and port belong to one program, and one clear line says why they cannot be had."""

from __future__ import annotations

import errno
import os
import resource
import socket
from contextlib import suppress

from geodns.errors import GeodnsError

_NAMES = {socket.SOCK_DGRAM: "udp", socket.SOCK_STREAM: "tcp"}


def bound(kind: socket.SocketKind, address: str, port: int) -> socket.socket:
    """A non-blocking socket bound to a numeric address (IPv4, IPv6, `fe80::1%eth0`); port 0 picks a free one.

    `::` takes IPv6 only, so that it stands beside `0.0.0.0` on every system. SO_REUSEPORT is never set, nor
    SO_REUSEADDR for UDP: two servers started by mistake must not split traffic, whatever the other one set.
    Raises GeodnsError in one line.
    """
    try:
        family, _, _, _, target = socket.getaddrinfo(address, port, type=kind, flags=socket.AI_NUMERICHOST)[0]
    except (OSError, UnicodeError, OverflowError):
        raise GeodnsError(f"{address!r} is no IPv4 or IPv6 address to listen on") from None
    try:
        sock = socket.socket(family, kind)
    except OSError as error:
        raise refusal(error, kind, address, port) from None
    try:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if kind == socket.SOCK_STREAM and os.name == "posix":
            # This forgives the last run's connections in TIME_WAIT; a living listener still refuses.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setblocking(False)
        sock.bind(target)
    except OSError as error:
        sock.close()
        raise refusal(error, kind, address, port) from None
    return sock


def speaks_ipv6() -> bool:
    """Whether the kernel knows IPv6 at all; it need not have an address."""
    try:
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).close()
    except OSError:
        return False
    return True


def descriptors(wanted: int) -> int:
    """How many files this process may have open: `wanted`, or as many as the system lets it have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        return most
    return soft


def refusal(error: OSError, kind: socket.SocketKind, address: str, port: int) -> GeodnsError:
    """What to tell an operator whose address and port could not be had."""
    where = endpoint(kind, address, port)
    if error.errno == errno.EADDRINUSE:
        what = "is taken by another program: stop it or choose another port with --dns-port or DNS_PORT"
    elif error.errno in (errno.EACCES, errno.EPERM):
        what = (
            "needs the right to bind ports below 1024: grant CAP_NET_BIND_SERVICE, "
            "or choose another port with --dns-port or DNS_PORT"
        )
    elif error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
        what = "cannot be listened on: no interface of this machine has that address"
    else:
        what = f"cannot be listened on: {error.strerror or error}"
    return GeodnsError(f"{where} {what}")


def endpoint(kind: socket.SocketKind, address: str, port: int) -> str:
    """`127.0.0.1:5300/udp`, `[::1]:5300/tcp`."""
    host = f"[{address}]" if ":" in address else address
    return f"{host}:{port}/{_NAMES[kind]}"
