"""Resolvers of four makes in processes of their own, each of which asks geodns through taps that see all.

They listen on loopback ports, keep their files in a folder of the test's, know no root but loopback and
validate nothing. BIND asks every server on the one port that it is told, so it follows a referral to another
loopback address; the others would ask port 53 there.
"""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from socketserver import BaseRequestHandler, BaseServer, StreamRequestHandler, ThreadingTCPServer
from socketserver import ThreadingUDPServer as Datagrams
from threading import Thread
from typing import NamedTuple

import dns.edns
import dns.exception
import dns.message
import dns.query
import dns.rcode
import pytest
from e2e_support import PATIENCE, free_port, until

COOKIE = 10
Config = Callable[["Setup"], str]


class Setup(NamedTuple):
    """What a configuration is made of: `zones` by the loopback address at which they are asked for."""

    folder: Path
    port: int
    tapped: int
    zones: Mapping[str, str]


def _unbound(at: Setup) -> str:
    stubs = "".join(
        f"stub-zone:\n  name: {zone}\n  stub-addr: {host}@{at.tapped}\n" for zone, host in at.zones.items()
    )
    subnets = "".join(f"  client-subnet-zone: {zone}\n" for zone in at.zones)
    return f"""
server:
  interface: 127.0.0.1@{at.port}
  do-daemonize: no
  username: ""
  chroot: ""
  directory: "{at.folder}"
  pidfile: ""
  root-hints: hints
  use-syslog: no
  num-threads: 1
  do-not-query-localhost: no
  access-control: 127.0.0.0/8 allow
  module-config: "subnetcache iterator"
  client-subnet-always-forward: yes
  max-client-subnet-ipv4: 24
  max-client-subnet-ipv6: 56
{subnets}
  use-caps-for-id: yes
  qname-minimisation: yes
remote-control:
  control-enable: no
{stubs}"""


def _bind(at: Setup) -> str:
    stubs = "".join(
        f'zone "{zone}" {{ type static-stub; server-addresses {{ {host}; }}; }};\n'
        for zone, host in at.zones.items()
    )
    return f"""
options {{
  directory "{at.folder}";
  listen-on port {at.port} {{ 127.0.0.1; }};
  listen-on-v6 {{ none; }};
  port {at.tapped};
  pid-file none;
  session-keyfile none;
  recursion yes;
  allow-query {{ 127.0.0.0/8; }};
  dnssec-validation no;
  empty-zones-enable no;
  qname-minimization strict;
}};
controls {{ }};
zone "." {{ type hint; file "hints"; }};
{stubs}"""


def _recursor(at: Setup) -> str:
    stubs = ", ".join(f"{zone}={host}:{at.tapped}" for zone, host in at.zones.items())
    return f"""
local-address=127.0.0.1
local-port={at.port}
socket-dir={at.folder}
forward-zones={stubs}
hint-file=no
dont-query=
security-poll-suffix=
threads=1
dnssec=process-no-validate
qname-minimization=yes
edns-subnet-allow-list={", ".join(at.zones)}
use-incoming-edns-subnet=yes
ecs-add-for=0.0.0.0/0, ::/0
"""


def _knot(at: Setup) -> str:
    stubs = "".join(
        f"policy.add(policy.suffix(policy.STUB('{host}@{at.tapped}'), policy.todnames({{'{zone}.'}})))\n"
        for zone, host in at.zones.items()
    )
    return f"""
net.listen('127.0.0.1', {at.port})
cache.size = 10 * MB
cache.min_ttl(0)
for _, name in ipairs({{'priming', 'ta_update', 'ta_signal_query', 'ta_sentinel', 'detect_time_skew'}}) do
  modules.unload(name)
end
trust_anchors.remove('.')
{stubs}"""


class Make(NamedTuple):
    """A resolver's program, its configuration file's name and content, the words it is started with."""

    program: str
    file: str
    config: Config
    words: tuple[str, ...]


MAKES = {
    "unbound": Make("unbound", "unbound.conf", _unbound, ("-d", "-c", "{folder}/unbound.conf")),
    "bind": Make("named", "named.conf", _bind, ("-g", "-n", "1", "-c", "{folder}/named.conf")),
    "recursor": Make("pdns_recursor", "recursor.conf", _recursor, ("--config-dir={folder}",)),
    "knot": Make("kresd", "kresd.conf", _knot, ("-n", "-c", "{folder}/kresd.conf", "{folder}")),
}
HINTS = ". 3600000 NS a.root.example.\na.root.example. 3600000 A 127.0.0.1\n"


def only(*names: str) -> pytest.MarkDecorator:
    """Marks a test for those resolvers that can."""
    return pytest.mark.parametrize("resolver", names, indirect=True)


