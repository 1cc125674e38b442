"""Zone transfers as secondaries see them: NSD, Knot and BIND take the zones over and follow each change.

What is sent in particular (the records of steered names, signatures, errors) is held by tests/test_transfer*.
"""

from __future__ import annotations

import socket
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterator

import dns.message
import dns.name
import dns.query
import dns.rdatatype
import dns.tsigkeyring
import dns.xfr
import dns.zone
import pytest
from e2e_support import PATIENCE, Server, until
from secondaries import PROGRAMS, Secondary, ask, transferred

from tests.differential.written import write_yaml
from tests.differential.zones import Zone, generate, text

ZONE = """
zone: shop.example
ttl: 60
nameservers: {ns1: [192.0.2.53, "2001:db8::53"]}
regions: {east: {}, west: {}}
policies: {in-order: [{to: [east, west]}]}
pools:
  web: {policy: in-order, regions: {east: [192.0.2.1, 192.0.2.2], west: 192.0.2.3}}
records:
  "@": {MX: 10 mail, TXT: [one, two], CAA: 0 issue "ca.example.net"}
  www: {steer: web, TXT: beside}
  mail: {A: {ttl: 300, values: [192.0.2.25, 192.0.2.26]}, AAAA: "2001:db8::25"}
  alias: {CNAME: mail}
  away: {CNAME: host.elsewhere.invalid.}
  "*.wild": {A: 192.0.2.77, TXT: wild}
  deep.below.nothing: {A: 192.0.2.78}
  _sip._tcp: {SRV: 10 20 5060 mail.shop.example.}
  svc: {HTTPS: 1 . alpn=h2}
  sub: {NS: [ns.sub.shop.example., mail], DS: 1 8 1 1111111111111111111111111111111111111111}
  ns.sub: {A: 192.0.2.54}
  hidden.sub: {TXT: occluded}
  moved: {DNAME: mail.elsewhere.invalid.}
  odd: {TYPE65280: '\\# 3 010203', NAPTR: '1 2 "S" "SIP+D2U" "" _sip._udp.shop.example.'}
  'sp\\032ace\\.dot': {TXT: odd}
  UPPER: {TXT: Case}
"""
APEX = "shop.example."


NOT_TAKEN = "TYPE10"  # NULL: by Knot, where it is empty
NOT_READ = 14  # MINFO: secondaries compress its names, as RFC 1035 lets them; dnspython does not know it


@pytest.fixture(scope="module")
def random_zones() -> list[Zone]:
    """Zones from a seed, whose files stand beside shop.example's."""
    zones = generate(4, 8)
    for zone in zones:
        zone.sets = {key: data for key, data in zone.sets.items() if data.rtype != NOT_TAKEN}
    return zones


@pytest.fixture(scope="module")
def secondaries(
    tmp_path_factory: pytest.TempPathFactory, random_zones: list[Zone]
) -> Iterator[dict[str, Secondary]]:
    """Not started yet; stopped at the end."""
    folder = tmp_path_factory.mktemp("secondaries")
    zones = [APEX, *(text(zone.apex) for zone in random_zones)]
    made = {name: Secondary(name, folder / name, zones) for name in PROGRAMS}
    yield made
    for one in made.values():
        one.stop()


@pytest.fixture(scope="module")
def primary(
    serve: Callable[..., Server],
    secondaries: dict[str, Secondary],
    random_zones: list[Zone],
    required: Callable[[str], str],
) -> Server:
    """geodns with the three as peers, each by its key, and all of them started."""
    programs = {name: required(program) for name, program in PROGRAMS.items()}
    keys = ", ".join(f"{name}: {{secret: {{file: {name}.key}}}}" for name in secondaries)
    peers = "\n".join(
        f"    - {{address: 127.0.0.1, key: {name}, notify: 127.0.0.1:{one.port}}}"
        for name, one in secondaries.items()
    )
    server = serve(
        {"shop.yaml": ZONE}, f"transfer:\n  keys: {{{keys}}}\n  peers:\n{peers}\nlimits: {{transfers: 100}}\n"
    )
    for name, one in secondaries.items():
        (server.folder / f"{name}.key").write_text(one.secret)
        (server.folder / f"{name}.key").chmod(0o600)
    generated = server.folder / "generated"
    write_yaml(random_zones, generated)
    for path in generated.iterdir():
        path.rename(server.zones / path.name)
    server.start()
    for name, one in secondaries.items():
        one.start(programs[name], server.port)
    return server


