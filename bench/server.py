"""A server under measure: made in a folder of its own, started on a free loopback port, ended by its pid."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench import data, machine, packets
from bench.machine import BenchError, Load

SAMPLE = 200


class Server:
    """Subclasses say what to write into the folder and which command to run there."""

    id = ""
    title = ""
    program = ""  # looked up in PATH and the system's sbin folders
    package = ""
    is_dns = True
    steers = True
    regions: tuple[data.Region, ...] = data.REGIONS
    ready_within = 30.0

    def __init__(self, folder: Path, mmdb: Path, names: int = data.NAMES, threads: int = 1) -> None:
        self.folder = folder
        self.mmdb = mmdb
        self.names = names
        self.threads = threads  # that answer
        self.cores: tuple[int, ...] = (machine.cores()[0],)
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None

    @classmethod
    def executable(cls) -> str:
        """The program's path; BenchError where it is not installed."""
        found = shutil.which(cls.program, path="/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin")
        if found is None:
            raise BenchError(
                f"{cls.title}: {cls.program} is not installed (Debian: apt-get install {cls.package})"
            )
        return found

    @classmethod
    def version(cls) -> str:
        return ""

    def prepare(self) -> None:
        """Write the configuration for `self.port` into `self.folder`."""
        raise NotImplementedError

    def command(self) -> list[str]:
        raise NotImplementedError

    def start(self) -> float:
        """Start and wait for the first answer; the seconds from the process's start to it."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.port = machine.free_port()
        self.prepare()
        with (self.folder / "log").open("wb") as log, machine.pinned(*self.cores):
            began = time.monotonic()
            self.process = subprocess.Popen(
                self.command(),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            self._wait(began + self.ready_within)
        except BenchError:
            self.stop()
            raise
        took = time.monotonic() - began
        machine.pin_threads(self.pids(), self.cores)
        return took

    def _wait(self, until: float) -> None:
        assert self.process is not None
        while time.monotonic() < until:
            if self.process.poll() is not None:
                raise BenchError(f"{self.title} ended with {self.process.returncode}: {self.last_words()}")
            if self.answers():
                return
            time.sleep(0.01)
        raise BenchError(
            f"{self.title} gave no right answer within {self.ready_within:.0f} s: {self.last_words()}"
        )

    def answers(self) -> bool:
        """Whether it answers the last of the names with an address of the zone."""
        wire = packets.query(f"n{self.names - 1}.{data.ZONE}")
        with suppress(OSError):
            got = self.ask(wire, timeout=0.2)
            return not self.is_dns or packets.first_address(got) in {
                a for r in self.regions for a in r.addresses
            }
        return False

    def ask(self, wire: bytes, timeout: float = 2.0) -> bytes:
        """One query, one answer. OSError (TimeoutError, ConnectionRefusedError) where none comes."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(timeout)
            sock.connect(("127.0.0.1", self.port))
            sock.send(wire)
            return sock.recv(4096)

    def pids(self) -> list[int]:
        assert self.process is not None
        return machine.family(self.process.pid)

    def under(self, load: Load, queries: Path) -> dict[str, Any]:
        """What a load costs it: what the load generator counts (loadgen.c) and, for each answer,

        `cpu_us`; `busy` and `stolen`: the shares of the time in which it had a core, and in which the
        hypervisor had its core; `qps`; `second`: the share of the CPU time that the second busiest thread
        took. BenchError where nothing is answered.
        """
        pids = self.pids()
        threads = machine.thread_seconds(pids)
        cpu, stolen = machine.cpu_seconds(pids), machine.stolen_seconds()
        counted = machine.generate(self.port, queries, load)
        cpu, stolen = machine.cpu_seconds(pids) - cpu, machine.stolen_seconds() - stolen
        took = sorted(s - threads.get(t, 0.0) for t, s in machine.thread_seconds(pids).items())
        answered, seconds = counted["answered"], counted["seconds"]
        if not answered:
            raise BenchError(f"{self.title} answered nothing of {queries.stem}: {self.last_words()}")
        return {
            **counted,
            "cpu_us": cpu / answered * 1e6,
            "busy": cpu / seconds,
            "stolen": stolen / seconds,
            "qps": answered / seconds,
            "second": took[-2] / cpu if len(took) > 1 else 0.0,
        }

    def stop(self) -> None:
        """End it: politely, then not."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def last_words(self) -> str:
        """The end of its log, for a message."""
        lines = (self.folder / "log").read_text(errors="replace").strip().splitlines()
        return " | ".join(lines[-3:]) or "(it said nothing)"

    def verify(self) -> None:
        """Check that it steers as the policy says, by SAMPLE Client Subnets of each family, and denies a name
        that does not exist; BenchError where it does not.

        A server that is fast because it does not look is not worth measuring.
        """
        for family in data.FAMILIES if self.steers else ():
            places = data.countries_of_networks(family)
            for index in range(0, data.NETWORKS, data.NETWORKS // SAMPLE):
                self._verify_steering(data.subnet(index, family), places[index][0])
        missing = self.ask(packets.query(f"no-such-name.{data.ZONE}"))
        if packets.rcode(missing) != packets.NXDOMAIN:
            raise BenchError(f"{self.title}: rcode {packets.rcode(missing)} for a name that does not exist")

    def _verify_steering(self, subnet: str, country: str) -> None:
        wanted = data.region_of(country)
        got = packets.first_address(self.ask(packets.query(f"n0.{data.ZONE}", subnet)))
        if got not in wanted.addresses:
            raise BenchError(
                f"{self.title}: a client in {subnet} ({country}) belongs to {wanted.id}, "
                f"but the answer was {got}"
            )


def version_of(command: list[str], line: int = 0) -> str:
    """A line of what the command prints; empty where it does not run."""
    with suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
        lines = (done.stdout + done.stderr).strip().splitlines()
        return lines[line].strip() if line < len(lines) else ""
    return ""
