"""One MaxMind DB file, opened so that nothing done to the file afterwards can hurt the process.

A mapped file that somebody overwrites in place kills the process that maps it (SIGBUS), or feeds it nonsense.
So the live file is only ever copied: the copy is private, checked, mapped, and unlinked. It costs its size in
the temporary folder (TMPDIR) for as long as it is open. Format: https://maxmind.github.io/MaxMind-DB/
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import stat
import tempfile
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any, BinaryIO

import maxminddb
from maxminddb.reader import Metadata

from geodns.core.edns import stands_for_ipv4
from geodns.errors import GeodnsError

Address = IPv4Address | IPv6Address

MAX_BYTES = 2 << 30
_SAMPLES = 256
_ALIASES = 8  # ways at most that lead to one block: IPv4 has some five in a tree of IPv6
_SYNTHETIC = "geodns-synthetic"


class Kind(StrEnum):
    """What a database tells; the value is its key under `databases` in geodns.yaml."""

    CITY = "city"
    COUNTRY = "country"
    ASN = "asn"
    ISP = "isp"


_KINDS = {
    "City": Kind.CITY,
    "Enterprise": Kind.CITY,
    "Country": Kind.COUNTRY,
    "ASN": Kind.ASN,
    "ISP": Kind.ISP,
}


def kind_of(database_type: str) -> Kind | None:
    """The layout that a database's type names (`GeoLite2-City`, `DBIP-ASN-Lite (compat=GeoLite2-ASN)`)."""
    compatible = re.search(r"compat=([^)]*)", database_type)
    words = re.split(r"[^A-Za-z0-9]+", compatible[1] if compatible else database_type)
    return next((_KINDS[word] for word in words if word in _KINDS), None)


@dataclass(frozen=True, slots=True)
class Identity:
    """What `stat` says that changes when a file is replaced or written to."""

    device: int
    inode: int
    size: int
    modified_ns: int