class Resolver:
    """A started resolver. `zones`: host by zone, `servers`: the port by host that its tap asks."""

    def __init__(
        self, name: str, program: str, folder: Path, zones: Mapping[str, str], servers: Mapping[str, int]
    ) -> None:
        make = MAKES[name]
        self.name = name
        self.port = free_port()
        tapped = free_port()
        self.taps = {host: Tap(host, tapped, port) for host, port in servers.items()}
        (folder / "hints").write_text(HINTS)
        (folder / make.file).write_text(make.config(Setup(folder, self.port, tapped, zones)))
        words = [word.format(folder=folder) for word in make.words]
        self.log = folder / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen([program, *words], stdout=log, stderr=log, cwd=folder)

    def resolves(self, zones: Iterable[str]) -> bool:
        """Whether it is up and knows of the zones; fails where it has ended."""
        assert self.process.poll() is None, self.log.read_text()
        try:
            return all(self.ask(zone, "SOA", patience=0.5).rcode() == dns.rcode.NOERROR for zone in zones)
        except (dns.exception.DNSException, OSError):
            return False

    def ask(
        self, name: str, rtype: str = "A", *, subnet: str = "", patience: float = 5.0
    ) -> dns.message.Message:
        """As a stub would ask; `subnet` is told as a Client Subnet."""
        options: list[dns.edns.Option] = []
        if subnet:
            network = ip_network(subnet)
            options.append(dns.edns.ECSOption(str(network.network_address), network.prefixlen))
        query = dns.message.make_query(name, rtype, use_edns=0, payload=1232, options=options)
        reply, _ = dns.query.udp_with_fallback(query, "127.0.0.1", timeout=patience, port=self.port)
        return reply

    def answers(self, name: str, rtype: str = "A", *, subnet: str = "") -> list[str]:
        """The data of the answer section, CNAMEs first, the rest sorted."""
        reply = self.ask(name, rtype, subnet=subnet)
        assert reply.rcode() == dns.rcode.NOERROR, reply
        return data_of(reply)

    def during(self, what: Callable[[], object]) -> list[Exchange]:
        """What it asks of its servers, and is told, while something is done."""
        before = {tap: len(tap.seen) for tap in self.taps.values()}
        what()
        return [exchange for tap in self.taps.values() for exchange in tap.seen[before[tap] :]]

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        finally:
            for tap in self.taps.values():
                tap.close()


@contextmanager
def started(
    required: Callable[[str], str], folder: Path, zones: Mapping[str, str], servers: Mapping[str, int]
) -> Iterator[Mapping[str, Resolver]]:
    """All resolvers that the machine has, once each resolves every one of `zones`; see `Resolver`."""
    resolvers: dict[str, Resolver] = {}
    try:
        for name, make in MAKES.items():
            with suppress(pytest.skip.Exception):
                program = required(make.program)
                (folder / name).mkdir()
                resolvers[name] = Resolver(name, program, folder / name, zones, servers)
        for resolver in resolvers.values():
            until(partial(resolver.resolves, zones))
        yield resolvers
    finally:
        for resolver in resolvers.values():
            resolver.stop()


def data_of(reply: dns.message.Message) -> list[str]:
    """The data of an answer section: of CNAMEs in their order, then of the others, sorted."""
    links = [data.to_text() for rrset in reply.answer if rrset.rdtype == 5 for data in rrset]
    return links + sorted(data.to_text() for rrset in reply.answer if rrset.rdtype != 5 for data in rrset)


class Exchange(NamedTuple):
    """A query that a resolver sent, and its reply."""

    transport: str
    query: dns.message.Message
    reply: dns.message.Message

    @property
    def name(self) -> str:
        """What was asked for, as it was spelled."""
        return self.query.question[0].name.to_text(omit_final_dot=True) if self.query.question else ""

    @property
    def subnet(self) -> dns.edns.ECSOption | None:
        return next((o for o in self.query.options if isinstance(o, dns.edns.ECSOption)), None)

    @property
    def cookie(self) -> bytes:
        """The cookie that it sent along; empty where there was none."""
        return next((o.to_wire() for o in self.query.options if o.otype == COOKIE), b"")


class Tap:
    """Passes UDP and TCP on to a server on 127.0.0.1 and its replies back; `seen` is what went by."""

    def __init__(self, host: str, port: int, server: int) -> None:
        self.seen: list[Exchange] = []
        tap = self

        class OfDatagrams(BaseRequestHandler):
            def handle(self) -> None:
                packet, here = self.request
                with socket.socket(type=socket.SOCK_DGRAM) as there:
                    there.settimeout(PATIENCE)
                    there.sendto(packet, ("127.0.0.1", server))
                    reply = there.recv(65535)
                tap.keep("udp", packet, reply)
                here.sendto(reply, self.client_address)

        class OfStreams(StreamRequestHandler):
            def handle(self) -> None:
                with (
                    socket.create_connection(("127.0.0.1", server), PATIENCE) as there,
                    there.makefile("rb") as replies,
                ):
                    while size := self.rfile.read(2):
                        packet = self.rfile.read(int.from_bytes(size))
                        there.sendall(size + packet)
                        reply = replies.read(int.from_bytes(replies.read(2)))
                        tap.keep("tcp", packet, reply)
                        self.wfile.write(len(reply).to_bytes(2) + reply)

        at = (host, port)
        self._relays: list[BaseServer] = [Datagrams(at, OfDatagrams), _Streams(at, OfStreams)]
        for relay in self._relays:
            relay.daemon_threads = True  # type: ignore[attr-defined]
            Thread(target=relay.serve_forever, args=(0.05,), daemon=True).start()

    def keep(self, transport: str, query: bytes, reply: bytes) -> None:
        self.seen.append(Exchange(transport, dns.message.from_wire(query), dns.message.from_wire(reply)))

    def close(self) -> None:
        for relay in self._relays:
            relay.shutdown()
            relay.server_close()


class _Streams(ThreadingTCPServer):
    allow_reuse_address = True
