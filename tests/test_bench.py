"""The bench measures what it says: loads are what they are called, answers are checked and counted."""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import maxminddb
import pytest

from bench import changes, data, geodns, machine, packets, reload, run, scale, threads, workloads
from bench.geodns import Geodns, GeodnsPython, zone
from bench.machine import BenchError, Load
from bench.plan import Plan, started
from bench.results import Results
from bench.server import Server

if shutil.which("cc") is None and not os.environ.get("CI"):
    pytest.skip("no C compiler here; in CI its absence is a failure", allow_module_level=True)

HEAD = 12


def answered(query: bytes, *addresses: str, rcode: int = 0) -> bytes:
    """A minimal right answer to a query without EDNS: A records, one where none is named, or an rcode."""
    told = () if rcode else addresses or ("192.0.2.10",)
    records = [struct.pack("!HHHIH", 0xC00C, 1, 1, 30, 4) + socket.inet_aton(a) for a in told]
    head = struct.pack("!5H", 0x8400 | rcode, 1, len(records), 0, 0)
    return query[:2] + head + query[HEAD:] + b"".join(records)


@contextmanager
def responder(reply: Callable[[int, bytes], list[bytes]], ports: set[int] | None = None) -> Iterator[int]:
    """A UDP server in a thread: `reply(number, query)` says what to send back. Yields its port.

    `ports` collects those that queries came from.
    """
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
            if ports is not None:
                ports.add(peer[1])
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
        rows = [changes.Answer(*row) for row in changes.TRACE.iter_unpack(trace.read_bytes())]
        assert [(r.query, r.address & 255) for r in rows] == [(0, 1), (1, 2), (2, 3)]
        assert all(r.sent < r.answered for r in rows)

    def test_begins_where_it_is_told_and_goes_round(self, queries: Path, tmp_path: Path) -> None:
        trace = tmp_path / "trace"
        with responder(lambda _, q: [answered(q)]) as port:
            machine.generate(port, queries, Load(count=3, window=1, first=48), trace)
        assert [row[2] for row in changes.TRACE.iter_unpack(trace.read_bytes())] == [48, 49, 0]

    def test_asks_from_as_many_ports_as_it_is_told(self, queries: Path) -> None:
        ports: set[int] = set()
        with responder(lambda _, q: [answered(q)], ports) as port:
            counted = machine.generate(port, queries, Load(count=100, window=1, sockets=4))
        assert (counted["answered"], counted["stray"], len(ports)) == (100, 0, 4)

    def test_an_answer_of_two_generations_is_mixed(self, queries: Path) -> None:
        def reply(number: int, query: bytes) -> list[bytes]:
            return [answered(query, "192.0.2.1", "198.51.100.1" if number == 5 else "192.0.2.2")]

        with responder(reply) as port:
            counted = machine.generate(port, queries, Load(count=20))
        assert (counted["records"], counted["mixed"], counted["turns"]) == (40, 1, 0)

    def test_counts_how_often_generations_take_turns(self, queries: Path) -> None:
        """An old answer among new ones is two turns too many."""

        def reply(number: int, query: bytes) -> list[bytes]:
            new = number >= 10 and number != 15
            return [answered(query, "198.51.100.1" if new else "192.0.2.1")]

        with responder(reply) as port:
            counted = machine.generate(port, queries, Load(count=20, window=1))
        assert (counted["mixed"], counted["turns"]) == (0, 3)

    @pytest.mark.parametrize("content", [b"", b"\x00\x03abc", b"\x00\x40" + b"x" * 10])
    def test_refuses_a_broken_file_in_one_line(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "queries"
        path.write_bytes(content)
        with pytest.raises(machine.BenchError, match=r"^loadgen: [^\n]+$"):
            machine.generate(9, path, Load(count=1))

    def test_loads_loopback_only(self, queries: Path) -> None:
        import subprocess

        command = [machine.compiled("loadgen"), "192.0.2.1", "53", queries, *"111010"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert "127.0.0.0/8" in done.stderr


class TestMachine:
    def test_cores_are_told_apart_even_by_who_is_pinned(self) -> None:
        before = machine.cores()
        machine.all_cores.cache_clear()
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

    @pytest.mark.parametrize(
        ("subnet", "option"),
        [("10.1.2.0/24", "0008000700011800 0a0102"), ("2001:db8:12::/56", "0008000b00023800 20010db8001200")],
    )
    def test_a_client_subnet_is_in_the_option_as_rfc_7871_says(self, subnet: str, option: str) -> None:
        wire = bytes.fromhex(option)
        assert packets.query("a.example", subnet)[-len(wire) :] == wire

    @pytest.mark.parametrize("family", data.FAMILIES)
    def test_the_database_knows_the_country_of_every_network(self, mmdb: Path, family: int) -> None:
        places = data.countries_of_networks(family)
        with maxminddb.open_database(mmdb) as reader:
            for index in range(0, data.NETWORKS, 997):
                found = reader.get(data.subnet(index, family).partition("/")[0])
                assert found["country"]["iso_code"] == places[index][0]  # type: ignore[index, call-overload]

    def test_what_is_new_stays_new_from_load_to_load(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Denials that a server might remember are no measure of denying."""
        asked: list[range] = []

        def count(load: Load) -> dict[str, object]:
            asked.append(range(load.first, load.first + load.count))
            return {"sent": load.count, "answered": 1, "wrong": 0, "rcodes": [0, 0, 0, 1], "empty": 1}

        server = Server(Path(), Path())
        monkeypatch.setattr(machine, "generate", lambda _port, _file, load: count(load))
        monkeypatch.setattr(server, "under", lambda load, _file: count(load))
        kind = next(k for k in workloads.KINDS if k.id == "missing")
        rows = run._one_kind(server, kind, Path(), quick=False)
        assert [row["rate"] for row in rows] == [0, workloads.RATE]
        assert asked[0].stop == asked[1].start
        assert asked[1].stop == asked[2].start
        assert asked[2].stop <= workloads.UNIQUE


@pytest.fixture(scope="module")
def mmdb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bench") / "City.mmdb"
    data.make_mmdb(path)
    return path


class TestServers:
    @pytest.mark.parametrize("cls", run.SERVERS, ids=lambda cls: cls.id)
    def test_steers_as_the_policy_says_and_tells_its_costs(
        self, cls: type[Server], mmdb: Path, tmp_path: Path
    ) -> None:
        try:
            cls.executable()
        except BenchError as error:
            pytest.skip(str(error))
        queries = tmp_path / "queries"
        packets.write(queries, packets.random_subnets(20, 6, 1_000))
        with started(cls(tmp_path / "server", mmdb, 20)) as (server, ready):
            server.verify()
            row = server.under(Load(count=2_000), queries)
            assert 0 < ready < server.ready_within
            assert row["answered"] == 2_000
            assert 0.1 < row["cpu_us"] < 1_000
            assert machine.resident_mb(server.pids()) <= machine.peak_mb(server.pids()) + 100

    def test_one_that_steers_wrongly_is_found(self, monkeypatch: pytest.MonkeyPatch) -> None:
        server = Server(Path(), Path())
        monkeypatch.setattr(server, "ask", lambda wire: answered(packets.query("n0.example"), "192.0.2.10"))
        with pytest.raises(BenchError, match=r"belongs to [a-z-]+, but the answer was 192\.0\.2\.10"):
            server.verify()

    @pytest.mark.parametrize("cls", geodns.LANES)
    def test_a_lane_is_asked_for_where_there_are_several(
        self, cls: type[Geodns], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(geodns, "is_setting", lambda key: True)
        server = cls(tmp_path, Path("City.mmdb"), threads=2)
        server.prepare()
        settings = json.loads((tmp_path / "geodns.yaml").read_text())
        assert (settings["lane"], settings["threads"]) == (cls.lane, 2)

    def test_a_lane_that_is_not_there_is_left_out_with_the_reason(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(geodns, "is_setting", lambda key: False)
        plan = Plan(Results({}))
        assert plan.present(geodns.LANES) == [GeodnsPython]
        assert plan.results.skipped == [
            "geodns (native lane): there is no such lane in this build (`lane` is no setting)"
        ]

    def test_another_lane_than_the_one_to_be_measured_is_refused(self, mmdb: Path, tmp_path: Path) -> None:
        class Mistaken(GeodnsPython):
            def status(self) -> dict[str, object]:
                return {**super().status(), "lane": "other"}

        server = Mistaken(tmp_path / "server", mmdb, 1)
        with pytest.raises(BenchError, match="the lane that answers is 'other'"):
            server.start()
        assert server.process is None


class TestChange:
    OLD = min(changes.OLD)

    def test_the_last_old_answer_and_its_names_are_found(self) -> None:
        answers = [
            changes.Answer(900_000, 950_000, 0, self.OLD),
            changes.Answer(990_000, 3_000_000, 1, self.OLD),  # asked before, answered after
            changes.Answer(2_000_000, 5_000_000, 2, self.OLD),
            changes.Answer(6_000_000, 6_100_000, 2, 1),
        ]
        assert changes.after(answers, 1_000_000, 3) == {
            "late_ms": 4.0,
            "names_old": 1,
            "names_seen": 1,
            "names": 3,
        }

    def test_a_zone_of_n_names_has_n_steered_records(self) -> None:
        assert zone(20).count("{steer: web}") == 20


class TestReload:
    def test_generations_differ_in_the_first_octet_of_every_address(self) -> None:
        octets = [
            {
                address.partition(".")[0]
                for region in reload.generation(number)
                for address in region.addresses
            }
            for number in (0, 1, 2)
        ]
        assert octets == [{"192"}, {"198"}, {"192"}]

    def test_files_are_read_under_full_load(self, mmdb: Path, tmp_path: Path) -> None:
        found = reload._one_lane(GeodnsPython(tmp_path / "server", mmdb), 2, tmp_path)
        assert (found["reloads"], found["turns"], found["mixed"]) == (2, 2, 0)  # a busy machine may lose some
        assert found["answered"] > 1_000


class TestScale:
    def test_yaml_is_told_apart(self, tmp_path: Path) -> None:
        path = tmp_path / "zone.yaml"
        path.write_text(zone(5_000))
        found = scale.parse_seconds(path)
        assert 0 < found["seconds"] < 10
        assert 0 < found["memory_mb"] < 500

    def test_a_file_that_is_no_yaml_is_told(self, tmp_path: Path) -> None:
        path = tmp_path / "zone.yaml"
        path.write_text("a: [")
        with pytest.raises(BenchError, match="could not be parsed"):
            scale.parse_seconds(path)


class TestThreads:
    @pytest.mark.parametrize(("every", "room", "cores"), [((0, 1), False, (0, 1)), ((0, 1, 2), True, (0, 1))])
    def test_the_load_generator_has_a_core_of_its_own_where_there_are_three(
        self, monkeypatch: pytest.MonkeyPatch, every: tuple[int, ...], room: bool, cores: tuple[int, ...]
    ) -> None:
        monkeypatch.setattr(machine, "all_cores", lambda: every)
        assert (threads.room(), threads.cores()) == (room, cores)
