"""Why a client is answered as it is: the whole decision, step by step, and whether the table agrees.

The trace asks the same pure functions that the table was compiled with; then the table itself is replayed,
with a real packet, and both are compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from ipaddress import ip_network

from geodns.core import wire
from geodns.core.compile.bodies import FAMILY, SheetSpec, answer_set
from geodns.core.compile.rdata import type_name
from geodns.core.compile.sheets import Sheets
from geodns.core.edns import Subnet, sticky_scope
from geodns.core.health import Health
from geodns.core.names import to_text
from geodns.core.place import Located
from geodns.core.replay import Replay
from geodns.core.steer.conditions import Site, value_of
from geodns.core.steer.odds import Odds, decide, fit
from geodns.core.steer.orders import Ordered, Plan
from geodns.core.steer.strength import strength, unit
from geodns.core.table import FLAG_NO_SUBNET, AnswerSet
from geodns.core.world import World, families
from geodns.model import Endpoint, Pool, When

RCODES = {
    wire.NOERROR: "NOERROR",
    wire.NXDOMAIN: "NXDOMAIN",
    wire.REFUSED: "REFUSED",
    wire.YXDOMAIN: "YXDOMAIN",
}


@dataclass(frozen=True, slots=True)
class Client:
    """Who asks: `subnet` as the decision takes it, `text` as given; `told` by Client Subnet or not."""

    text: str
    subnet: Subnet
    told: bool


def explain(
    replay: Replay,
    sheets: Sheets,
    world: World,
    question: tuple[bytes, int],
    client: Client,
    located: Located,
    now: int,
) -> dict[str, object]:
    """The decision for `question` (folded wire name, type) as plain values, in the order it is made."""
    name, rtype = question
    found: dict[str, object] = {
        "name": to_text(name),
        "type": type_name(rtype),
        "client": _client(client),
        "place": _place(located),
    }
    if rtype in (wire.AXFR, wire.IXFR):
        return found | {"kind": "refused", "rcode": "REFUSED", "why": "zones are not transferred"}
    made = replay.look_up(name, rtype)
    if made is None:
        return found | {"kind": "refused", "rcode": "REFUSED", "why": "no zone of this server holds the name"}
    if made.sheet < 0:
        reply = replay.rehearse(_packet(name, rtype, client), client.text.partition("/")[0], now)
        rcode, answers = RCODES.get(reply[3] & 15, str(reply[3] & 15)), int.from_bytes(reply[6:8])
        why = "static data: every client gets the same" if answers else "the name has no data of this type"
        why = "the name does not exist" if rcode == "NXDOMAIN" else why
        return found | {"kind": "static", "rcode": rcode, "answers": answers, "scope": 0, "why": why}
    spec, sheet = sheets.specs[made.sheet], sheets.sheets[made.sheet]
    plan = sheets.classes[sheet.plan].plan
    ordered = plan.order(located.place)
    number, scope = sheets.classify(sheet.plan, located, client.subnet)
    if sheet.sticky:
        scope = max(scope, sticky_scope(client.subnet))
    odds = decide(world.pools[spec.pool], ordered.order, world, FAMILY[spec.rtype])
    running = sheet.sets.get(number) or sheets.fill(made.sheet, number)
    reply = replay.rehearse(_packet(name, rtype, client), client.text.partition("/")[0], now)
    expected = answer_set(spec, odds, running.slot)
    leaves_out = bool(made.flags & FLAG_NO_SUBNET) or not client.told
    nobodys = not (client.subnet.prefix or client.subnet.shift)  # /0: the resolver's own place is taken
    return found | {
        "kind": "steered",
        "pool": spec.pool,
        "policy": spec.policy,
        "pick": spec.pick.value,
        "rcode": "NOERROR",
        "scope": None if leaves_out else scope + client.subnet.shift if scope and not nobodys else 0,
        "class": number,
        "rules": _rules(plan, ordered),
        "order": _order(ordered),
        "nearest_from": ordered.nearest_from,
        "stage": odds.stage.value,
        "capacity": _capacity(world.pools[spec.pool], world),
        "panic": _panic(world.pools[spec.pool], world),
        "regions": [asdict(looked) for looked in odds.looked],
        "endpoints": _endpoints(world, spec, odds),
        "odds": _odds(odds),
        "ttl": _ttl(spec, odds, now),
        "table": _agreement(expected, running, reply),
        "answer": [m["value"] for m, rr in zip(_odds(odds), _records(running), strict=False) if rr in reply],
    }


def _client(client: Client) -> dict[str, object]:
    subnet = client.subnet
    unwrapped = f"IPv4 {subnet.ip()}/{subnet.prefix} inside IPv6" if subnet.shift else ""
    return {
        "address": str(subnet.ip()),
        "family": subnet.family,
        "prefix": subnet.prefix,
        "from": "client subnet" if client.told else "source",
        "note": unwrapped,
    }


def _place(located: Located) -> dict[str, object]:
    place = asdict(located.place)
    place["own"], place["lines"] = sorted(located.place.own), sorted(located.place.lines)
    return place | {"blocks": {"own": located.own, "asn": located.asn, "geo": located.geo}}


def _rules(plan: Plan, ordered: Ordered) -> list[dict[str, object]]:
    return [
        {
            "index": tried.index,
            "position": str(plan.policy.rules[tried.index].position),
            "when": _when(plan.policy.rules[tried.index].when),
            "matched": not tried.unmet,
            "failed_on": tried.unmet,
        }
        for tried in ordered.tried
    ]


def _when(when: When) -> dict[str, list[object]]:
    keys = ("networks", "lines", "asns", "cities", "subdivisions", "countries", "continents")
    return {key: list(getattr(when, key)) for key in keys if getattr(when, key)}


def _order(ordered: Ordered) -> list[dict[str, object]]:
    return [
        {
            "regions": [list(share) for share in group.shares],
            "by_weight": group.by_weight,
            "implied": 0 <= ordered.implied <= index,
        }
        for index, group in enumerate(ordered.order)
    ]


def _capacity(pool: Pool, world: World) -> list[dict[str, object]]:
    """How much of each region is in use, where anything is known of that."""
    gauges = {region.region: world.gauge(pool.id, region.region) for region in pool.regions}
    if not any(gauges.values()) and all(region.capacity is None for region in pool.regions):
        return []
    return [
        {
            "region": region.region,
            "capacity": gauge.capacity if gauge else region.capacity,
            "used": gauge.used if gauge else None,
            "keeps": gauge.keep if gauge else None,
        }
        for region in pool.regions
        for gauge in (gauges[region.region],)
    ]


def _panic(pool: Pool, world: World) -> dict[str, object] | None:
    """How much of the pool is healthy, where too little would make it fail open."""
    if pool.panic is None:
        return None
    healthy, left = strength(pool, world)
    return {"below": pool.panic, "healthy": int(100 * healthy / left) if left else 100, "unit": unit(pool)}


def _endpoints(world: World, spec: SheetSpec, odds: Odds) -> list[dict[str, object]]:
    """Every endpoint of the regions that were looked at, and why it may or may not be told."""
    pool, asked = world.pools[spec.pool], FAMILY[spec.rtype]
    kept = {(m.region, m.name) for m in odds.members}
    found: list[dict[str, object]] = []
    for looked in odds.looked:
        site = Site.of(pool, next(r for r in pool.regions if r.region == looked.region), world)
        for endpoint in site.here.endpoints:
            for family in families(endpoint):
                chosen = family == asked and (looked.region, endpoint.name) in kept
                health = site.health(endpoint, family)
                serves = not looked.dropped
                why = "" if chosen else _why_not(site, endpoint, serves, family == asked, health, odds)
                found.append(
                    {
                        "region": looked.region,
                        "name": endpoint.name,
                        "family": family,
                        "value": _text(value_of(endpoint, family)),
                        "verdict": health.verdict.value,
                        "reason": health.reason,
                        "tier": endpoint.tier,
                        "weight": site.weight(endpoint),
                        "share": site.kept(endpoint),
                        "kept": chosen,
                        "why": why,
                    }
                )
    return found


def _why_not(site: Site, endpoint: Endpoint, serves: bool, asked: bool, health: Health, odds: Odds) -> str:
    pause, hold = site.setting.paused(endpoint.name), site.setting.held(endpoint.name)
    if pause is not None:
        return f"paused by {pause.actor}: {pause.reason}"
    if hold is not None:
        return f"held out: {hold.reason}"
    if not serves:
        return "the region does not serve"
    if not asked:
        return "another family was asked"
    return (
        "a lower tier or a healthier one serves, or its weight is 0"
        if fit(health, odds.stage)
        else "not healthy"
    )


def _text(value: str | bytes | None) -> str:
    return to_text(value) if isinstance(value, bytes) else value or ""


def _odds(odds: Odds) -> list[dict[str, object]]:
    total = sum(m.weight for m in odds.members)
    return [
        {
            "region": m.region,
            "name": m.name,
            "value": _text(m.value),
            "weight": m.weight,
            "share": m.weight / total,
        }
        for m in odds.members
    ]


def _ttl(spec: SheetSpec, odds: Odds, now: int) -> dict[str, object]:
    left = odds.change_at - now
    if odds.change_at and left < spec.ttl:
        value = min(spec.ttl, max(spec.ttl_min, left))
        return {
            "value": value,
            "record": spec.ttl,
            "lowered_by": f"the answer may change in {max(0, left)} s",
        }
    return {"value": spec.ttl, "record": spec.ttl, "lowered_by": ""}


def _agreement(expected: AnswerSet, running: AnswerSet, reply: bytes) -> Mapping[str, object]:
    differing = [f for f in AnswerSet.__slots__ if getattr(expected, f) != getattr(running, f)]
    if differing:
        return {"agrees": False, "difference": f"the running table differs in {', '.join(differing)}"}
    if running.members and not any(rr in reply for rr in _records(running)):
        return {"agrees": False, "difference": "the replayed answer holds none of the possible records"}
    return {"agrees": True, "difference": ""}


def _records(set_: AnswerSet) -> list[bytes]:
    """The members' rdata with its length: what of a record neither the owner nor a lowered TTL changes."""
    return [set_.rrs[set_.at[i] + set_.ttl_at + 4 : set_.at[i + 1]] for i in range(set_.members)]


def _packet(name: bytes, rtype: int, client: Client) -> bytes:
    """A query as a resolver would send it: with Client Subnet where the client was given as a network."""
    question = name + rtype.to_bytes(2) + b"\0\1"
    if not client.told:
        return b"\0\0\0\0\0\1\0\0\0\0\0\0" + question
    network = ip_network(client.text, strict=False)
    octets = network.network_address.packed[: (network.prefixlen + 7) // 8]
    value = (1 if network.version == 4 else 2).to_bytes(2) + bytes([network.prefixlen, 0]) + octets
    option = b"\0\x08" + len(value).to_bytes(2) + value
    opt = b"\0\0\x29\x04\xd0\0\0\0\0" + len(option).to_bytes(2) + option
    return b"\0\0\0\0\0\1\0\0\0\0\0\1" + question + opt
