"""Who is meant by a name: a zone's own first, then the shared one; shadowing is an error."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from geodns.config.findings import Findings, did_you_mean
from geodns.config.schema.reading import Read
from geodns.config.sheets import Sheet
from geodns.config.yaml import Document, Loc
from geodns.errors import Position

RESERVED = {
    "regions": ("nearest", "any"),
    "policies": ("nearest",),
    "checks": ("none",),
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One definition: `form` is None where nothing of it was usable."""

    id: str
    zone: str
    form: Any
    whole: bool
    document: Document
    loc: Loc

    @property
    def position(self) -> Position:
        return self.document.key_position(self.loc)


class Table:
    """All definitions of one section, by qualified id. Regions belong to all zones wherever they stand."""

    def __init__(self, section: str, singular: str) -> None:
        self.section = section
        self.singular = singular
        self.entries: dict[str, Entry] = {}

    def define(self, sheet: Sheet, name: str, read: Read, findings: Findings) -> None:
        document, loc = sheet.document, (self.section, name)
        at = document.key_position(loc)
        if name in RESERVED.get(self.section, ()):
            findings.error("reserved", f"'{name}' is a word of its own here", at, "choose another name")
            return
        own = self.section != "regions"
        id_ = sheet.qualified(name) if own else name
        known = self.entries.get(name) or self.entries.get(id_)
        if known is not None:
            message = f"the {self.singular} '{name}' is already defined at {known.position}"
            findings.error("shadowed", message, at, "rename one of them")
            return
        self.entries[id_] = Entry(id_, sheet.zone if own else "", read.value, read.whole, document, loc)

    def find(self, name: str, zone: str) -> Entry | None:
        """The entry that `name` means in a file of `zone` (empty for a shared file)."""
        return self.entries.get(f"{zone}/{name}" if zone else name) or self.entries.get(name)

    def names(self, zone: str) -> Iterable[str]:
        return (
            e.loc[-1] for e in self.entries.values() if e.zone in ("", zone) and isinstance(e.loc[-1], str)
        )

    def look_up(self, name: str, zone: str, at: Position, findings: Findings) -> Entry | None:
        """Like `find`, but what is not there is told."""
        entry = self.find(name, zone)
        if entry is None:
            findings.error(
                f"unknown-{self.singular}",
                f"there is no {self.singular} '{name}'",
                at,
                did_you_mean(name, self.names(zone)),
            )
        return entry


class Tables:
    """Everything that is defined in a folder."""

    def __init__(self, sheets: list[Sheet], findings: Findings) -> None:
        self.regions = Table("regions", "region")
        self.checks = Table("checks", "check")
        self.lines = Table("lines", "line")
        self.pools = Table("pools", "pool")
        self.policies = Table("policies", "policy")
        self.guards = Table("guards", "guard")
        for sheet in sheets:
            for table in (self.regions, self.checks, self.lines, self.pools, self.policies, self.guards):
                for name, read in sheet.items.get(table.section, {}).items():
                    table.define(sheet, name, read, findings)
