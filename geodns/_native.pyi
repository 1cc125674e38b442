"""The border between Python and the native lane (native/src/border.rs): data in, counters and replies out."""

from array import array
from collections.abc import Callable, Sequence
from typing import Any, final

from geodns.core import table
from geodns.core.reception import Reception
from geodns.core.table import AnswerSet, Sheet
from geodns.core.terms import Terms

LAYOUT: str
"""SHA-256 of `core/table.py` and this file, as they were when the library was built."""
SOURCES: str
"""SHA-256 of all that the library was built from."""

Counted = tuple[list[tuple[int, int]], list[tuple[str, int]], list[tuple[str, int]]]
"""Counts by the tally's slots, of replies beside the data by their cause, of cookies by their state."""

@final
class Wanted:
    """What Python is to do before a packet can be answered: make the answer set `number` of a sheet.

    `sheet` -1: the packet is Python's to answer.
    """

    @property
    def sheet(self) -> int: ...
    @property
    def number(self) -> int: ...

@final
class Names:
    """The names of all zones and their static answers, laid out for look-ups.

    Made without holding up other threads. Raises ValueError for a table that contradicts itself.
    """

    def __init__(self, names: table.Names) -> None: ...
    def find(self, name: bytes, qtype: int) -> int | None:
        """Which answer a folded name has, None outside all zones."""

    def size(self) -> int:
        """Octets of memory that this takes."""

@final
class Layer:
    """One fact about every address of both families, as a number; a block is as large as it is the same.

    Numbers count from 0. What takes long is done without holding up other threads. Raises ValueError for a
    number that has no value.
    """

    def __init__(self, v4: Sequence[tuple[int, int]], v6: Sequence[tuple[int, int]]) -> None:
        """From (first address, number), ascending, the first address 0."""

    @staticmethod
    def read(content: bytes, parts: set[str]) -> tuple[Layer, Records]:
        """A MaxMind DB file: where which record holds, number 0 the empty one; of records only these entries.

        Raises ValueError for a file that cannot be read as a whole. A record that cannot be is empty.
        """

    @staticmethod
    def over(layers: Sequence[Layer]) -> tuple[Layer, list[bytes]]:
        """What layers, one at least, say together; and for each of them, by number, which of its own that is.

        The latter in four octets each, as an array of `I` has them.
        """

    def mapped(self, values: array[int]) -> Layer:
        """The layer with the value of each number in its place."""

    def addresses(self, numbers: int) -> list[int]:
        """How many IPv4 addresses have each of so many numbers."""

    def starts(self) -> tuple[list[int], list[int]]:
        """The first addresses of the blocks' runs, of IPv4 and of IPv6."""

@final
class Records:
    """The different records of a database. What has a type that is never asked for is None in them."""

    def __len__(self) -> int: ...
    def pick(self, numbers: Sequence[int]) -> list[dict[str, Any]]: ...

@final
class Places:
    """The classes of a plan by address, under numbers of its own."""

    def __init__(self, classes: Layer, everybody: bool) -> None:
        """`everybody`: no part of a client's place was asked, whatever its class is holds for all."""

    @property
    def runs(self) -> tuple[int, int]:
        """Into how many runs of one class each the addresses of IPv4 and IPv6 are cut."""

    @property
    def size(self) -> int:
        """Octets of memory that this takes."""

@final
class Classifier:
    """From a client to its class in a plan. Never changes; any thread may ask."""

    def __init__(self, plans: Sequence[tuple[Places, Sequence[int]] | None], ipv4: int, ipv6: int) -> None:
        """For each plan its places and the class of each of their numbers, None: Python is to be asked.

        `ipv4`, `ipv6`: the shortest scopes to give.
        """

    def find(self, plan: int, family: int, address: int, prefix: int, shift: int) -> tuple[int, int] | None:
        """(class, scope) as `Sheets.classify`, but that the scope may be wider where that is as true."""

    def find_all(self, plan: int, family: int, addresses: bytes) -> bytes:
        """What is found for many whole addresses, packed: class in four octets and scope in one, for each.

        Raises ValueError where Python is to be asked.
        """