@pytest.fixture(scope="module", params=PROGRAMS)
def secondary(
    request: pytest.FixtureRequest, primary: Server, secondaries: dict[str, Secondary]
) -> Secondary:
    return secondaries[request.param]


def follows(secondary: Secondary, primary: Server, zone: str) -> float:
    """Wait until a secondary has the primary's serial; how long it took."""
    wanted = ask(primary.port, zone, "SOA").answer[0][0].serial
    try:
        return until(lambda: secondary.serial(zone) == wanted)
    except BaseException:
        print((secondary.folder / "log").read_text()[-4000:])
        raise


def rows(zone: dns.zone.Zone) -> set[tuple[dns.name.Name, int, int, bytes]]:
    """The records; in lower case, as NSD writes the names in rdata."""
    return {
        (name, rdataset.rdtype, rdataset.ttl, rdata.to_wire().lower())
        for name, rdataset in zone.iterate_rdatasets()
        for rdata in rdataset
        if rdataset.rdtype != NOT_READ
    }


def test_it_takes_over_what_geodns_has_record_by_record(primary: Server, secondary: Secondary) -> None:
    for zone in secondary.zones:
        follows(secondary, primary, zone)
        ours = transferred(primary.port, zone, (secondary.name, secondary.secret))
        assert rows(secondary.zone(zone)) == rows(ours), zone
        assert len(rows(ours)) > 2


def test_it_answers_every_static_name_as_geodns_does(primary: Server, secondary: Secondary) -> None:
    """Every RRset, and what is not there beside it: answers and authority as sets, RCODE and AA."""
    follows(secondary, primary, APEX)
    ours = transferred(primary.port, APEX, (secondary.name, secondary.secret))
    asked = {(name.to_text(), dns.rdatatype.to_text(r.rdtype)) for name, r in ours.iterate_rdatasets()}
    asked |= {(name, "NULL") for name, _ in asked}
    asked |= {
        (f"{label}.{APEX}", rtype)
        for label in ("nowhere", "x.wild", "a.b.wild", "below.nothing", "x.sub", "x.moved", "UPPER", "up")
        for rtype in ("A", "TXT")
    }
    asked -= {(f"www.{APEX}", rtype) for rtype in ("A", "AAAA")}
    assert len(asked) > 50
    for name, rtype in sorted(asked):
        here, there = (shown(ask(port, name, rtype)) for port in (primary.port, secondary.port))
        assert here == there, f"{name} {rtype} of {secondary.name}"


def shown(reply: dns.message.Message) -> tuple[object, ...]:
    sections = (reply.answer, reply.authority)
    parts = [{(r.name, r.rdtype, r.ttl, tuple(sorted(r))) for r in section} for section in sections]
    return reply.rcode(), reply.flags, *parts


def test_of_a_steered_name_it_has_the_first_region(primary: Server, secondary: Secondary) -> None:
    follows(secondary, primary, APEX)
    reply = secondary.ask(f"www.{APEX}", "A")
    assert sorted(rdata.to_text() for rdata in reply.answer[0]) == ["192.0.2.1", "192.0.2.2"]


def test_an_edit_reaches_all_of_them_within_seconds(
    primary: Server, secondaries: dict[str, Secondary]
) -> None:
    for one in secondaries.values():
        follows(one, primary, APEX)
    until(lambda: primary.metric("geodns_notifies_pending") == 0)
    before = ask(primary.port, APEX, "SOA").answer[0][0].serial
    told = primary.metric("geodns_notifies_total")
    began = time.monotonic()
    primary.write("shop.yaml", ZONE + "  fresh: {A: 192.0.2.200}\n")
    until(lambda: ask(primary.port, APEX, "SOA").answer[0][0].serial != before)
    loaded = time.monotonic() - began
    for name, one in secondaries.items():
        follows(one, primary, APEX)
        print(f"{name} has it {time.monotonic() - began - loaded:.2f} s after geodns ({loaded:.2f} s)")
        assert one.ask(f"fresh.{APEX}", "A").answer[0][0].address == "192.0.2.200"
    assert time.monotonic() - began - loaded < 8
    until(lambda: primary.metric("geodns_notifies_pending") == 0)
    assert primary.metric("geodns_notifies_total") == told + 3  # of the zone that changed, and of no other


