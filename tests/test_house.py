"""The house lints itself: who may import whom (DESIGN §6), what core may not touch, how long a file may be.

    errors <- model <- core <- {the rooms beside core} <- app <- cli

Imports are read from the source, those under TYPE_CHECKING and inside functions included.
"""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = (
    "config",
    "geo",
    "monitor",
    "serve",
    "store",
    "admin",
    "observe",
    "formats",
    "transfer",
    "sim",
    "demo",
)
# app's wiring, and what it is made of
APP = (
    "agreement",
    "alarms",
    "app",
    "doors",
    "heartbeats",
    "journal",
    "lanes",
    "loading",
    "native",
    "offline",
    "operations",
    "predicting",
    "preparing",
    "returning",
    "samples",
    "sampling",
    "secondaries",
    "showing",
    "simulating",
    "threads",
    "verdicts",
)
FLOORS = {
    "": 0,
    "errors": 0,
    "programs": 0,
    "_native": 1,
    "model": 1,
    "core": 2,
    **dict.fromkeys(ROOMS, 3),
    **dict.fromkeys(APP, 4),
    "cli": 5,
}
IMPURE = """
    asyncio concurrent http io logging multiprocessing os pathlib queue random secrets select selectors shutil
    signal socket ssl subprocess tempfile threading time urllib aiohttp maxminddb geoip2 sqlite3 watchfiles
"""
ARITHMETIC = "geodns.core.steer.picks"  # published integers that compile and every replay share
LONGEST = 449  # lines that one sitting can read


class Import(NamedTuple):
    line: int
    name: str


def imports(source: str) -> Iterator[Import]:
    """Every module that the source imports, as `a.b.c`; `from a import b` gives both `a` and `a.b`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (Import(node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield Import(node.lineno, module)
            yield from (Import(node.lineno, f"{module}.{alias.name}") for alias in node.names)


def room(module: str) -> str:
    """`geodns.core.steer.odds` lives in `core`; the package itself and `geodns.__version__` in no room."""
    _, _, inside = module.partition(".")
    name = inside.split(".")[0]
    return "" if name.startswith("__") else name


def within(module: str, *places: str) -> bool:
    return any(module == place or module.startswith(place + ".") for place in places)


def floors(module: str, used: str) -> str:
    """Why `module` may not import `used` by its floor, or nothing."""
    if not used.startswith("geodns."):
        return "relative imports hide the room: write the whole name" if used.startswith(".") else ""
    here, there = room(module), room(used)
    if here == there:
        return ""
    for name in (here, there):
        if name not in FLOORS:
            return f"{name} is no room of the house: give it a place in DESIGN §6 and here"
    if FLOORS[here] == FLOORS[there] == FLOORS["config"]:
        return f"{here} and {there} are rooms beside core: app introduces them"
    return f"{here} lies below {there}" if FLOORS[here] < FLOORS[there] else ""


def within_core(module: str, used: str) -> str:
    """steer <- compile -> table <- replay."""
    if module == ARITHMETIC or within(used, ARITHMETIC):
        return ""
    core = "geodns.core."
    forbidden = {
        core + "steer": (core + "compile", core + "replay", core + "table"),
        core + "table": (core + "compile", core + "replay", core + "steer"),
        core + "compile": (core + "replay",),
        core + "replay": (core + "compile", core + "steer"),
    }
    for place, others in forbidden.items():
        for other in others:
            if within(module, place) and within(used, other):
                return f"{place} may not see {other}"
    return ""


def libraries(module: str, used: str) -> str:
    """Each of these libraries has one home."""
    if within(used, "dnslib") and not within(module, "geodns.core.compile"):
        return "dnslib packs in core/compile and nowhere else: it may never parse what came from the network"
    if within(used, "pydantic", "pydantic_core") and not within(module, "geodns.config.schema"):
        return "pydantic is the schema's alone"
    if within(module, "geodns.core") and within(used, *IMPURE.split()):
        return f"core is pure: {used} belongs to the rooms beside it"
    return ""


LAWS = (floors, within_core, libraries)


def broken(module: str, source: str) -> list[str]:
    """Every law that the module's imports break, once a line, as `module:line: why`."""
    found = {
        f"{module}:{line}: {why}": None
        for line, used in imports(source)
        for law in LAWS
        if (why := law(module, used))
    }
    return list(found)


def impure_calls(module: str, source: str) -> list[str]:
    """Calls in core that reach outside without an import."""
    return [
        f"{module}:{node.lineno}: calls {node.func.id}(): core is pure"
        for node in ast.walk(ast.parse(source))
        if within(module, "geodns.core")
        and isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ("open", "input", "print", "exec", "eval", "__import__")
    ]


