"""Both lanes' classifiers over the same databases, and the addresses at which they are compared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import TYPE_CHECKING, Any

from geodns.core.compile.sheets import Classes, Widest, scope_of
from geodns.core.edns import Subnet, plain, source
from geodns.core.place import Located
from geodns.core.steer.orders import Plan
from geodns.geo.compiled import Compiled, Compiler
from geodns.geo.locate import Geography
from geodns.geo.mmdb import Database, Kind
from geodns.model import Line, Nearest, Policy, Region, Rule, Split, When

if TYPE_CHECKING:
    from geodns._native import Classifier

REGIONS = (
    Region("gz", at=(23.13, 113.26)),
    Region("bj", at=(39.90, 116.40)),
    Region("fra", at=(50.11, 8.68)),
    Region("nowhere"),
    Region("pdx", at=(45.52, -122.68)),
)
EVERYWHERE = When()


def to(*regions: str) -> tuple[Split, ...]:
    return tuple(Split(((region, 1),)) for region in regions)


def plan(*rules: tuple[When, tuple[Any, ...]], regions: tuple[Region, ...] = REGIONS) -> Plan:
    return Plan(Policy("p", tuple(Rule(when, steps) for when, steps in rules)), regions)


NEAREST = plan((EVERYWHERE, (Nearest(),)))
BY_COUNTRY = plan((When(countries=("CN",)), to("bj")), (EVERYWHERE, to("fra")))


USUAL = Widest()


@dataclass
class Both:
    """One set of plans over databases and lines, with a classifier of each lane."""

    plans: tuple[Plan, ...]
    databases: Mapping[Kind, Database]
    lines: Mapping[str, Line]
    widest: Widest = USUAL
    limit: int = 4096

    def __post_init__(self) -> None:
        self.geography = Geography(self.databases, self.lines, [plan.policy for plan in self.plans])
        self.classes = [Classes(plan, self.limit) for plan in self.plans]
        self.compiled: Compiled = Compiler(self.limit).compile(self.plans, self.databases, self.lines)
        self.native: Classifier = self.compiled.classifier(self.classes, self.widest)

    def python(self, plan: int, subnet: Subnet, located: Located) -> tuple[int, int]:
        """What `Sheets.classify` says."""
        number, asked = self.classes[plan].of(located.place)
        scope = scope_of(asked, located, subnet.family, self.widest)
        return number, max(scope, plain(subnet)) if scope else 0

    def find(self, plan: int, subnet: Subnet) -> tuple[int, int]:
        found = self.native.find(plan, subnet.family, subnet.address, subnet.prefix, subnet.shift)
        assert found is not None
        return found

    def hold(self, addresses: Iterable[IPv4Address | IPv6Address]) -> int:
        """The classes are Python's, the scopes as wide at least and true; how many were wider."""
        wider = 0
        every = sorted({(address.version, int(address)) for address in addresses})
        seen: dict[tuple[int, int], list[tuple[int, int]]] = {}
        for version, number in every:
            address = IPv4Address(number) if version == 4 else IPv6Address(number)
            subnet = source(str(address))
            located = self.geography.locate(subnet.ip())
            for plan in range(len(self.plans)):
                expected, found = self.python(plan, subnet, located), self.find(plan, subnet)
                assert found[0] == expected[0], f"plan {plan}: {address} is of class {expected}, not {found}"
                assert (found[1] == 0) == (expected[1] == 0), f"plan {plan}: {address} {expected} {found}"
                assert found[1] <= expected[1], f"plan {plan}: {address} {expected} {found}"
                least = self.widest.ipv4 if subnet.family == 4 else self.widest.ipv6
                assert found[1] == 0 or found[1] >= max(least, plain(subnet))
                wider += found[1] < expected[1]
                seen.setdefault((plan, subnet.family), []).append((subnet.address, found))
        for (plan, family), found_there in seen.items():
            self._true(plan, family, found_there)
        return wider

    def _true(self, plan: int, family: int, found: list[tuple[int, tuple[int, int]]]) -> None:
        """Whoever was looked up inside somebody's scope has his class and scope."""
        bits = 32 if family == 4 else 128
        blocks: dict[tuple[int, int], tuple[int, int]] = {}
        for address, (number, scope) in found:
            blocks.setdefault((address >> bits - scope, scope), (number, scope))
        lengths = {scope for _, scope in blocks}
        for address, answer in found:
            for length in lengths:
                inside = blocks.get((address >> bits - length, length))
                assert inside in (None, answer), f"plan {plan}: {address:x} {answer} lies in {inside}"


def around(values: Iterable[int], version: int) -> Iterator[IPv4Address | IPv6Address]:
    """Those addresses and their neighbours."""
    bits, address_of = (32, IPv4Address) if version == 4 else (128, IPv6Address)
    for value in values:
        for other in (value - 1, value, value + 1):
            if 0 <= other < 1 << bits:
                yield address_of(other)


def boundaries(databases: Iterable[Database], networks: Iterable[str]) -> Iterator[IPv4Address | IPv6Address]:
    """The first and last addresses of all blocks and networks, and what lies next to them."""
    for database in databases:
        from geodns._native import Layer

        layer, _ = Layer.read(database.content(), {"country", "location", "autonomous_system_number"})
        for version, starts in zip((4, 6), layer.starts(), strict=True):
            yield from around(starts, version)
    for network in map(ip_network, networks):
        ends = (int(network.network_address), int(network.broadcast_address))
        yield from around(ends, network.version)


EDGES = [
    *around((0, 1 << 31, (1 << 32) - 1), 4),
    *around((0, 1 << 32, 0xFFFF << 32, 0x64FF9B << 96, 0x20010000 << 96, 0x20010001 << 96), 6),
    *around((0x2002 << 112, 0x2003 << 112, 0x2000 << 112, 0x4000 << 112, (1 << 128) - 1), 6),
]