def dig(server: Server, required: Callable[[str], str], *words: str) -> str:
    command = [required("dig"), "@127.0.0.1", "-p", str(server.port), "+tries=1", "+time=5", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False).stdout


def test_who_may_have_a_zone_and_who_not(
    primary: Server, secondaries: dict[str, Secondary], required: Callable[[str], str]
) -> None:
    key = f"hmac-sha256:nsd:{secondaries['nsd'].secret}"
    before = primary.metric("geodns_transfers_refused_total")
    whole = dig(primary, required, "AXFR", APEX, "-y", key)
    assert whole.count("IN\tSOA") == 2
    assert "mail.shop.example.\t300\tIN\tA\t192.0.2.25" in whole
    wrong = f"hmac-sha256:nsd:{secondaries['bind'].secret}"
    refused = [
        ("AXFR", APEX),
        ("AXFR", APEX, "-y", wrong),
        ("AXFR", APEX, "-y", f"hmac-sha256:nobody:{secondaries['nsd'].secret}"),
        ("AXFR", APEX, "-y", key, "-b", "127.0.0.2"),
        ("AXFR", f"www.{APEX}", "-y", key),
    ]
    told = [dig(primary, required, *words) for words in refused]
    assert all("Transfer failed." in text and "SOA" not in text for text in told)
    assert ("BADSIG" in told[1], "BADKEY" in told[2]) == (True, True)
    assert primary.metric("geodns_transfers_refused_total") == before + 5


def test_ixfr_from_the_current_serial_is_one_soa(
    primary: Server, secondaries: dict[str, Secondary], required: Callable[[str], str]
) -> None:
    serial = ask(primary.port, APEX, "SOA").answer[0][0].serial
    key = f"hmac-sha256:knot:{secondaries['knot'].secret}"
    for since, records in ((serial, 1), (serial - 1, 2)):
        told = dig(primary, required, f"IXFR={since}", APEX, "-y", key)
        assert told.count("IN\tSOA") == records, told
        assert ("192.0.2.25" in told) is (since != serial)
    query, _ = dns.xfr.make_query(dns.zone.Zone(APEX), serial=serial)
    query.use_tsig(dns.tsigkeyring.from_text({"knot": ("hmac-sha256", secondaries["knot"].secret)}))
    reply = dns.query.udp(query, "127.0.0.1", timeout=5, port=primary.port)
    assert (bool(reply.flags & dns.flags.TC), reply.had_tsig) == (False, True)
    assert [rrs[0].serial for rrs in reply.answer] == [serial]


LARGE = "large.example."
RECORDS = 100_000


