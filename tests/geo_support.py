"""What the tests of geography share: the synthetic databases, and small ones made to measure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mmdb_writer import MMDBWriter
from netaddr import IPSet

from geodns.demo import databases as demo
from geodns.errors import Position
from geodns.geo.lines import carriers
from geodns.geo.locate import Geography
from geodns.geo.mmdb import Kind, open_database
from geodns.model import Line, Model, Nearest, Policy, Rule, When

FILES = {Kind.CITY: "City.mmdb", Kind.COUNTRY: "Country.mmdb", Kind.ASN: "ASN.mmdb", Kind.ISP: "ISP.mmdb"}


def write(path: Path, layout: str, entries: Mapping[str, Mapping[str, Any]], *, version: int = 6) -> Path:
    """A database of type `GeoLite2-<layout>` with these networks and records."""
    writer = MMDBWriter(version, f"GeoLite2-{layout}", ["en"], "test", version == 6, int_type="u32")
    for network, record in entries.items():
        writer.insert_network(IPSet([network]), dict(record))
    writer.to_db_file(str(path))
    return path


def synthetic(folder: Path, *kinds: Kind) -> dict[Kind, Path]:
    """Paths of the synthetic databases of these kinds (of all, if none is named), made in `folder`."""
    demo.build(folder)
    return {kind: folder / FILES[kind] for kind in kinds or Kind}


def geography(
    paths: Mapping[Kind, Path], lines: Mapping[str, Line] | None = None, policies: Iterable[Policy] = ()
) -> Geography:
    opened = {kind: open_database(path, kind) for kind, path in paths.items()}
    return Geography(opened, carriers() if lines is None else lines, policies)


def model(*whens: When, lines: Iterable[Line] = ()) -> Model:
    """A model with one policy: a rule for each `when`, on lines 1, 2, 3 … of z.yaml, all to the nearest."""
    rules = tuple(
        Rule(when, (Nearest(),), position=Position("z.yaml", n, 7)) for n, when in enumerate(whens, 1)
    )
    return Model({}, {line.id: line for line in lines}, {}, {"p": Policy("p", rules)}, ())
