"""The same zones as a master file (RFC 1035 §5) for the peers, and as YAML for geodns."""

from __future__ import annotations

import json
from pathlib import Path

from dns.rdata import from_text
from dns.rdataclass import IN

from tests.differential.zones import Name, Zone, label_text, text

UNKNOWN = ("AMTRELAY", "AVC", "DLV", "GPOS", "HIP", "IPSECKEY", "ISDN", "NSAP", "PX", "X25")
SHARED = {
    "regions": {"here": {}},
    "policies": {"all": [{"to": "here"}]},
    "pools": {"pool": {"policy": "all", "regions": {"here": ["203.0.113.1", "2001:db8:ffff::1"]}}},
}


def master(zone: Zone) -> str:
    """DS come first: BIND 9.18 takes one that follows `@ NS` of the same name for the apex's own."""
    lines = [f"{text(zone.apex)} {zone.soa_ttl} IN SOA {zone.soa()}"]
    lines += [
        f"{text(data.owner)} {data.ttl} IN {_presented(data.rtype, value)}"
        for data in sorted(zone.sets.values(), key=lambda data: data.rtype != "DS")
        for value in data.values
    ]
    return "\n".join(lines) + "\n"


def _presented(rtype: str, value: str) -> str:
    """RFC 3597 §5 for what not all of the three have a name for."""
    if rtype not in UNKNOWN:
        return f"{rtype} {value}"
    found = from_text(IN, rtype, value)
    return f"TYPE{int(found.rdtype)} {found.to_generic().to_text()}"


def yaml(zone: Zone) -> str:
    """JSON is YAML; every value is quoted, so nothing is read as anything but text."""
    mname, rname, *numbers = zone.soa().split()
    names = ("serial", "refresh", "retry", "expire", "minimum")
    records: dict[str, dict[str, object]] = {}
    for data in zone.sets.values():
        entry = records.setdefault(_key(data.owner, zone.apex), {})
        entry[data.rtype] = {"ttl": data.ttl, "values": data.values}
    for name in zone.steers:
        records[_key(name, zone.apex)] = {"steer": "pool"}
    content = {
        "zone": text(zone.apex).rstrip("."),
        "soa": {
            "mname": mname,
            "rname": rname,
            "ttl": zone.soa_ttl,
            **dict(zip(names, map(int, numbers), strict=True)),
        },
        "records": records,
    }
    return json.dumps(content, indent=1)


def _key(owner: Name, apex: Name) -> str:
    return ".".join(label_text(label) for label in owner[: len(owner) - len(apex)]) or "@"


def write_yaml(zones: list[Zone], folder: Path) -> None:
    folder.mkdir()
    (folder / "_shared.yaml").write_text(json.dumps(SHARED))
    for number, zone in enumerate(zones):
        (folder / f"{number}.yaml").write_text(yaml(zone))


def write_masters(zones: list[Zone], folder: Path) -> None:
    folder.mkdir()
    for number, zone in enumerate(zones):
        (folder / f"{number}.zone").write_text(master(zone))
