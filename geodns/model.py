"""What the files say: frozen values, every default filled in, every reference checked, nothing decided.

Names are DNS names in lower-case wire form (`core.names`); durations are whole seconds unless a field
says otherwise; rdata is in uncompressed wire form, so that nobody has to parse text a second time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from geodns.errors import Position, Problem

NOWHERE = Position("")


class Pick(StrEnum):
    WEIGHTED = "weighted"
    ROUND_ROBIN = "round-robin"
    STICKY = "sticky"


class AllDown(StrEnum):
    SERVE = "serve"
    BACKUP = "backup"
    NODATA = "nodata"


@dataclass(frozen=True, slots=True)
class Region:
    """A place that serves. `at` is (latitude, longitude) in degrees, or None where the file gives none."""

    id: str
    title: str = ""
    at: tuple[float, float] | None = None
    position: Position = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Line:
    """A named group of ASNs and networks (CIDR text, canonical), such as a carrier or an office."""

    id: str
    title: str = ""
    asns: frozenset[int] = frozenset()
    networks: tuple[str, ...] = ()
    position: Position = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Check:
    """How an endpoint is probed. `interval`, `timeout` and `damping` are seconds (fractions allowed).

    `fall` of the last `fall_of` results must be bad for a fall, `rise` of `rise_of` good for a return;
    0: in a row. `retry_interval` (None: `interval`) holds while results disagree. `damping` 0: none.
    `status` holds inclusive ranges; `body` is text that the response must contain; `host` is the Host
    header and the TLS server name (SNI) unless `sni` says another. `port` None: the endpoint's own port,
    else 443 for https and tls, 80 for http, 53 for dns; tcp needs one. A dns check asks for `query` and
    `record` (a type), over `transport`; `answer` is rdata in presentation form that must be told.
    `probe`: the host or address that is probed, whatever the endpoint's is.

    `version` of http and https is "1.1" or "2". A grpc check asks the health service about `service`, or
    about the server as a whole; grpcs does so over TLS. An exec check runs `command`: a program by its whole
    path, and its arguments.

    A heartbeat check asks nothing: it listens for what the endpoint says, signed with the secret of `key`,
    and fails when `interval` is over without.

    A check of kind `follow` is never probed: it is as well as its parts, `of`, of which `need` must be up
    (0: all).
    """

    kind: str  # http, https, tcp, tls, dns, icmp, grpc, grpcs, exec, heartbeat or follow
    port: int | None = None
    probe: str | None = None
    interval: float = 3.0
    timeout: float = 2.0
    retry_interval: float | None = None
    fall: int = 3
    fall_of: int = 0
    rise: int = 3
    rise_of: int = 0
    damping: float = 10.0
    path: str = "/"
    method: str = "GET"
    host: str | None = None
    sni: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    status: tuple[tuple[int, int], ...] = ((200, 299),)
    body: str | None = None
    version: str = "1.1"
    verify: bool = True
    service: str | None = None
    query: str | None = None
    record: str = "A"
    rcode: str = "NOERROR"
    answer: str | None = None
    transport: str = "udp"
    command: tuple[str, ...] = ()
    key: str | None = None
    of: tuple[Check, ...] = ()
    need: int = 0

    def leaves(self) -> Iterator[Check]:
        """The checks that are probed: this one, or those that its parts come to."""
        if not self.of:
            yield self
        for part in self.of:
            yield from part.leaves()


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One instance. Either addresses (canonical text) or a `target` name, never both.

    `probe` is the host or address to probe instead of the answered one; `check` None means always up.
    """

    name: str
    ipv4: str | None = None
    ipv6: str | None = None
    target: bytes | None = None
    weight: int = 1
    tier: int = 1
    port: int | None = None
    probe: str | None = None
    check: Check | None = None
    position: Position = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Minimum:
    """How many endpoints of a region must be healthy: a count, or a share in percent."""

    count: int = 1
    percent: int | None = None


@dataclass(frozen=True, slots=True)
class Failback:
    """How a region of a pool that failed returns: once it has been healthy for `after` seconds, with a share
    that grows over `ramp` seconds (0: at once); or, if `manual`, when somebody resumes it.
    """

    manual: bool = False
    after: float = 0.0
    ramp: float = 0.0

    @property
    def at_once(self) -> bool:
        return not (self.manual or self.after or self.ramp)


@dataclass(frozen=True, slots=True)
class PoolRegion:
    """`capacity`: how much load it can bear, in whatever unit its load is told in."""

    region: str
    endpoints: tuple[Endpoint, ...]
    minimum_healthy: Minimum = Minimum()
    capacity: int | None = None


