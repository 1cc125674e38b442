"""The same zones as a master file (RFC 1035 §5) for the peers, and as YAML for geodns."""

from __future__ import annotations

import json
from pathlib import Path

from tests.differential.zones import Name, Zone, label_text, text


def master(zone: Zone) -> str:
    """DS come first: BIND 9.18 takes one that follows `@ NS` of the same name for the apex's own."""
    lines = [f"{text(zone.apex)} {zone.soa_ttl} IN SOA {zone.soa()}"]
    lines += [
        f"{text(data.owner)} {data.ttl} IN {data.rtype} {value}"
        for data in sorted(zone.sets.values(), key=lambda data: data.rtype != "DS")
        for value in data.values
    ]
    return "\n".join(lines) + "\n"


def yaml(zone: Zone) -> str:
    """JSON is YAML; every value is quoted, so nothing is read as anything but text."""
    mname, rname, *numbers = zone.soa().split()
    names = ("serial", "refresh", "retry", "expire", "minimum")
    records: dict[str, dict[str, object]] = {}
    for data in zone.sets.values():
        entry = records.setdefault(_key(data.owner, zone.apex), {})
        entry[data.rtype] = {"ttl": data.ttl, "values": data.values}
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
    for number, zone in enumerate(zones):
        (folder / f"{number}.yaml").write_text(yaml(zone))


def write_masters(zones: list[Zone], folder: Path) -> None:
    folder.mkdir()
    for number, zone in enumerate(zones):
        (folder / f"{number}.zone").write_text(master(zone))
