"""A decision as text: who, where, which rule, which regions and endpoints, with what odds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from geodns.cli.common import columns

Found = Mapping[str, Any]
_WIDTH = 11


def told(found: Found) -> str:
    """The sections that a decision has, each beginning with its title; missing parts are left out."""
    lines = [f"{found.get('name', '?')} {found.get('type', '?')}  {_verdict(found)}"]
    for title, rows in _sections(found):
        text = columns(rows) if rows else ""
        for number, line in enumerate(text.splitlines()):
            lines.append(f"{title if number == 0 else '':<{_WIDTH}}{line}")
    return "\n".join(lines)


def _verdict(found: Found) -> str:
    parts = [str(found.get("rcode") or "")]
    if found.get("pool"):
        parts.append(f"pool {found['pool']}, policy {found.get('policy')}, pick {found.get('pick')}")
    parts.append(str(found.get("why") or ""))
    return "  ".join(part for part in parts if part)


def _sections(found: Found) -> Iterator[tuple[str, list[Sequence[object]]]]:
    yield "client", _client(found.get("client") or {})
    yield "place", _place(found.get("place") or {})
    yield (
        "databases",
        [(d.get("type"), d.get("network"), d.get("says")) for d in found.get("databases") or []],
    )
    yield "rules", [_rule(rule) for rule in found.get("rules") or []]
    yield "order", [_group(number, group) for number, group in enumerate(found.get("order") or [], 1)]
    if found.get("nearest_from"):
        yield "nearest", [(f"measured from the client's {found['nearest_from']}",)]
    if found.get("stage"):
        yield "stage", [(_STAGES.get(found["stage"], found["stage"]),)]
    yield "capacity", [_capacity(region) for region in found.get("capacity") or []]
    yield "panic", _panic(found.get("panic") or {})
    yield "regions", [_region(region, str(found.get("stage"))) for region in found.get("regions") or []]
    yield "endpoints", [_endpoint(endpoint) for endpoint in found.get("endpoints") or []]
    yield "odds", [_odds(odds) for odds in found.get("odds") or []]
    yield "ttl", _ttl(found.get("ttl") or {})
    if "scope" in found:
        yield "scope", [(_scope(found["scope"]),)]
    yield "table", _table(found.get("table") or {})
    yield "answer", [(value,) for value in found.get("answer") or []]


_STAGES = {
    "available": "available: healthy endpoints serve",
    "held": "held: nothing else is available, so what was held out after a failure serves",
    "reduced": "reduced: fewer are healthy than the minimum",
    "unprobed": "unprobed: none is known to be healthy, some were never probed",
    "open": "open: nothing is healthy, so everything that is not paused serves",
    "panic": "panic: so little is healthy that health is ignored over what is not paused",
    "backup": "backup: nothing is available, the pool's backup addresses serve",
    "nodata": "nodata: nothing is available, and the pool says to answer nothing then",
    "paused": "paused: the order has no region that is not paused, the answer is empty",
}


def _client(client: Found) -> list[Sequence[object]]:
    if not client:
        return []
    text = f"{client.get('address')}/{client.get('prefix')} (from the {client.get('from')})"
    return [(text, client.get("note") or "")]


def _place(place: Found) -> list[Sequence[object]]:
    where = [
        place.get("continent"),
        place.get("country"),
        *(place.get("subdivisions") or []),
        place.get("city"),
    ]
    carrier = [f"AS{place['asn']}" if place.get("asn") else "", place.get("organization"), place.get("isp")]
    rows: list[Sequence[object]] = [
        ("where", " ".join(str(part) for part in where if part)),
        ("network", " ".join(str(part) for part in carrier if part)),
        ("lines", " ".join(place.get("lines") or [])),
        ("own", " ".join(place.get("own") or [])),
        ("at", _at(place)),
    ]
    known = [row for row in rows if row[1]]
    return known or ([("nothing is known of this address",)] if place else [])


def _at(place: Found) -> str:
    at = place.get("at")
    return f"{at[0]:.2f}, {at[1]:.2f} ({place.get('at_from') or 'location'})" if at else ""


def _rule(rule: Found) -> Sequence[object]:
    matched = "matched" if rule.get("matched") else f"no: {rule.get('failed_on')} differs"
    return rule.get("index", 0) + 1, rule.get("position", ""), _when(rule.get("when")), matched


def _when(when: object) -> str:
    if not isinstance(when, Mapping):
        return str(when or "everybody")
    parts = [f"{key} {','.join(str(v) for v in values)}" for key, values in when.items()]
    return " and ".join(parts) or "everybody"


def _group(number: int, group: Found) -> Sequence[object]:
    shares = group.get("regions") or []
    if group.get("by_weight"):
        text = f"{' '.join(region for region, _ in shares)}, by healthy weight"
    elif len(shares) == 1:
        text = shares[0][0]
    else:
        text = ", ".join(f"{region} {weight}" for region, weight in shares)
    return number, text, "(implied)" if group.get("implied") else ""


def _capacity(region: Found) -> Sequence[object]:
    if region.get("capacity") is None:
        return region.get("region"), "told by nobody"
    if region.get("used") is None:
        return region.get("region"), f"{region['capacity']}, its load is not known: as if it told no capacity"
    kept = f", keeps {region['keeps']}% of its clients" if region.get("keeps") != 100 else ""
    return region.get("region"), f"{region['capacity']}, {region['used']}% in use{kept}"


def _panic(panic: Found) -> list[Sequence[object]]:
    if not panic:
        return []
    return [
        (f"{panic.get('healthy')}% of the {panic.get('unit')} is healthy, panic below {panic.get('below')}%",)
    ]


def _region(region: Found, stage: str) -> Sequence[object]:
    counted = f"{region.get('healthy')} of {region.get('total')} healthy, needs {region.get('needed')}"
    if stage == "panic":
        counted = "its health is ignored"
    dropped = region.get("dropped")
    share = region.get("share", 100)
    kept = "" if share == 100 else f", keeps {share}% of its clients"
    return region.get("region"), f"dropped: {dropped}" if dropped else f"serves: {counted}{kept}"


def _endpoint(endpoint: Found) -> Sequence[object]:
    return (
        endpoint.get("region"),
        endpoint.get("name"),
        endpoint.get("value") or f"IPv{endpoint.get('family')}",
        endpoint.get("verdict"),
        f"tier {endpoint.get('tier')} weight {endpoint.get('weight')}{_left(endpoint.get('share', 100))}",
        "kept" if endpoint.get("kept") else f"dropped: {endpoint.get('why')}",
        endpoint.get("reason") or "",
    )


def _left(share: int) -> str:
    return "" if share == 100 else f", {share}% of it"


def _odds(odds: Found) -> Sequence[object]:
    share = float(odds.get("share") or 0)
    return f"{share:.1%}", odds.get("value"), f"{odds.get('region')}/{odds.get('name')}"


def _ttl(ttl: Found) -> list[Sequence[object]]:
    if not ttl:
        return []
    why = ttl.get("lowered_by")
    return [(f"{ttl.get('value')} s" + (f", lowered from {ttl.get('record')} s: {why}" if why else ""),)]


def _scope(scope: object) -> str:
    return "none: no Client Subnet in the answer" if scope is None else f"/{scope}"


def _table(table: Found) -> list[Sequence[object]]:
    if not table:
        return []
    return [("agrees" if table.get("agrees") else f"DIFFERS: {table.get('difference')}",)]