def identity(path: Path) -> Identity | None:
    """The file's identity, or None where there is no such file or it may not be looked at."""
    try:
        found = path.stat()
    except OSError:
        return None
    return Identity(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


class Database:
    """An open database of one kind. Lookups never raise: what cannot be read is counted in `errors`.

    `copy` is a descriptor of the private copy, closed with the database.
    """

    def __init__(
        self, path: Path, kind: Kind, copy: int, reader: maxminddb.Reader, metadata: Metadata
    ) -> None:
        self.path = path
        self.kind = kind
        self.type = metadata.database_type
        self.built = metadata.build_epoch  # seconds since 1970
        self.nodes = metadata.node_count  # of the search tree; there are at most one more networks
        self.synthetic = self.type.startswith(_SYNTHETIC)
        self.errors = 0
        self.identity = object()  # another for each copy; whoever keeps it does not keep the database open
        self._copy = copy
        weakref.finalize(self, os.close, copy)
        self._ipv6 = metadata.ip_version == 6
        self._reader = reader
        self._find = reader.get_with_prefix_len

    def lookup(self, address: Address) -> tuple[Mapping[str, Any], int]:
        """The address's record, empty where there is none, and the prefix length of its block.

        The length is in the address's own family; without a record it is that of the hole around the
        address. A database of IPv4 alone knows nothing of all of IPv6: length 0. What it says of IPv6
        addresses that stand for IPv4 ones is not taken: most files say there what they say of some IPv4
        address, and not all of the same. A record that cannot be read holds for this address only.
        """
        apart = 0
        if address.version == 6:
            if not self._ipv6:
                return {}, 0
            stands, apart = stands_for_ipv4(int(address))
            if stands:
                return {}, apart
        try:
            record, length = self._find(address)
        except (maxminddb.InvalidDatabaseError, ValueError):
            self.errors += 1
            return {}, address.max_prefixlen
        return (record if type(record) is dict else {}), max(length, apart)

    def content(self) -> bytes:
        """The whole file, as it was when it was opened. Raises GeodnsError."""
        size = os.fstat(self._copy).st_size
        try:
            found = os.pread(self._copy, size, 0)
        except OSError as error:
            raise GeodnsError(f"{self.path}: {error.strerror or error}") from None
        if len(found) != size:
            raise GeodnsError(f"{self.path}: the private copy cannot be read in one go")
        return found

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        """The records of all blocks in the order of their addresses; for small databases and samples only.

        Walked by lookups: with a damaged tree maxminddb's own iteration writes where it must not, and kills
        the process. Raises InvalidDatabaseError where there are more blocks than such a tree can have.
        """
        bits, address_of = (128, IPv6Address) if self._ipv6 else (32, IPv4Address)
        start = 0
        for _ in range(_ALIASES * (self.nodes + 1)):
            record, length = self._find(address_of(start))
            if isinstance(record, dict):
                yield record
            start = (start >> bits - length) + 1 << bits - length
            if start >> bits:
                return
        raise maxminddb.InvalidDatabaseError("the tree does not end")

    def age_days(self, now: float) -> float:
        """Days between the database's build and `now` (seconds since 1970)."""
        return max(0.0, (now - self.built) / 86400)


def open_database(path: Path, kind: Kind) -> Database:
    """Open the database at `path`, which must be of this kind. Raises GeodnsError with one line."""
    copy = _private_copy(path)
    try:
        reader = _map(copy, path)
        metadata = _metadata(reader, path)
        database = Database(path, kind, os.open(copy, os.O_RDONLY), reader, metadata)
    finally:
        copy.unlink(missing_ok=True)
    actual = kind_of(database.type)
    if actual is not kind:
        advice = f"put it under databases.{actual}" if actual else f"a {_example(kind)} is wanted"
        raise GeodnsError(f"databases.{kind}: {path} is a '{database.type}' database; {advice}")
    _sample(database)
    return database


def _example(kind: Kind) -> str:
    return (
        "GeoIP2-ISP" if kind is Kind.ISP else f"GeoLite2-{kind.upper() if kind is Kind.ASN else kind.title()}"
    )


def _private_copy(path: Path) -> Path:
    before = identity(path)
    try:
        # Without O_NONBLOCK a pipe that nobody writes to would hold us for ever.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as live:
            found = os.fstat(live.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise GeodnsError(f"{path}: not a file")
            if found.st_size > MAX_BYTES:
                raise GeodnsError(f"{path}: {found.st_size} bytes; at most {MAX_BYTES} are taken")
            copy = _copied(live, path)
    except OSError as error:
        raise GeodnsError(f"{path}: {error.strerror or error}") from None
    if identity(path) != before:
        copy.unlink()
        raise GeodnsError(f"{path}: was being written while it was read; replace it by a rename instead")
    return copy


def _copied(live: BinaryIO, path: Path) -> Path:
    try:
        number, name = tempfile.mkstemp(prefix="geodns-", suffix=".mmdb")
    except OSError as error:
        raise GeodnsError(f"{path}: no room for a private copy ({error}); set TMPDIR") from None
    try:
        with os.fdopen(number, "wb") as copy:
            shutil.copyfileobj(live, copy, 1 << 20)
    except OSError as error:
        Path(name).unlink()
        raise GeodnsError(f"{path}: cannot copy it to {name} ({error.strerror}); set TMPDIR") from None
    return Path(name)


def _map(copy: Path, path: Path) -> maxminddb.Reader:
    try:
        return maxminddb.open_database(copy, maxminddb.MODE_MMAP_EXT)
    except maxminddb.InvalidDatabaseError:
        raise GeodnsError(f"{path}: not a MaxMind DB file, or a truncated one; download it again") from None
    except ValueError:  # what maxminddb raises where its extension was not built
        raise GeodnsError(
            "maxminddb lacks its C extension; reinstall it from a wheel, or with libmaxminddb's headers there"
        ) from None
    except OSError as error:
        raise GeodnsError(f"{path}: {error.strerror or error}") from None


def _metadata(reader: maxminddb.Reader, path: Path) -> Metadata:
    try:
        found = reader.metadata()
    except (maxminddb.InvalidDatabaseError, ValueError):
        raise GeodnsError(f"{path}: the database is damaged; download it again") from None
    if not isinstance(found.database_type, str) or found.ip_version not in (4, 6):
        raise GeodnsError(f"{path}: the database is damaged; download it again")
    return found


def _sample(database: Database) -> None:
    """Read some records from all over the database: a tree that leads nowhere shows here, not in a query."""
    step4, step6 = (1 << 32) // _SAMPLES, (1 << 125) // _SAMPLES
    for number in range(_SAMPLES):
        database.lookup(IPv4Address(number * step4))
        database.lookup(IPv6Address((1 << 125) + number * step6))  # 2000::/3, all of global unicast
    try:
        found = sum(1 for _ in itertools.islice(database, _SAMPLES))
    except (maxminddb.InvalidDatabaseError, ValueError):
        database.errors += 1
        found = 0
    if database.errors or not found:
        state = "damaged" if database.errors else "empty"
        raise GeodnsError(f"{database.path}: the database is {state}; download it again")