@cache
def sources() -> Mapping[str, str]:
    """Every module of the package by its whole name."""
    found = {}
    for path in sorted((ROOT / "geodns").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path.read_text(encoding="utf-8")
    return found


def reached(module: str, house: Mapping[str, str]) -> dict[str, str]:
    """All that `module` sees, directly or through others: name -> who imports it."""
    seen: dict[str, str] = {}
    waiting = [module]
    while waiting:
        current = waiting.pop()
        for _, used in imports(house[current]):
            if used in house and used not in seen and used != "geodns":
                seen[used] = current
                waiting.append(used)
    return seen


def test_every_import_obeys_the_law() -> None:
    lines = [line for name, text in sources().items() for line in broken(name, text)]
    assert not lines, "\n".join(lines)


def test_core_reaches_nothing_outside() -> None:
    lines = [line for name, text in sources().items() for line in impure_calls(name, text)]
    assert not lines, "\n".join(lines)


@pytest.mark.parametrize("place", ["geodns.serve", "geodns.core.replay", "geodns.core.table"])
def test_who_answers_packets_never_sees_the_model_not_even_through_others(place: str) -> None:
    house = sources()
    for module in [name for name in house if within(name, place)]:
        seen = reached(module, house)
        assert "geodns.model" not in seen, f"{module} sees the model through {seen['geodns.model']}"


def test_a_file_is_read_in_one_sitting() -> None:
    lengths = {
        str(path.relative_to(ROOT)): path.read_text(encoding="utf-8").count("\n")
        for folder in ("geodns", "tests", "bench")
        for path in (ROOT / folder).rglob("*.py")
    }
    assert {path: lines for path, lines in lengths.items() if lines > LONGEST} == {}


@pytest.mark.parametrize(
    ("module", "source", "why"),
    [
        ("geodns.core.steer.odds", "import time", "core is pure"),
        ("geodns.core.wire", "from os import path", "core is pure"),
        ("geodns.core.wire", "def f():\n    import socket", "core is pure"),
        ("geodns.core.health", "from geodns.monitor import probes", "core lies below monitor"),
        ("geodns.model", "from geodns.core.names import fold", "model lies below core"),
        ("geodns.errors", "from geodns.model import Zone", "errors lies below model"),
        ("geodns.geo.mmdb", "from geodns.config.load import load", "rooms beside core"),
        ("geodns.serve.udp", "import geodns.app", "serve lies below app"),
        ("geodns.app", "from geodns import cli", "app lies below cli"),
        ("geodns.core.replay", "from geodns.core.compile import build", "may not see"),
        ("geodns.core.steer.odds", "from geodns.core.table import Table", "may not see"),
        ("geodns.core.wire", "import dnslib.dns", "dnslib packs in core/compile"),
        ("geodns.config.load", "from pydantic import BaseModel", "pydantic is the schema's"),
        ("geodns.core.wire", "from . import names", "write the whole name"),
        ("geodns.serve.udp", "from geodns.attic import chest", "no room of the house"),
        ("geodns.geo.mmdb", "if TYPE_CHECKING:\n    from geodns.store.db import Store", "rooms beside core"),
    ],
)
def test_the_law_has_teeth(module: str, source: str, why: str) -> None:
    assert any(why in line for line in broken(module, source)), broken(module, source)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("geodns.core.compile.bodies", "import dnslib\nfrom geodns.core.table import Table"),
        ("geodns.config.schema.zones", "from pydantic import BaseModel"),
        ("geodns.app", "from geodns.geo import mmdb\nimport asyncio"),
        ("geodns.cli.serve", "from geodns.app import App\nfrom geodns.demo import narrate"),
        ("geodns.serve.udp", "from geodns.serve.door import Door\nimport socket"),
    ],
)
def test_the_law_lets_the_lawful_pass(module: str, source: str) -> None:
    assert broken(module, source) == []


def test_open_in_core_is_found() -> None:
    assert impure_calls("geodns.core.wire", "x = open('f')")
    assert not impure_calls("geodns.geo.mmdb", "x = open('f')")


def test_the_model_is_found_behind_others() -> None:
    house = {
        "geodns.serve.udp": "from geodns.core import place",
        "geodns.core": "",
        "geodns.core.place": textwrap.dedent("""
            def f():
                from geodns.model import When
        """),
        "geodns.model": "",
    }
    assert reached("geodns.serve.udp", house)["geodns.model"] == "geodns.core.place"
