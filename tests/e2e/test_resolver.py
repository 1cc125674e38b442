"""Real resolvers in front: what they make of the answers, what they keep and for whom, and how they ask."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import dns.flags
import dns.rcode
import dns.rdatatype
import pytest
from e2e_support import Origin, Server, until
from resolver_support import Resolver, only, started

HOST = "127.0.0.1"
ZONES = {
    "shop.example.yaml": """
zone: shop.example
ttl: 60s
ttl_min: 1s
nameservers: {{ns1: 127.0.0.1, ns2: [127.0.0.1, "::1"]}}
regions: {{cn: {{}}, eu: {{}}, us: {{}}}}
checks:
  quick: {{type: http, path: /healthz, interval: 200ms, timeout: 200ms, fall: 2, rise: 2, damping: 0}}
policies:
  by-place:
    - {{when: {{network: 10.13.200.0/24}}, to: us}}
    - {{when: {{country: CN}}, to: cn}}
    - {{when: {{continent: EU}}, to: eu}}
    - {{to: us}}
  everybody: [{{to: [us, eu]}}]
pools:
  web:
    policy: by-place
    regions:
      cn: {{address: [192.0.2.1, "2001:db8:1::1"]}}
      eu: {{address: [192.0.2.2, "2001:db8:1::2"]}}
      us: {{address: [192.0.2.3, "2001:db8:1::3"]}}
  same: {{policy: everybody, regions: {{us: 192.0.2.9}}}}
  led:
    policy: by-place
    regions:
      cn: {{target: cn.other.example.}}
      eu: {{target: eu.other.example.}}
      us: {{target: us.other.example.}}
  checked:
    check: quick
    policy: everybody
    regions:
      us: {{address: 192.0.2.11, probe: 127.0.0.1, port: {port}}}
      eu: {{address: 192.0.2.12, check: none}}
records:
  "@": {{MX: 10 mail, TXT: v=spf1 -all, CAA: 0 issue "ca.example.net"}}
  mail: {{A: 192.0.2.50, AAAA: "2001:db8::50"}}
  www: {{steer: web}}
  scoped: {{steer: web}}
  "*.sibling": {{steer: web}}
  private: {{steer: web}}
  same: {{steer: same}}
  img: {{steer: led}}
  checked: {{steer: {{pool: checked, ttl: 1s}}}}
  brief: {{steer: {{pool: same, ttl: 1s}}}}
  static: {{A: 192.0.2.100}}
  shared: {{A: 192.0.2.100}}
  alias: {{CNAME: www}}
  away: {{CNAME: static.other.example.}}
  old: {{DNAME: new.shop.example.}}
  gone: {{DNAME: other.example.}}
  a.new: {{A: 192.0.2.101}}
  a.b.c.deep: {{A: 192.0.2.102}}
  "*.wild": {{A: 192.0.2.103, TXT: anything}}
  _sip._tcp: {{SRV: 10 20 5060 mail}}
  _25._tcp.mail: {{TLSA: "3 1 1 {digest}"}}
  svc:
    HTTPS: 1 . alpn=h2
    SVCB: 1 mail.shop.example. port=8443
    NAPTR: 10 20 "s" "SIP+D2U" "" _sip._tcp.shop.example.
    SSHFP: 4 2 {digest}
    URI: 10 1 "https://example.net/"
    LOC: 52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m
    PTR: mail
    HINFO: '"any" "thing"'
    TYPE65280: \\# 3 010203
  long: {{TXT: {long}}}
  many: {{A: [{many}]}}
  big-long: {{TXT: {long}}}
  big-many: {{A: [{many}]}}
""",
    "other.example.yaml": """
zone: other.example
ttl: 60s
nameservers: {ns1: 127.0.0.1}
records:
  static: {A: 192.0.2.200}
  cn: {A: 192.0.2.201}
  eu: {A: 192.0.2.202}
  us: {A: 192.0.2.203}
