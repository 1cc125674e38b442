"""One zones folder, read: every file's sections as forms, nothing resolved yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from geodns.config import yaml
from geodns.config.findings import Findings
from geodns.config.schema import zones
from geodns.config.schema.guards import GuardForm
from geodns.config.schema.reading import BROKEN, Adapter, Read, read
from geodns.config.schema.types import Form, Id
from geodns.core import names
from geodns.errors import Position

ITEMS: Mapping[str, Adapter[Any]] = {
    "regions": Adapter(zones.RegionForm),
    "checks": Adapter(zones.CheckForm),
    "lines": Adapter(zones.LineForm),
    "pools": Adapter(zones.PoolForm),
    "policies": Adapter(zones.PolicyForm),
    "guards": Adapter(GuardForm),
}
RECORDS = "records"
_ID: Adapter[str] = Adapter(Id)
_HEAD: Adapter[zones.ZoneHead] = Adapter(zones.ZoneHead)
_NOTHING: Adapter[Form] = Adapter(Form)


@dataclass(slots=True)
class Sheet:
    """One file. `head` and `apex` are None for a shared file; `items` is section -> name -> form."""

    document: yaml.Document
    head: zones.ZoneHead | None = None
    apex: bytes | None = None
    items: dict[str, dict[str, Read]] = field(default_factory=dict)

    @property
    def zone(self) -> str:
        """The apex as text without the final dot, or an empty string for a shared file."""
        if self.apex is None:
            return ""
        return names.to_text(self.apex).removesuffix(".") or "."

    def qualified(self, name: str) -> str:
        return f"{self.zone}/{name}" if self.zone else name


@dataclass(slots=True)
class Folder:
    """Shared files first. `complete` is False when a file could not be read at all."""

    sheets: list[Sheet]
    complete: bool


def read_folder(folder: Path, findings: Findings, max_bytes: int) -> Folder:
    """Every `*.yaml` of the folder; a hidden file is not ours, a `.yml` is an error."""
    try:
        paths = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        findings.error(
            "unreadable", f"the zones folder cannot be read: {error.strerror}", Position(str(folder))
        )
        return Folder([], False)
    for path in paths:
        if path.suffix == ".yml":
            findings.error(
                "yml", "ends in .yml and would be ignored", Position(str(path)), "rename it to .yaml"
            )
    paths = [path for path in paths if path.suffix == ".yaml"]
    if not any(not path.name.startswith("_") for path in paths):
        hint = "a zone is a file such as gslb.example.com.yaml"
        findings.error("no-zone", "the folder holds no zone file", Position(str(folder)), hint)
    shared = [path for path in paths if path.name.startswith("_")]
    own = [path for path in paths if not path.name.startswith("_")]
    sheets, complete = [], True
    for path in shared + own:
        document = yaml.read(path, findings, max_bytes)
        sheet = document and read_sheet(document, path.name.startswith("_"), findings)
        complete = complete and sheet is not None
        if sheet:
            sheets.append(sheet)
    return Folder(sheets, complete)


def read_sheet(document: yaml.Document, shared: bool, findings: Findings) -> Sheet | None:
    """The forms in a document, or None where it says nothing usable."""
    value = {} if document.value is None and shared else document.value
    if not isinstance(value, dict):
        what = "is empty" if value is None else "does not begin with keys"
        findings.error("not-a-mapping", f"the file {what}", document.position(), "it begins with `zone: …`")
        return None
    sheet = Sheet(document)
    if not _read_head(sheet, value, shared, findings):
        return None
    for section, adapter in ITEMS.items():
        if section in value:
            sheet.items[section] = _read_items(sheet, section, adapter, value[section], findings)
    return sheet


def _read_head(sheet: Sheet, value: dict[str, Any], shared: bool, findings: Findings) -> bool:
    document = sheet.document
    head = {key: item for key, item in value.items() if key not in ITEMS}
    if shared:
        for key in ("zone", RECORDS):
            if key in head:
                hint = "rename the file without the leading _"
                findings.error(
                    "zone-in-shared", f"a shared file has no '{key}'", document.key_position((key,)), hint
                )
                del head[key]
        read(_NOTHING, head, document, (), findings)
        return True
    head.pop(RECORDS, None)
    found = read(_HEAD, head, document, (), findings)
    sheet.head = found.value
    if sheet.head is None:
        return False
    try:
        sheet.apex = names.fold(names.from_text(sheet.head.zone))
    except ValueError as error:
        findings.error("bad-name", str(error), document.position(("zone",)))
        return False
    return True


def _read_items(
    sheet: Sheet, section: str, adapter: Adapter[Any], value: Any, findings: Findings
) -> dict[str, Read]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        at = sheet.document.position((section,))
        findings.error("wrong-type", f"'{section}' is a mapping of names to what they are", at)
        return {}
    found = {}
    for name, item in value.items():
        named = read(_ID, name, sheet.document, (section, name), findings)
        form = read(adapter, item, sheet.document, (section, name), findings)
        found[name] = form if named.whole else BROKEN
    return found