@final
class Lane:
    """What packets are answered from. Each change is swapped in whole: no packet sees half of one.

    Data that contradicts itself raises ValueError, and nothing has changed then.
    """

    def __init__(self, threads: int) -> None:
        """`threads`: how many answer beside Python."""

    def load(self, names: Names, sheets: Sequence[Sheet], places: Classifier | None) -> Counted:
        """Answer from other names, sheets and places from now on; all that was counted of those before.

        Returns when no thread answers from them any more. Without `places` threads pass on what is steered.
        """

    def locate(self, places: Classifier | None) -> None:
        """Look up classes elsewhere from now on."""

    def publish(self, changed: Sequence[tuple[int, Sheet]]) -> None:
        """Put other sheets in the places of some. Returns when no thread answers from those any more."""

    def fill(self, sheet: int, number: int, made: AnswerSet) -> None:
        """Add the answer set of a class to a sheet."""

    def agree(self, terms: Terms, payload: int, signed: bool) -> None:
        """Other terms from now on. `signed`: queries with a TSIG record are Python's to answer."""

    def serve(
        self,
        descriptors: list[int],
        *,
        first: int,
        waiting: int,
        cores: list[int],
        rate: Rate | None,
        shown: int,
    ) -> UdpService:
        """Answer what arrives on UDP sockets (descriptors, which are duplicated), with a thread each.

        `first` is the number of the first of these among the lane's threads. At most `waiting` packets wait
        for Python. Threads are held on `cores` in turn, where some are given. The log is to show one packet
        in `shown`, by chance (0: none). Raises OSError.
        """

    def counted(self) -> Counted:
        """What the threads counted since this was last asked."""

    def replay(
        self,
        reception: Reception,
        tally: object,
        classify: Callable[[int, int, int, int, int], tuple[int, int]] | None,
        packet: bytes,
        client: str,
        limit: int,
        chance: int,
        now: int,
    ) -> bytes | Wanted | None:
        """The reply to a packet as `Replay.answer` gives it, None for silence, or what is wanted first.

        Counted in `tally` and in the reception's counters. `classify`, in place of what was loaded, is asked
        for (class, scope) by plan, family, address, prefix and shift. Raises what it raises, and ValueError
        for a client that is none.
        """

@final
class Asker:
    """The way back to whom a packet that was passed came from."""

@final
class UdpService:
    """Threads that answer on sockets of one address and port; what they pass is read like from a socket."""

    def fileno(self) -> int:
        """Readable while packets wait that were passed."""

    def recvfrom(self, size: int, /) -> tuple[bytes, tuple[str, Asker]]:
        """A packet and its client's address as text, without zone. BlockingIOError where none waits."""

    def sendto(self, reply: bytes, client: tuple[str, Asker], /) -> None:
        """Answer a packet that was passed, from the address that it asked. OSError."""

    def counts(self) -> dict[str, int]:
        """Since the start: received, silent, faults, errors, unsent, passed, unpassed, unshown."""

    def last_fault(self) -> str:
        """What the last panic said, and where; empty where there was none."""

    def shown_fileno(self) -> int:
        """Readable while packets wait that the log is to show."""

    def shown(self) -> tuple[bytes, str, bytes | None] | None:
        """A packet for the log, its client's address, and the reply that it got; None where none waits."""

    def stop(self) -> None:
        """Stop answering and close the sockets: no thread is left when this returns."""

@final
class Rate:
    """The rate limit of all threads: `core.limit.Limiter`, with times of its own (docs/adr/0016)."""

    @property
    def outcomes(self) -> dict[str, int]: ...
    @property
    def displaced(self) -> int: ...
    @property
    def watched(self) -> int: ...
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