""",
}
RECORDS = [
    *((".", rtype) for rtype in ("SOA", "NS", "MX", "TXT", "CAA")),
    *(("svc.", rtype) for rtype in ("HTTPS", "SVCB", "NAPTR", "SSHFP", "URI", "LOC", "PTR", "HINFO")),
    ("svc.", "TYPE65280"),
    *(("mail.", "A"), ("mail.", "AAAA"), ("ns2.", "A"), ("ns2.", "AAAA"), ("www.", "A"), ("www.", "AAAA")),
    *(("_sip._tcp.", "SRV"), ("_25._tcp.mail.", "TLSA"), ("any.wild.", "A"), ("an.y.wild.", "TXT")),
    *(("alias.", "CNAME"), ("alias.", "A"), ("img.", "CNAME"), ("old.", "DNAME")),
    *(("long.", "TXT"), ("many.", "A")),
]
PLACES = {  # of a client's network: which region it is told
    **{"10.1.2.0/24": "cn", "10.13.3.0/24": "cn", "10.50.2.0/24": "eu", "10.60.2.0/24": "us"},
    **{"10.13.200.0/24": "us", "10.199.0.0/24": "us", "2001:db8:1000:100::/56": "cn"},
    **{"2001:db8:4000:100::/56": "eu", "2001:db8:5000:100::/56": "us"},
}
ADDRESS = {"cn": "192.0.2.1", "eu": "192.0.2.2", "us": "192.0.2.3"}
TTL, SLACK = 1.0, 2.0  # seconds
WITH_SUBNET = ("unbound", "recursor")
WITHOUT_SUBNET = ("bind", "knot")


@pytest.fixture(scope="module")
def endpoint(origin: Callable[[], Origin]) -> Origin:
    return origin()


@pytest.fixture(scope="module")
def geodns(serve: Callable[..., Server], databases: Mapping[str, Path], endpoint: Origin) -> Server:
    many = ", ".join(f"198.51.100.{n}" for n in range(1, 101))
    values = {"digest": "0123456789abcdef" * 4, "long": "x" * 2000, "many": many, "port": endpoint.port}
    files = {**ZONES, "shop.example.yaml": ZONES["shop.example.yaml"].format(**values)}
    return serve(files, f"databases: {{synthetic: true, city: {databases['city']}}}\n").start()


@pytest.fixture(scope="module")
def resolvers(
    geodns: Server, required: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, Resolver]]:
    zones = {"shop.example": HOST, "other.example": HOST}
    with started(required, tmp_path_factory.mktemp("resolvers"), zones, {HOST: geodns.port}) as found:
        yield found


def test_every_record_comes_through_as_it_is(geodns: Server, resolver: Resolver) -> None:
    for name, rtype in RECORDS:
        owner = f"{name}shop.example".removeprefix(".")
        direct = geodns.answers(owner, rtype, tcp=True)
        assert direct
        assert sorted(resolver.answers(owner, rtype)) == direct, (owner, rtype)


def test_spelled_in_any_case_a_name_is_the_same(resolver: Resolver) -> None:
    """A resolver that mixes case drops a reply that does not echo it."""
    assert resolver.answers("STATIC.sHoP.eXAMPLE") == ["192.0.2.100"]


@only("unbound", "knot")
@pytest.mark.parametrize("name", ["known.wild.shop.example", "nothing.there.shop.example"])
def test_0x20_is_on_and_echoed(geodns: Server, resolver: Resolver, name: str) -> None:
    """Of a name that the server answered before, and of one that does not exist."""
    geodns.ask(name, subnet="127.0.0.0/24")
    asked = resolver.during(lambda: resolver.ask(name))
    spelled = [exchange.name for exchange in asked]
    assert any(name != name.lower() for name in spelled)
    assert [e.reply.question[0].name.to_text(omit_final_dot=True) for e in asked] == spelled


@only("unbound", "bind", "recursor")
def test_signatures_are_asked_for_in_vain_and_without_harm(resolver: Resolver) -> None:
    asked = resolver.during(lambda: resolver.answers("ns2.shop.example"))
    assert all(e.query.ednsflags & dns.flags.DO and e.reply.ednsflags & dns.flags.DO for e in asked)


@only("unbound", "bind", "recursor")
def test_names_are_minimised_and_empty_ones_on_the_way_are_there(resolver: Resolver) -> None:
    """RFC 9156: who is told that an empty non-terminal does not exist asks no farther (RFC 8020)."""
    asked = resolver.during(lambda: resolver.ask("a.b.c.deep.shop.example", "AAAA"))
    names = [exchange.name.lower() for exchange in asked]
    assert "deep.shop.example" in names
    assert "c.deep.shop.example" in names
    assert {exchange.reply.rcode() for exchange in asked} == {dns.rcode.NOERROR}
    assert resolver.answers("a.b.c.deep.shop.example") == ["192.0.2.102"]


@pytest.mark.parametrize("name", ["long", "many"])
def test_what_is_cut_is_fetched_over_tcp(resolver: Resolver, name: str) -> None:
    """The large answer is fetched for another type's name than before, so that no cache has it."""
    rtype = "TXT" if name == "long" else "A"
    owner = f"big-{name}.shop.example"
    asked = resolver.during(lambda: resolver.answers(owner, rtype))
    assert [e.transport for e in asked if e.reply.answer] == ["tcp"]
    assert any(e.transport == "udp" and e.reply.flags & dns.flags.TC for e in asked)


def test_chains_and_dnames_lead_where_they_should(resolver: Resolver) -> None:
    assert resolver.answers("away.shop.example") == ["static.other.example.", "192.0.2.200"]
    assert "192.0.2.101" in resolver.answers("a.old.shop.example")
    assert "192.0.2.200" in resolver.answers("static.gone.shop.example")
    assert resolver.ask("no.old.shop.example").rcode() == dns.rcode.NXDOMAIN


@only("unbound", "bind", "recursor")
def test_a_steered_cname_is_chased_into_the_other_zone(resolver: Resolver) -> None:
    """Knot Resolver hands the answers of a stub's server on as they are."""
    assert resolver.answers("img.shop.example") == ["us.other.example.", "192.0.2.203"]


