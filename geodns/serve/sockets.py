"""Binding: an address and port belong to one program, and one clear line says why they cannot be had."""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import socket
import struct
from collections.abc import Callable
from contextlib import suppress

from geodns.errors import GeodnsError

# <asm-generic/socket.h>, <linux/filter.h>; a program of three: A = a random number, A %= count, return A
_SO_ATTACH_REUSEPORT_CBPF = 51
_INSTRUCTION = struct.Struct("@HBBI")
_PROGRAM = struct.Struct("@HP")
_LOAD_RANDOM = _INSTRUCTION.pack(0x20, 0, 0, 0xFFFF_F000 + 56)
_MODULO, _RETURN = 0x94, _INSTRUCTION.pack(0x16, 0, 0, 0)

_NAMES = {socket.SOCK_DGRAM: "udp", socket.SOCK_STREAM: "tcp"}


def bound(kind: socket.SocketKind, address: str, port: int) -> socket.socket:
    """A non-blocking socket bound to a numeric address (IPv4, IPv6, `fe80::1%eth0`); port 0 picks a free one.

    `::` takes IPv6 only, so that it stands beside `0.0.0.0` on every system. SO_REUSEPORT is not set, nor
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


def siblings(
    first: socket.socket, count: int, prepare: Callable[[socket.socket], object]
) -> list[socket.socket]:
    """`count` more UDP sockets on the address and port of a bound one; packets are spread over all of them.

    The first one would have been refused a port that is taken; only now does it let others of the same user
    join it (SO_REUSEPORT). What arrived before stays with it. Where the system lets us say so, packets go to
    these sockets at random, and to none that joins later. `prepare` sets options before a packet can arrive.
    Raises OSError, and nothing has changed then.
    """
    made: list[socket.socket] = []
    if not count:
        return made
    first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        for _ in range(count):
            sock = socket.socket(first.family, socket.SOCK_DGRAM)
            made.append(sock)
            if sock.family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.setblocking(False)
            prepare(sock)
            sock.bind(first.getsockname())
    except OSError:
        for sock in made:
            sock.close()
        first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 0)
        raise
    _spread(first, 1 + count)
    return made


def _spread(sock: socket.socket, count: int) -> None:
    """Let the system choose at random among the first `count` sockets of a port; a wish."""
    program = _LOAD_RANDOM + _INSTRUCTION.pack(_MODULO, 0, 0, count) + _RETURN
    code = ctypes.create_string_buffer(program, len(program))
    told = _PROGRAM.pack(len(program) // _INSTRUCTION.size, ctypes.addressof(code))
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_REUSEPORT_CBPF, told)


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