@pytest.fixture(scope="module")
def large(serve: Callable[..., Server]) -> Server:
    """A zone of 100,000 records that whoever is here may have, two at a time: 1000 names of 100 addresses."""
    addresses = ", ".join(f"10.0.0.{number}" for number in range(100))
    records = "\n".join(f"  n{number}: {{steer: web}}" for number in range(RECORDS // 100))
    zone = (
        "zone: large.example\nttl: 60\nnameservers: {ns1: 192.0.2.53}\nregions: {here: {}}\n"
        "policies: {near: [{to: nearest}]}\n"
        f"pools: {{web: {{policy: near, regions: {{here: [{addresses}]}}}}}}\nrecords:\n{records}\n"
    )
    settings = "transfer: {peers: {address: 127.0.0.1}}\nlimits: {transfers: 2, tcp_idle: 1s}\n"
    return serve({"large.yaml": zone}, settings).start()


class Raw:
    """A TCP connection that sees messages, not their contents."""

    def __init__(self, server: Server, buffer: int = 0) -> None:
        self.socket = socket.socket()
        if buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(("127.0.0.1", server.port))
        self._stream = self.socket.makefile("rb")

    def send(self, *queries: dns.message.Message) -> None:
        wires = [query.to_wire() for query in queries]
        self.socket.sendall(b"".join(len(wire).to_bytes(2) + wire for wire in wires))

    def message(self) -> bytes:
        """The next message; nothing at the end of the connection."""
        return self._stream.read(int.from_bytes(self._stream.read(2)))

    def records(self, identity: int) -> int:
        """The records of a whole transfer."""
        found = soas = 0
        while soas < 2:
            message = self.message()
            assert (int.from_bytes(message[:2]), message[3] & 15) == (identity, 0)
            found += int.from_bytes(message[6:8])
            soas += message.count(b"\5large\7example\0\0\6\0\1")
        return found

    def close(self) -> None:
        self.socket.close()


def axfr() -> dns.message.Message:
    return dns.message.make_query(LARGE, "AXFR")


def test_queries_are_answered_while_a_large_zone_leaves(large: Server) -> None:
    """None is lost, and none waits for long."""
    counts: list[int] = []
    took: list[float] = []

    def transfer() -> None:
        raw = Raw(large)
        for _ in range(20):
            began = time.monotonic()
            query = axfr()
            raw.send(query)
            counts.append(raw.records(query.id))
            took.append(time.monotonic() - began)
        raw.close()

    alone = latencies(large, lambda done: done >= 2000)
    thread = threading.Thread(target=transfer)
    thread.start()
    beside = latencies(large, lambda done: done >= 200 and not thread.is_alive())
    thread.join()
    assert counts == [RECORDS + 4] * 20
    said = [f"{1000 * statistics.quantiles(found, n=100)[98]:.2f} ms" for found in (alone, beside)]
    print(f"p99 alone {said[0]}, beside {said[1]} ({len(beside)} queries), a transfer in {min(took):.2f} s")
    assert statistics.quantiles(beside, n=100)[98] < 0.1


def latencies(server: Server, enough: Callable[[int], bool]) -> list[float]:
    """Seconds for each of many queries, one after the other; every one must be answered."""
    found: list[float] = []
    with socket.socket(type=socket.SOCK_DGRAM) as client:
        client.settimeout(5.0)
        client.connect(("127.0.0.1", server.port))
        packet = dns.message.make_query(f"n1.{LARGE}", "A").to_wire()
        while not enough(len(found)):
            began = time.perf_counter()
            client.send(packet)
            reply = client.recv(4096)
            found.append(time.perf_counter() - began)
            assert reply[3] & 15 == 0
    return found


def test_a_query_behind_a_transfer_does_not_wait_for_its_end(large: Server) -> None:
    raw = Raw(large)
    transfer, query = axfr(), dns.message.make_query(f"n1.{LARGE}", "A")
    raw.send(transfer, query)
    behind = 0
    while int.from_bytes(raw.message()[:2]) != query.id:
        behind += 1
    assert behind < 3
    raw.close()


def test_who_does_not_read_is_cut_off_and_gives_his_place_to_others(large: Server) -> None:
    """`limits.transfers` is 2 and `limits.tcp_idle` a second."""
    until(lambda: large.metric("geodns_transfers_running") == 0)
    stalled = [Raw(large, buffer=4096) for _ in range(2)]
    for raw in stalled:
        raw.send(axfr())
    until(lambda: large.metric("geodns_transfers_running") == 2)
    assert large.metric("geodns_tcp_connections") == 2
    third = Raw(large)
    third.send(axfr())
    assert third.message()[3] & 15 == 5
    until(lambda: large.metric("geodns_transfers_running") == 0)
    assert large.metric("geodns_listener_events_total") >= 2
    fourth, query = Raw(large), axfr()
    fourth.send(query)
    assert fourth.records(query.id) == RECORDS + 4
    for raw in (*stalled, third, fourth):
        raw.close()
