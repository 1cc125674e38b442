"""From a zones folder to the model: `load` is all that others call."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from geodns.config import consistency, times
from geodns.config.checks import Checks
from geodns.config.findings import Findings
from geodns.config.hosts import Hosts
from geodns.config.policies import Known, Policies, build_lines
from geodns.config.pools import Pools
from geodns.config.records import Reader, Records
from geodns.config.sheets import Sheet, read_folder
from geodns.config.tables import Tables
from geodns.config.yaml import MAX_BYTES
from geodns.config.zones import add_nameservers, assemble, derive_soa
from geodns.errors import ConfigError
from geodns.model import Model, Region, Soa

__all__ = ["Known", "load"]


def load(folder: Path, *, known: Known | None = None, zone_bytes: int = MAX_BYTES) -> Model:
    """Everything in the folder's `*.yaml`, checked and resolved; warnings are in `Model.problems`.

    Without `known`, names of lines that the files do not define are taken on trust. `zone_bytes` bounds
    each file. Raises ConfigError with every problem that could be found, warnings included.
    """
    findings = Findings()
    with _no_collection():
        model = _load(folder, known, zone_bytes, findings)
    if findings.failed or model is None:
        raise ConfigError(findings.sorted())
    return model


@contextmanager
def _no_collection() -> Iterator[None]:
    """The trees that are built here hold no cycles, and looking for some takes longer than all else."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _load(folder: Path, known: Known | None, zone_bytes: int, findings: Findings) -> Model | None:
    read = read_folder(folder, findings, zone_bytes)
    if not read.complete:
        return None  # references into a file that could not be read would all be reported as dangling
    tables = Tables(read.sheets, findings)
    lines = build_lines(tables)
    checks = Checks(tables.checks, known.powers if known else None, findings)
    policies = Policies(tables, known, findings)
    pools = Pools(tables, policies, checks, findings)
    zones = _read_zones(read.sheets, pools, policies, findings)
    if findings.failed:
        return None
    regions = {
        entry.id: Region(entry.id, entry.form.title or entry.id, entry.form.at, entry.position)
        for entry in tables.regions.entries.values()
    }
    made = tuple(assemble(sheet, records, soa, pools.built, policies.built) for sheet, records, soa in zones)
    return Model(regions, lines, pools.built, policies.built, made, findings.sorted())


def _read_zones(
    sheets: list[Sheet], pools: Pools, policies: Policies, findings: Findings
) -> list[tuple[Sheet, Records, Soa]]:
    zones: dict[bytes, tuple[Sheet, Records, Soa]] = {}
    for sheet in sheets:
        if sheet.apex is None:
            continue
        records = Reader(sheet, pools, policies, findings).read()
        add_nameservers(sheet, records, findings)
        soa = derive_soa(sheet, records, findings)
        first = zones.setdefault(sheet.apex, (sheet, records, soa))[0]
        if first is not sheet:
            at = sheet.document.position(("zone",))
            where = first.document.position(("zone",))
            findings.error(
                "two-files", f"the zone {sheet.zone} is already written at {where}", at, "merge the files"
            )
            continue
    hosts = Hosts({apex: records for apex, (_, records, _) in zones.items()})
    for apex, (sheet, records, soa) in zones.items():
        consistency.judge(apex, records, pools.built, zones, findings)
        times.judge(sheet, records, soa, pools.built, findings)
        if sheet.head is not None and sheet.head.soa.mname is not None:
            hosts.judge_mname(soa.mname, sheet.document.position(("soa", "mname")), findings)
    hosts.judge(findings)
    return list(zones.values())
