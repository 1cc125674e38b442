"""A small disk that can really be filled: a tmpfs in a mount namespace that only its servers see."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from e2e_support import Server

SIZE = 4 << 20  # octets
_MOUNT = f'mount -t tmpfs -o size={SIZE},mode=700 none "$0" && echo mounted && exec cat'


class Disk:
    """Mounted on a folder in a namespace of its own, until `close`; not `mounted` where that may not be."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self._holder = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", _MOUNT, folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self._holder.stdout is not None
        self.mounted = self._holder.stdout.readline() == b"mounted\n"

    @property
    def within(self) -> tuple[str, ...]:
        """The words that start a program where the disk is seen."""
        return "nsenter", f"--mount=/proc/{self._holder.pid}/ns/mnt", "--"

    @property
    def _ballast(self) -> Path:
        return Path(f"/proc/{self._holder.pid}/root{self.folder}/ballast")

    def fill(self) -> None:
        """Leave no room at all."""
        with self._ballast.open("ab", buffering=0) as ballast:
            for size in (4096, 1):
                try:
                    while True:
                        os.write(ballast.fileno(), bytes(size))
                except OSError as error:
                    assert error.errno == errno.ENOSPC, error

    def free(self) -> None:
        """Make room."""
        self._ballast.unlink(missing_ok=True)

    def close(self) -> None:
        self._holder.communicate()


class OnDisk(Server):
    """A server whose state is on a disk of its own."""

    def __init__(self, folder: Path, zones: Mapping[str, str], disk: Disk) -> None:
        super().__init__(folder, zones)
        self.disk = disk
        self.within = disk.within

    def environ(self) -> dict[str, str]:
        return {**super().environ(), "GEODNS_STATE": str(self.disk.folder / "state.sqlite")}
