"""Domain names in wire form (RFC 1035 §3.1): bytes in, bytes out, always whole and absolute.

`wire` is a run of length-prefixed labels that ends in the root's zero octet. Names used as keys are
lower-cased (`fold`): length octets are at most 63 and so never fall into A–Z.
"""

from __future__ import annotations

import re

MAX_NAME = 255
MAX_LABEL = 63
ROOT = b"\0"

# What nearly every name is; the shortcut is three times as fast as reading letter by letter.
_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?").fullmatch
_ESCAPED_OCTET = re.compile(r"[0-9]{3}|[\0-\x7f]").match
_ESCAPED = frozenset(b'."\\;()@$ ')


class BadNameError(ValueError):
    """A text that is no domain name; the message says why."""


def fold(wire: bytes) -> bytes:
    """The name in lower case, for comparison (RFC 4343: ASCII only)."""
    return wire.lower()


def from_text(text: str, origin: bytes = ROOT) -> bytes:
    """Presentation form to wire form; a name without a final dot is put below `origin`.

    `@` alone is the origin. Escapes are those of RFC 1035 §5.1 (`\\.` and `\\DDD`). Case is kept.
    Raises BadNameError for an empty label, an over-long label or name, a bad escape, a non-ASCII letter.
    """
    if text == "@":
        return origin
    if text == ".":
        return ROOT
    if _PLAIN(text):
        labels = text.encode().split(b".")
        absolute = not labels[-1]
        labels = labels[:-1] if absolute else labels
    else:
        labels, absolute = _labels(text)
    wire = b"".join(bytes([len(label)]) + label for label in labels) + (ROOT if absolute else origin)
    if len(wire) > MAX_NAME:
        raise BadNameError(f"the name is {len(wire)} octets long, the limit is {MAX_NAME}")
    return wire


def _labels(text: str) -> tuple[list[bytes], bool]:
    labels: list[bytes] = []
    label = bytearray()
    at = 0
    absolute = False
    if not text:
        raise BadNameError("the name is empty")
    while at < len(text):
        char = text[at]
        at += 1
        if char == ".":
            _close(labels, label, text)
            label = bytearray()
            absolute = at == len(text)
        elif char == "\\":
            escaped = _ESCAPED_OCTET(text, at)
            if escaped is None and at == len(text):
                raise BadNameError("the name ends in a lone backslash")
            if escaped is None:
                raise _beyond_ascii(text[at])
            octet = int(escaped[0]) if len(escaped[0]) == 3 else ord(escaped[0])
            if octet > 255:
                raise BadNameError(f"\\{escaped[0]} is no octet (000 to 255)")
            label.append(octet)
            at = escaped.end()
        elif ord(char) > 126 or ord(char) < 33:
            raise _beyond_ascii(char)
        else:
            label.append(ord(char))
    if not absolute:
        _close(labels, label, text)
    return labels, absolute


def _beyond_ascii(char: str) -> BadNameError:
    return BadNameError(f"{char!r} is not allowed in a name; write international names in their xn-- form")


def _close(labels: list[bytes], label: bytearray, text: str) -> None:
    if not label:
        raise BadNameError(f"'{text}' has an empty label")
    if len(label) > MAX_LABEL:
        raise BadNameError(
            f"the label '{label.decode('latin-1')}' is {len(label)} octets long, the limit is {MAX_LABEL}"
        )
    labels.append(bytes(label))


def labels(wire: bytes) -> list[bytes]:
    """The labels of a wire name, leftmost first, without the root."""
    found: list[bytes] = []
    at = 0
    while wire[at]:
        end = at + 1 + wire[at]
        found.append(wire[at + 1 : end])
        at = end
    return found


def to_text(wire: bytes) -> str:
    """Presentation form with a final dot; octets that need it are escaped."""
    if wire == ROOT:
        return "."
    return "".join(f"{_label_text(label)}." for label in labels(wire))


def _label_text(label: bytes) -> str:
    return "".join(
        f"\\{chr(o)}" if o in _ESCAPED else chr(o) if 33 <= o <= 126 else f"\\{o:03d}" for o in label
    )


def parent(wire: bytes) -> bytes:
    """The name without its leftmost label. The root has no parent: do not ask."""
    return wire[1 + wire[0] :]


def ancestors(wire: bytes) -> list[bytes]:
    """The name itself, then every name above it, the root last."""
    found = [wire]
    while wire[0]:
        wire = wire[1 + wire[0] :]
        found.append(wire)
    return found


def is_below(wire: bytes, apex: bytes) -> bool:
    """Whether a folded name is `apex` or lies under it."""
    if not wire.endswith(apex):
        return False
    at, edge = 0, len(wire) - len(apex)
    while at < edge:
        at += 1 + wire[at]
    return at == edge
