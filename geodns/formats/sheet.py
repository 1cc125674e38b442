"""A zone's static part as a zone file: YAML as people would write it."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

import yaml

from geodns.core import names
from geodns.core.compile.rdata import AAAA, NS, A, present, type_name
from geodns.model import RRset, Soa, Zone

_WIDTH = 100  # letters of an entry that still stands in one line
_NO_FOLDING = 1 << 30
_UNITS = (("d", 86400), ("h", 3600), ("m", 60))
_MERGE = "<<"


def write(zone: Zone) -> str:
    """The zone file that loads as this zone. Steers are not written: the formats that are read have none."""
    ttl = _usual(zone)
    nameservers, shown = _nameservers(zone, ttl)
    head: dict[str, Any] = {"zone": _apex(zone), "ttl": _duration(ttl), "soa": _soa(zone.soa, zone.apex)}
    if nameservers:
        head["nameservers"] = nameservers
    records = _records(zone, ttl, shown)
    return _dump(head) + (_dump({"records": records}) if records else "")


class _Line(dict[str, Any]):
    """A mapping that is written in one line."""


class _Row(list[str]):
    """A list that is written in one line."""


class _Dumper(yaml.CSafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


_Dumper.add_representer(
    _Line,
    lambda dumper, line: dumper.represent_mapping("tag:yaml.org,2002:map", line.items(), flow_style=True),
)
_Dumper.add_representer(
    _Row, lambda dumper, row: dumper.represent_sequence("tag:yaml.org,2002:seq", row, flow_style=True)
)


def _dump(content: dict[str, Any]) -> str:
    return str(
        yaml.dump(
            content,
            Dumper=_Dumper,
            sort_keys=False,
            allow_unicode=True,
            default_flow_style=False,
            width=_NO_FOLDING,
        )
    )


def _usual(zone: Zone) -> int:
    """The TTL that most RRsets have."""
    counts = Counter(rrset.ttl for rrset in zone.rrsets)
    return counts.most_common(1)[0][0] if counts else zone.soa.ttl


def _apex(zone: Zone) -> str:
    return names.to_text(zone.apex).removesuffix(".") or "."


def _duration(seconds: int) -> str | int:
    return next(
        (f"{seconds // size}{unit}" for unit, size in _UNITS if seconds and not seconds % size), seconds
    )


def _soa(soa: Soa, apex: bytes) -> dict[str, Any]:
    return _Line(
        mname=present(NS, soa.mname, apex),
        rname=present(NS, soa.rname, apex).replace("\\@", "\\064"),  # a lone @ would be a mail address
        serial=soa.serial,
        refresh=_duration(soa.refresh),
        retry=_duration(soa.retry),
        expire=_duration(soa.expire),
        minimum=_duration(soa.minimum),
        ttl=_duration(soa.ttl),
    )


def _nameservers(zone: Zone, ttl: int) -> tuple[dict[str, Any] | list[str], set[tuple[bytes, int]]]:
    """What `nameservers` says, and the RRsets that it stands for; nothing where it does not fit them.

    It gives the usual TTL to all, and addresses to those in the zone.
    """
    held = {(rrset.owner, rrset.rtype): rrset for rrset in zone.rrsets}
    ns = held.get((zone.apex, NS))
    if ns is None or ns.ttl != ttl:
        return [], set()
    found: dict[str, list[str]] = {}
    shown = {(zone.apex, NS)}
    for target in ns.rdata:
        addresses = found.setdefault(present(NS, target, zone.apex), [])
        for key in ((names.fold(target), A), (names.fold(target), AAAA)):
            if key in held and held[key].ttl != ttl:
                return [], set()
            if key in held:
                shown.add(key)
                addresses += [present(key[1], rdata) for rdata in held[key].rdata]
    if not any(found.values()):
        return list(found), shown
    return {name: _Row(addresses) for name, addresses in found.items()}, shown


def _records(zone: Zone, ttl: int, shown: set[tuple[bytes, int]]) -> dict[str, Any]:
    owners: dict[bytes, list[RRset]] = defaultdict(list)
    for rrset in zone.rrsets:
        if (rrset.owner, rrset.rtype) not in shown:
            owners[rrset.owner].append(rrset)
    return {_key(owner, zone): _entry(rrsets, ttl, zone.apex) for owner, rrsets in owners.items()}


def _entry(rrsets: list[RRset], ttl: int, apex: bytes) -> dict[str, Any]:
    """What stands at one name; a TTL that all have there is written once."""
    ttls = {rrset.ttl for rrset in rrsets}
    common = ttls.pop() if len(ttls) == 1 else ttl
    entry: dict[str, Any] = {} if common == ttl else {"ttl": _duration(common)}
    for rrset in rrsets:
        values = [present(rrset.rtype, rdata, apex) for rdata in rrset.rdata]
        short = values[0] if len(values) == 1 else values
        own = {"ttl": _duration(rrset.ttl), "values": short}
        entry[type_name(rrset.rtype)] = short if rrset.ttl == common else own
    return _Line(entry) if len(str(entry)) <= _WIDTH else entry


def _key(owner: bytes, zone: Zone) -> str:
    """The owner relative to the zone. What the reader would misunderstand has its last label in numbers."""
    labels = names.labels(owner[: len(owner) - len(zone.apex)] + names.ROOT)
    if not labels:
        return "@"
    key, apex = ".".join(map(_label, labels)), _apex(zone)
    if key in (_MERGE, apex) or key.endswith(f".{apex}"):
        return ".".join([*map(_label, labels[:-1]), "".join(f"\\{octet:03d}" for octet in labels[-1])])
    return key


def _label(label: bytes) -> str:
    return names.to_text(bytes((len(label),)) + label + names.ROOT)[:-1]
