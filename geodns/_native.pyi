"""The border between Python and the native lane (native/src/border.rs): compiled data in, counters and replies out."""

LAYOUT: str
"""SHA-256 of `core/table.py` and this file, as they were when the library was built."""
SOURCES: str
"""SHA-256 of all that the library was built from."""

class Asker:
    """The way back to whom a packet that was passed came from."""

class UdpService:
    """Threads that answer on sockets of one address and port; what they pass is read like from a socket."""

    def fileno(self) -> int:
        """Readable while packets wait that were passed."""

    def recvfrom(self, size: int, /) -> tuple[bytes, tuple[str, Asker]]:
        """A packet and its client's address as text, without zone. BlockingIOError where none waits."""

    def sendto(self, reply: bytes, client: tuple[str, Asker], /) -> None:
        """Answer a packet that was passed, from the address that it asked. OSError."""

    def counts(self) -> dict[str, int]:
        """Since the start: received, silent, faults, errors, unsent, passed, unpassed."""

    def last_fault(self) -> str:
        """What the last panic said, and where; empty where there was none."""

    def stop(self) -> None:
        """Stop answering and close the sockets: no thread is left when this returns."""

class Rate:
    """The rate limit of all threads: `core.limit.Limiter`, with times of its own (docs/adr/0016)."""

    outcomes: dict[str, int]
    displaced: int
    watched: int

    def __new__(
        cls,
        responses: int,
        *,
        slip: int = 1,
        exempt: list[str] = ...,
        dry_run: bool = False,
        blocks: int = 65536,
        payload: int = 1232,
    ) -> Rate: ...
    def over(self, client: str, now: int) -> bool: ...
    def spares(self, client: str, trusted: bool) -> bool: ...
    def turn_away(self, packet: bytes) -> bytes | None: ...
