"""The door: the one function that every transport hands its packets to, and what is counted around it."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass

Door = Callable[[bytes, str, int], bytes | None]
"""(packet, client's address as text, the transport's size limit in octets) -> reply, or None for silence.

Synchronous and quick; it is meant never to raise. The text of an IPv6 address carries no zone (`%eth0`).
"""

Messages = Generator[bytes, None, None]
"""The messages of a reply that has many: made one by one as the client takes them, always closed."""

StreamDoor = Callable[[bytes, str, int], bytes | Messages | None]
"""A door for transports that can carry such replies."""


@dataclass(slots=True)
class DoorStats:
    """Plain counters since the start; whoever publishes them reads the attributes."""

    received: int = 0
    """Messages that reached the door."""
    silent: int = 0
    """Messages to which the door gave no reply."""
    faults: int = 0
    """Exceptions out of the door: each is a bug. The client got no reply, the listener went on."""
    last_fault: str = ""

    def fault(self, error: Exception) -> None:
        """Count an exception that the door let through."""
        self.faults += 1
        self.last_fault = repr(error)[:200]
