"""The same resolvers before a strict server: it wants cookies, limits rates, believes few, says little."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import dns.flags
import dns.rcode
import pytest
from e2e_support import Server
from resolver_support import Resolver, only, started

ABOVE, HOST = "127.0.0.1", "127.0.0.2"
PARENT = """
zone: shop.example
ttl: 60s
nameservers: {ns1: 127.0.0.1}
records:
  branch: {NS: ns.branch.shop.example.}
  ns.branch: {A: 127.0.0.2}
"""
ZONES = {
    "strict.example.yaml": """
zone: strict.example
ttl: 60s
nameservers: {{ns1: 127.0.0.2}}
regions: {{cn: {{}}, us: {{}}}}
policies:
  by-place:
    - {{when: {{network: [10.1.0.0/16, "2001:db8:1000::/36"]}}, to: cn}}
    - {{to: us}}
pools:
  web: {{policy: by-place, regions: {{cn: 192.0.2.1, us: 192.0.2.3}}}}
records:
  www: {{steer: web}}
  cut: {{A: [{some}]}}
  "*.many": {{A: 192.0.2.100}}
""",
    "branch.shop.example.yaml": """
zone: branch.shop.example
ttl: 60s
nameservers: {ns: 127.0.0.2}
records:
  www: {A: 192.0.2.110}
""",
}
RATE = 20  # replies a second
SETTINGS = f"""
cookies: {{policy: require}}
limits: {{udp_payload: 512}}
rate: {{responses: {RATE}}}
ecs: {{resolvers: 198.51.100.0/24}}
identity: {{version: none of your business, server: strict, nsid: strict}}
extended_errors: {{states: true}}
"""


@pytest.fixture(scope="module")
def geodns(serve: Callable[..., Server]) -> Server:
    some = ", ".join(f"198.51.100.{n}" for n in range(1, 41))
    files = {**ZONES, "strict.example.yaml": ZONES["strict.example.yaml"].format(some=some)}
    return serve(files, SETTINGS).start()


@pytest.fixture(scope="module")
def resolvers(
    serve: Callable[..., Server],
    geodns: Server,
    required: Callable[[str], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Mapping[str, Resolver]]:
    parent = serve(PARENT).start()
    zones = {"shop.example": ABOVE, "strict.example": HOST}
    servers = {ABOVE: parent.port, HOST: geodns.port}
    with started(required, tmp_path_factory.mktemp("resolvers"), zones, servers) as found:
        yield found


def test_a_network_that_is_not_believed_is_not_told_any_scope(resolver: Resolver) -> None:
    """The resolver takes the answer for one that has no scope, and keeps it for everybody."""

    def ask() -> None:
        for client in ("10.1.2.0/24", "10.50.2.0/24", "2001:db8:1000:100::/56"):
            assert resolver.answers("www.strict.example", subnet=client) == ["192.0.2.3"]

    asked = resolver.during(ask)
    assert asked
    assert not any(option.otype == 8 for exchange in asked for option in exchange.reply.options)


def test_what_exceeds_512_octets_is_fetched_over_tcp(resolver: Resolver) -> None:
    asked = resolver.during(lambda: resolver.answers("cut.strict.example"))
    assert len(resolver.answers("cut.strict.example")) == 40
    assert any(e.transport == "udp" and e.reply.flags & dns.flags.TC for e in asked)
    assert [e.transport for e in asked if e.reply.answer] == ["tcp"]


def test_over_the_limit_all_is_resolved_still(geodns: Server, resolver: Resolver) -> None:
    """Who brings no good cookie is sent to TCP; who does is not limited."""

    def counted() -> tuple[float, float]:
        name = "geodns_rate_limited_queries_total"
        return geodns.metric(f'{name}{{outcome="slipped"}}'), geodns.metric(f'{name}{{outcome="cookie"}}')

    def ask() -> None:
        for number in range(5 * RATE):
            name = f"{resolver.name}-{number}.many.strict.example"
            assert resolver.answers(name) == ["192.0.2.100"]

    before = counted()
    transports = {exchange.transport for exchange in resolver.during(ask)}
    slipped, spared = (now > then for now, then in zip(counted(), before, strict=True))
    known = resolver.name == "bind"
    assert (slipped, spared) == (not known, known)
    assert transports == ({"udp"} if known else {"udp", "tcp"})


@only("bind")
def test_a_cookie_is_required_and_brought(geodns: Server, resolver: Resolver) -> None:
    """RFC 7873 §5.2.3, §5.3: BADCOOKIE brings the cookie to come again with."""
    seen = [e for e in resolver.taps[HOST].seen if e.transport == "udp"]
    assert [dns.rcode.to_text(e.reply.rcode()) for e in seen][:2] == ["BADCOOKIE", "NOERROR"]
    assert [len(e.cookie) for e in seen][:2] == [8, 24]
    assert geodns.metric('geodns_cookies_examined_total{state="new"}') > 0
    assert geodns.metric('geodns_cookies_examined_total{state="good"}') > 0


@only("bind")
def test_a_delegation_below_the_zone_is_followed_to_its_server(resolver: Resolver) -> None:
    asked = resolver.during(lambda: resolver.answers("www.branch.shop.example"))
    assert resolver.answers("www.branch.shop.example") == ["192.0.2.110"]
    referral = asked[0].reply
    assert not referral.flags & dns.flags.AA
    assert [data.to_text() for rrset in referral.additional for data in rrset] == ["127.0.0.2"]
    assert asked[-1] in resolver.taps[HOST].seen, "the one that the referral named"