@pytest.mark.parametrize(("name", "rcode"), [("nothing", dns.rcode.NXDOMAIN), ("mail", dns.rcode.NOERROR)])
def test_what_is_not_there_is_remembered(resolver: Resolver, name: str, rcode: int) -> None:
    def ask() -> None:
        reply = resolver.ask(f"{name}.shop.example", "TXT")
        assert reply.rcode() == rcode
        assert not reply.answer
        assert reply.authority[0].rdtype == dns.rdatatype.SOA
        assert reply.authority[0].ttl <= 60

    assert resolver.during(ask)
    assert not resolver.during(ask)


def test_no_data_of_a_steered_name_is_remembered_for_the_records_ttl(resolver: Resolver) -> None:
    """A pool may get its first IPv6 address any time."""

    def ask() -> None:
        assert not resolver.answers("brief.shop.example", "AAAA")

    assert resolver.during(ask)
    assert until(lambda: resolver.during(ask)) < 2.5


@only(*WITH_SUBNET)
def test_each_client_gets_the_answer_of_its_place_cached_or_not(resolver: Resolver) -> None:
    """Twice, so that the second round comes from the cache, where a scope too wide would mix clients up."""

    def ask() -> None:
        for client, region in PLACES.items():
            assert resolver.answers("www.shop.example", subnet=client) == [ADDRESS[region]], client

    assert len(resolver.during(ask)) >= len(PLACES)
    assert not resolver.during(ask)


@only(*WITH_SUBNET)
@pytest.mark.parametrize(
    ("first", "inside", "outside"),
    [
        ("10.13.16.0/24", "10.13.31.0/24", "10.13.32.0/24"),
        ("2001:db8:1000::/56", "2001:db8:10ff:ff00::/56", "2001:db8:1100::/56"),
    ],
)
def test_an_answer_is_shared_by_its_scope_and_by_no_more(
    geodns: Server, resolver: Resolver, first: str, inside: str, outside: str
) -> None:
    """The widest scope is /20 and /40; the network just outside is in the same place, but asks anew."""

    def queries(client: str) -> int:
        before = geodns.metric("geodns_queries_total")
        assert resolver.answers("scoped.shop.example", subnet=client) == [ADDRESS["cn"]]
        return int(geodns.metric("geodns_queries_total") - before)

    assert queries(first) > 0
    assert queries(inside) == 0
    assert queries(outside) > 0


@only(*WITH_SUBNET)
@pytest.mark.parametrize(("name", "order"), [("east", (200, 201)), ("west", (201, 200))])
def test_a_network_with_an_answer_of_its_own_shares_it_with_no_sibling(
    resolver: Resolver, name: str, order: tuple[int, int]
) -> None:
    for number in order:
        wanted = ADDRESS["us" if number == 200 else "cn"]
        subnet = f"10.13.{number}.0/24"
        assert resolver.answers(f"{name}.sibling.shop.example", subnet=subnet) == [wanted]


@only(*WITH_SUBNET)
@pytest.mark.parametrize("name", ["same", "shared"])
def test_what_is_the_same_for_all_is_asked_for_once(resolver: Resolver, name: str) -> None:
    """Scope 0, of a steered name and of a static one. Unbound keeps the two families apart."""

    def ask() -> None:
        for client in PLACES:
            resolver.answers(f"{name}.shop.example", subnet=client)

    families = [exchange.subnet.family for exchange in resolver.during(ask) if exchange.subnet]
    assert families in ([1], [1, 2])


@only(*WITH_SUBNET)
def test_who_tells_no_network_is_answered_for_the_resolvers(resolver: Resolver) -> None:
    """RFC 7871 §7.1.2: /0 is passed on, or the resolver's own network."""
    asked = resolver.during(lambda: resolver.answers("private.shop.example", subnet="0.0.0.0/0"))
    assert all(o.srclen == 0 or o.address.startswith("127.") for e in asked for o in [e.subnet] if o)
    assert resolver.answers("private.shop.example", subnet="0.0.0.0/0") == [ADDRESS["us"]]


@only(*WITHOUT_SUBNET)
def test_without_client_subnet_the_resolvers_own_address_decides(resolver: Resolver) -> None:
    for client in PLACES:
        assert resolver.answers("www.shop.example", subnet=client) == [ADDRESS["us"]]


@only("bind")
def test_bind_brings_the_cookie_that_it_was_given(geodns: Server, resolver: Resolver) -> None:
    asked = resolver.during(lambda: resolver.answers("ns1.shop.example"))
    assert [len(e.cookie) for e in asked if e.cookie] == [24] * len(asked)
    assert geodns.metric('geodns_cookies_examined_total{state="good"}') > 0


def test_a_failure_is_seen_through_every_cache_within_the_ttl(
    geodns: Server, resolvers: Mapping[str, Resolver], endpoint: Origin
) -> None:
    def all_say(address: str) -> bool:
        return all(r.answers("checked.shop.example") == [address] for r in resolvers.values())

    def turned(address: str) -> float:
        until(lambda: geodns.answers("checked.shop.example") == [address])
        return until(lambda: all_say(address))

    assert all_say("192.0.2.11")
    endpoint.healthy = False
    assert turned("192.0.2.12") < TTL + SLACK
    endpoint.healthy = True
    assert turned("192.0.2.11") < TTL + SLACK