@dataclass(frozen=True, slots=True)
class Guard:
    """What operators' changes may not do to a pool. `id`: the pool's, or the guard's own, qualified like it.

    At least `at_least` regions serve; at most one of `never_together` is taken out by hand, and at most
    `max_paused` percent of what could serve (None: no such rule).
    """

    id: str
    at_least: int = 0
    never_together: tuple[str, ...] = ()
    max_paused: int | None = None


@dataclass(frozen=True, slots=True)
class Shed:
    """Between `low` and `high` percent of its capacity a region gives up clients, from none to all; how many
    changes at most once in `settle` seconds.
    """

    low: int = 80
    high: int = 100
    settle: float = 60.0


@dataclass(frozen=True, slots=True)
class Pool:
    """One service. `id` is `web` when shared, `gslb.example.com/web` when a zone's own.

    `answers` None means all. `backup` holds addresses (text) for when_all_down `backup`.
    `shed` None: a region keeps its clients whatever its load.
    `panic`: the percent of healthy ones below which health is ignored (None: never while a region serves).
    `regions` keeps the order of the file. `targets` tells a pool of names from one of addresses. `guards` are
    all that hold here; they decide no answer, so that two pools are the same without regard to them.
    """

    id: str
    policy: str
    regions: tuple[PoolRegion, ...]
    targets: bool = False
    pick: Pick = Pick.WEIGHTED
    answers: int | None = 1
    when_all_down: AllDown = AllDown.SERVE
    backup: tuple[str, ...] = ()
    panic: int | None = None
    shed: Shed | None = Shed()
    guards: tuple[Guard, ...] = field(default=(), compare=False)
    failback: Failback = Failback()
    position: Position = field(default=NOWHERE, compare=False)

    def region(self, region_id: str) -> PoolRegion | None:
        return next((r for r in self.regions if r.region == region_id), None)


@dataclass(frozen=True, slots=True)
class When:
    """Conditions; an empty tuple asks nothing. Keys must all match, values of one key are alternatives.

    `networks` canonical CIDR; `cities` are `CN-GD/Guangzhou` or a GeoNames id as text; `subdivisions`
    ISO 3166-2 (`CN-GD`); `countries` ISO 3166-1 alpha-2; `continents` two letters. All upper case but cities.
    """

    networks: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    asns: tuple[int, ...] = ()
    cities: tuple[str, ...] = ()
    subdivisions: tuple[str, ...] = ()
    countries: tuple[str, ...] = ()
    continents: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Split:
    """One step of an order: regions with weights. A single region is a split of one."""

    shares: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Nearest:
    """All regions of the pool by distance from the client; at most `limit` of them where one is given."""

    limit: int | None = None


@dataclass(frozen=True, slots=True)
class AnyRegion:
    """All regions of the pool at once, each by the weight of its healthy endpoints."""


Step = Split | Nearest | AnyRegion


@dataclass(frozen=True, slots=True)
class Rule:
    when: When
    to: tuple[Step, ...]
    fence: bool = False
    position: Position = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Policy:
    """Ordered rules; the last one has an empty `when`. `id` is qualified like a pool's."""

    id: str
    rules: tuple[Rule, ...]
    position: Position = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class RRset:
    """Static data at one owner: `rdata` values in uncompressed wire form, without duplicates."""

    owner: bytes
    rtype: int
    ttl: int
    rdata: tuple[bytes, ...]
    position: Position = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Steer:
    """A steered name: pool, policy, pick and answers resolved (the pool's unless the record says another)."""

    owner: bytes
    pool: str
    policy: str
    pick: Pick
    answers: int | None
    ttl: int
    position: Position = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Soa:
    """`serial` None: kept by the server, rising when `Zone.digest` changes (RFC 1982)."""

    mname: bytes
    rname: bytes
    serial: int | None
    refresh: int = 7200
    retry: int = 1800
    expire: int = 1209600
    minimum: int = 30
    ttl: int = 30


@dataclass(frozen=True, slots=True)
class Zone:
    """`nameservers` are already RRsets (NS at the apex, A/AAAA beside). `digest` is a hash of the content."""

    apex: bytes
    soa: Soa
    rrsets: tuple[RRset, ...]
    steers: tuple[Steer, ...]
    digest: str
    ttl_min: int = 5
    client_subnet: bool = True
    position: Position = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Model:
    """Everything in the zones folder. `problems` holds the warnings; a model with errors is never made."""

    regions: Mapping[str, Region]
    lines: Mapping[str, Line]
    pools: Mapping[str, Pool]
    policies: Mapping[str, Policy]
    zones: tuple[Zone, ...]
    problems: tuple[Problem, ...] = ()
