"""Why a connection failed, in the few words that an operator reads in a table."""

from __future__ import annotations

import errno
import socket
import ssl

_MAX_DETAIL = 200  # characters: details are stored and shown, and part of them comes from strangers

_BY_ERRNO = {
    errno.ECONNREFUSED: "connection refused",
    errno.ECONNRESET: "connection reset",
    errno.EPIPE: "connection reset",
    errno.ETIMEDOUT: "timed out by the network",
    errno.EHOSTUNREACH: "no route to the host",
    errno.ENETUNREACH: "network unreachable",
    errno.EADDRNOTAVAIL: "no local address or port left",
    errno.EMFILE: "too many open files here",
    errno.ENFILE: "too many open files here",
}


def describe(error: BaseException) -> str:
    """`connection refused`, `certificate: hostname mismatch, …`, `name not resolved: …`; one short line."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return shorten(f"certificate: {_lower_first(error.verify_message.rstrip('.'))}")
    if isinstance(error, ssl.SSLError):
        return shorten(f"TLS: {(error.reason or str(error)).replace('_', ' ').lower()}")
    if isinstance(error, socket.gaierror):
        return shorten(f"name not resolved: {_lower_first(error.strerror or str(error))}")
    if isinstance(error, OSError):
        known = _BY_ERRNO.get(error.errno or 0)
        return known or shorten(_lower_first(error.strerror or str(error) or type(error).__name__))
    return shorten(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)


def timed_out(seconds: float) -> str:
    """What is said of a probe that was not over within so many."""
    return f"timed out after {seconds:g} s"


def shorten(text: str) -> str:
    """`text` on one line of printable characters, cut to what a table can hold."""
    printable = "".join(c if c.isprintable() else " " for c in text[: 2 * _MAX_DETAIL])
    line = " ".join(printable.split())
    return line if len(line) <= _MAX_DETAIL else f"{line[: _MAX_DETAIL - 1]}…"


def _lower_first(text: str) -> str:
    return text if text[:2].isupper() else text[:1].lower() + text[1:]
