"""The bench measures what it says: the load generator counts and checks, the report shows it."""

from __future__ import annotations

import os
import random
import shutil
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench import data, machine, packets, report, scale
from bench.geodns import zone
from bench.machine import Load
from bench.run import Results

if shutil.which("cc") is None and not os.environ.get("CI"):
    pytest.skip("no C compiler here; in CI its absence is a failure", allow_module_level=True)

HEAD = 12


def answered(query: bytes, address: str = "192.0.2.10", rcode: int = 0) -> bytes:
    """A minimal right answer to a query without EDNS: one A record, or none with an rcode."""
    count = 0 if rcode else 1
    record = struct.pack("!HHHIH", 0xC00C, 1, 1, 30, 4) + socket.inet_aton(address)
    return query[:2] + struct.pack("!5H", 0x8400 | rcode, 1, count, 0, 0) + query[HEAD:] + record * count


@contextmanager
def responder(reply: Callable[[int, bytes], list[bytes]]) -> Iterator[int]:
    """A UDP server in a thread: `reply(number, query)` says what to send back. Yields its port."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    sock.settimeout(0.05)
    done = threading.Event()

    def serve() -> None:
        number = 0
        while not done.is_set():
            try:
                query, peer = sock.recvfrom(4096)
            except TimeoutError:
                continue
            for answer in reply(number, query):
                sock.sendto(answer, peer)
            number += 1

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield sock.getsockname()[1]
    finally:
        done.set()
        thread.join()
        sock.close()


@pytest.fixture
def queries(tmp_path: Path) -> Path:
    path = tmp_path / "queries"
    assert packets.write(path, packets.all_names(50)) == 50
    return path


class TestLoadGenerator:
    def test_counts_right_answers(self, queries: Path) -> None:
        with responder(lambda _, q: [answered(q)]) as port:
            counted = machine.generate(port, queries, Load(count=200, window=8))
        assert (counted["sent"], counted["answered"], counted["lost"]) == (200, 200, 0)
        assert counted["rcodes"] == [200, *[0] * 15]
        assert counted["empty"] == counted["wrong"] == counted["stray"] == 0

    def test_counts_rcodes_and_empty_answers(self, queries: Path) -> None:
        with responder(lambda n, q: [answered(q, rcode=3 if n % 2 else 0)]) as port:
            counted = machine.generate(port, queries, Load(count=100, window=8))
        assert counted["rcodes"][0] == counted["rcodes"][3] == counted["empty"] == 50  # type: ignore[index]

    def test_a_query_without_an_answer_is_lost_and_does_not_stop_the_rest(self, queries: Path) -> None:
        with responder(lambda n, q: [] if n == 3 else [answered(q)]) as port:
            counted = machine.generate(port, queries, Load(count=20, window=4))
        assert (counted["sent"], counted["answered"], counted["lost"]) == (20, 19, 1)

    def test_an_answer_to_another_question_is_wrong(self, queries: Path) -> None:
        other = packets.query("other.example.com")
        with responder(lambda n, q: [answered(q[:2] + other[2:])] if n == 0 else [answered(q)]) as port:
            counted = machine.generate(port, queries, Load(count=10, window=2))
        assert (counted["wrong"], counted["answered"], counted["lost"]) == (1, 9, 1)

    def test_an_answer_in_other_case_is_wrong(self, tmp_path: Path) -> None:
        path = tmp_path / "queries"
        packets.write(path, [packets.query("MiXed.example.com")])
        with responder(lambda _, q: [answered(q.lower())]) as port:
            counted = machine.generate(port, path, Load(count=1))
        assert (counted["wrong"], counted["answered"]) == (1, 0)

    def test_a_second_answer_is_a_stray(self, queries: Path) -> None:
        with responder(lambda n, q: [answered(q), answered(q)] if n == 0 else [answered(q)]) as port:
            counted = machine.generate(port, queries, Load(count=10, window=1))
        assert (counted["stray"], counted["answered"]) == (1, 10)

    def test_a_query_sent_back_is_no_answer(self, queries: Path) -> None:
        with responder(lambda _, q: [q]) as port:
            counted = machine.generate(port, queries, Load(count=1))
        assert (counted["wrong"], counted["answered"]) == (1, 0)

    def test_keeps_a_rate(self, queries: Path) -> None:
        with responder(lambda _, q: [answered(q)]) as port:
            counted = machine.generate(port, queries, Load(count=100, rate=500))
        assert counted["answered"] == 100
        assert float(counted["seconds"]) >= 0.19  # type: ignore[arg-type]

    def test_traces_each_answer_with_its_query_and_address(self, queries: Path, tmp_path: Path) -> None:
        trace = tmp_path / "trace"
        with responder(lambda n, q: [answered(q, f"192.0.2.{n + 1}")]) as port:
            machine.generate(port, queries, Load(count=3, window=1), trace)
        rows = [scale.Answer(*row) for row in scale.TRACE.iter_unpack(trace.read_bytes())]
        assert [(r.query, r.address & 255) for r in rows] == [(0, 1), (1, 2), (2, 3)]
        assert all(r.sent < r.answered for r in rows)

    @pytest.mark.parametrize("content", [b"", b"\x00\x03abc", b"\x00\x40" + b"x" * 10])
    def test_refuses_a_broken_file_in_one_line(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "queries"
        path.write_bytes(content)
        with pytest.raises(machine.BenchError, match=r"^loadgen: [^\n]+$"):
            machine.generate(9, path, Load(count=1))

    def test_loads_loopback_only(self, queries: Path) -> None:
        import subprocess

        command = [machine.compiled("loadgen"), "192.0.2.1", "53", queries, "1", "1", "1", "0"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert "127.0.0.0/8" in done.stderr


class TestMachine:
    def test_cores_are_told_apart_even_by_who_is_pinned(self) -> None:
        before = machine.cores()
        machine.cores.cache_clear()
        with machine.pinned(before[1]):
            assert machine.cores() == before

    def test_cpu_time_of_a_process_is_counted(self) -> None:
        before = machine.cpu_seconds([os.getpid()])
        assert sum(range(300_000))
        assert 0 < machine.cpu_seconds([os.getpid()]) - before < 5


class TestQueries:
    def test_missing_names_never_repeat(self) -> None:
        assert len(set(packets.missing(5_000))) == 5_000

    def test_random_case_differs_only_in_case(self) -> None:
        plain = packets.query("n1.example.com")
        mixed = packets.query("n1.example.com", case=random.Random(1))
        assert mixed != plain
        assert mixed.lower() == plain.lower()

    def test_client_subnets_cover_every_network_once(self) -> None:
        tails = {q[-3:] for q in packets.every_subnet()}
        assert len(tails) == data.NETWORKS

    def test_a_client_subnet_is_in_the_option_as_rfc_7871_says(self) -> None:
        assert packets.query("a.example", "10.1.2.0/24")[-11:] == bytes([0, 8, 0, 7, 0, 1, 24, 0, 10, 1, 2])


def results() -> Results:
    """Two rounds: geodns at 10 and 12 µs, gdnsd at 5, PowerDNS at 40 and, with caches, 22."""
    found = Results(
        {"cpu": "a processor"}, 2, workloads={"one": "1 name", "missing": "none", "names": "1,000 names"}
    )
    costs = {
        "gdnsd": (5.0, 5.0),
        "powerdns": (40.0, 40.0),
        "powerdns-cached": (22.0, 22.0),
        "geodns": (10.0, 12.0),
    }
    for server, values in costs.items():
        found.servers[server] = {"title": server, "version": "1"}
        for number, cost in enumerate(values):
            for workload in found.workloads:
                found.runs.append(
                    {"round": number, "server": server, "workload": workload, "cpu_us": cost, "lost": 0,
                     "sent": 9, "stolen": 0.0}
                )  # fmt: skip
    return found


class TestReport:
    def test_shows_the_median_and_the_spread(self) -> None:
        assert "| geodns | **11.00** (10.00–12.00) |" in report.render(results())

    def test_divides_by_the_cheaper_powerdns(self) -> None:
        assert report.ratio(results(), "geodns", "one", "powerdns") == 0.5

    def test_says_what_is_reached_and_what_is_missed(self) -> None:
        found = results()
        text = report.render(found)
        assert "| one ÷ gdnsd | 2.20 | 2.20 | reached |" in text
        for row in found.runs:
            row["cpu_us"] *= 1.2 if row["server"] == "geodns" else 1.0
        assert "| one ÷ gdnsd | 2.20 | 2.64 | **missed** |" in report.render(found)

    def test_says_what_was_left_out_lost_or_wrong(self) -> None:
        found = results()
        found.skipped["knot"] = "Knot: knotd is not installed"
        found.runs[0] |= {"lost": 3, "problem": "7 answers without a record"}
        text = report.render(found)
        assert "- left out: Knot: knotd is not installed" in text
        assert "- gdnsd, one, round 1: 3 of 9 queries lost" in text
        assert "- gdnsd, one, round 1: 7 answers without a record" in text

    def test_a_server_that_fails_leaves_no_figures_behind(self) -> None:
        found = results()
        found.leave_out("gdnsd", "it steered wrongly")
        assert "| gdnsd |" not in report.render(found)
        assert report.ratio(found, "geodns", "one", "gdnsd") is None

    def test_works_without_geodns(self) -> None:
        found = results()
        found.runs = [r for r in found.runs if r["server"] != "geodns"]
        assert "What geodns is to reach" not in report.render(found)


class TestChange:
    OLD = min(scale.OLD)

    def test_the_last_old_answer_and_its_names_are_found(self) -> None:
        answers = [
            scale.Answer(900_000, 950_000, 0, self.OLD),
            scale.Answer(990_000, 3_000_000, 1, self.OLD),  # asked before, answered after
            scale.Answer(2_000_000, 5_000_000, 2, self.OLD),
            scale.Answer(6_000_000, 6_100_000, 2, 1),
        ]
        assert scale.after(answers, 1_000_000, 3) == {
            "late_ms": 4.0,
            "names_old": 1,
            "names_seen": 1,
            "names": 3,
        }

    def test_a_zone_of_n_names_has_n_steered_records(self) -> None:
        assert zone(20).count("{steer: web}") == 20
