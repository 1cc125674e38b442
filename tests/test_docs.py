"""The reference cannot go stale: its tables are held against the schema, its examples are checked."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from readme_support import ROOT, Block, blocks, links

from geodns.admin import problems
from geodns.cli import run
from geodns.config.schema import settings as settings_schema
from geodns.config.schema import zones as zone_schema
from geodns.config.schema.script import ClientForm, ScriptFile
from geodns.config.schema.types import Form
from geodns.config.settings import load_settings
from geodns.core.alarms import Kind
from geodns.core.duration import parse

DOCS = ROOT / "docs"
ZONES, SETTINGS, TRANSFERS = DOCS / "zones.md", DOCS / "settings.md", DOCS / "transfers.md"
ALARMS = DOCS / "alarms.md"
PAPERS = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md")), ROOT / "data" / "GeoLite2-README.md"]

BASE = {
    "zone": "zone: gslb.example.com\n",
    "nameservers": "nameservers: {ns1: 192.0.2.53}\n",
    "regions": "regions: {cn-south: {}, cn-north: {}, eu-west: {}, us-west: {}}\n",
    "pools": "pools: {web: {regions: {cn-south: 192.0.2.10, cn-north: 192.0.2.11, "
    "eu-west: 192.0.2.12, us-west: 192.0.2.13}}}\n",
    "policies": "policies: {by-carrier: [{to: nearest}]}\n",
}


def rows(text: str) -> list[list[str]]:
    """A table's rows, each as its cells."""
    found = []
    for line in text.splitlines():
        if not line.startswith("|"):
            break
        found.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return found[2:]


def tables(path: Path) -> dict[str, list[list[str]]]:
    """The tables that a comment says a form's name of."""
    parts = re.split(r"<!-- keys of (\w+) -->\n", path.read_text())[1:]
    return {form: rows(text) for form, text in zip(parts[::2], parts[1::2], strict=True)}


def code(cell: str) -> str:
    return cell.strip("`") if re.fullmatch(r"`[^`]*`", cell) else ""


FORMS = [
    name
    for name, form in vars(zone_schema).items()
    if isinstance(form, type)
    and issubclass(form, zone_schema.Form)
    and name not in ("Form", "SharedFile", "ZoneFile", "BackupForm")
]


@pytest.mark.parametrize("name", FORMS)
def test_every_key_of_the_zone_files_is_in_the_reference_with_its_default(name: str) -> None:
    table = tables(ZONES)[name]
    fields = getattr(zone_schema, name).model_fields
    told = {code(cells[0]): cells[1] for cells in table if code(cells[0])}
    assert list(told) and set(told) == set(fields), f"docs/zones.md, the table of {name}"
    for key, field in fields.items():
        default = None if field.is_required() else field.default
        assert _says(told[key], default), f"{name}.{key}: the default is {default!r}, not {told[key]}"


def _says(cell: str, default: object) -> bool:
    """Whether a cell tells a default; one that others lend is told in words, none by an empty cell."""
    written = code(cell)
    match default:
        case None | "" | [] | () | {} | zone_schema.Form():
            return not written
        case bool():
            return written == str(default).lower()
        case 0:
            return cell in ("the pool's", "`all`")
        case int() if written.endswith("%"):
            return written == f"{default}%"
        case int() | float():
            return parse(written) == default
        case zone_schema.Minimum(count=count):
            return written == str(count)
        case (int(need), 0):
            return written == str(need)
        case [(low, high)]:
            return written == f"{low}-{high}"
        case _:
            return written == default


@pytest.mark.parametrize("form", [ScriptFile, ClientForm])
def test_every_key_of_a_script_is_in_the_reference_with_its_default(form: type[Form]) -> None:
    table = tables(DOCS / "simulate.md")[form.__name__]
    told = {key: code(cells[1]) for cells in table for key in re.findall("`([^`]+)`", cells[0])}
    assert list(told) == list(form.model_fields)
    for key, field in form.model_fields.items():
        assert told[key] == (str(field.default) if isinstance(field.default, int) else "")


def _leaves(form: type, above: str = "") -> list[str]:
    found = []
    for name, field in form.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, settings_schema.Form):
            found += _leaves(inner, f"{above}{name}.")
        else:
            found.append(above + name)
    return found


def test_every_setting_is_in_the_reference_with_its_default() -> None:
    table = rows(SETTINGS.read_text().partition("\n\n| key ")[2].partition("\n")[2].join(("|\n", "")))
    told = {code(cells[0]): code(cells[1]) for cells in table}
    assert list(told) == _leaves(settings_schema.Settings)
    given = {key: default for key, default in told.items() if default}
    assert load_settings(None, given, {}) == load_settings(None, {}, {}), "a default is told wrongly"
    for key in told.keys() - given.keys():
        value = load_settings(None, {}, {})
        for part in key.split("."):
            value = getattr(value, part)
        assert value in (None, [], {}), f"{key} has a default that the reference does not tell"


def test_every_kind_of_alarm_is_in_its_reference() -> None:
    table = rows((DOCS / "alarms.md").read_text().partition("<!-- kinds of alarms -->\n")[2])
    assert [code(cells[0]) for cells in table] == [kind.value for kind in Kind]


def test_every_problem_of_the_api_is_in_its_reference() -> None:
    table = rows((DOCS / "api.md").read_text().partition("<!-- problem codes -->\n")[2])
    assert {code(cells[0]) for cells in table} == set(problems._TITLES)


@pytest.mark.parametrize("block", [b for b in blocks(ZONES) if b.kind == "yaml"], ids=str)
def test_the_examples_are_what_check_accepts(
    block: Block, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = block.text
    if not block.file_name:
        keys = re.findall(r"^(\w+):", text, re.MULTILINE)
        text = "".join(part for key, part in BASE.items() if key not in keys) + text
    (tmp_path / "example.yaml").write_text(text)
    code_ = run(["check", str(tmp_path)])
    said = capsys.readouterr()
    assert (code_, said.out.splitlines()[-1:]) == (0, ["0 errors, 0 warnings"]), said.out + said.err


@pytest.mark.parametrize(
    "block", [b for path in (SETTINGS, TRANSFERS, ALARMS) for b in blocks(path) if b.kind == "yaml"], ids=str
)
def test_the_settings_shown_are_settings(block: Block, tmp_path: Path) -> None:
    path = tmp_path / "geodns.yaml"
    path.write_text(block.text)
    load_settings(path, {}, {})


@pytest.mark.parametrize("path", PAPERS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    for link in links(path):
        assert (path.parent / link).exists(), f"{path.name} links to {link}, which is not there"


def test_the_map_has_every_room() -> None:
    table = rows((ROOT / "ARCHITECTURE.md").read_text().partition("<!-- rooms -->\n")[2])
    told = {code(cells[1]).rstrip("/") for cells in table}
    house = ROOT / "geodns"
    there = {path.name for path in house.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert told == there - {"__init__.py"} | {"data", "native"}


@pytest.mark.parametrize(
    "paper", [ROOT / "ARCHITECTURE.md", DOCS / "protocol.md"], ids=lambda path: path.name
)
def test_what_is_promised_is_held_by_a_test_that_exists(paper: Path) -> None:
    named = re.findall(r"`(tests/[\w/]+\.\w+)(?:::(\w+))?`", paper.read_text())
    assert len(named) > 10
    for file, test in named:
        assert (f"def {test}(" if test else "") in (ROOT / file).read_text(), f"{file} has no {test}"
