"""Zone files: any text is a model, or problems that each say where and what; and a model can be served.

The text is a zone's own file beside a `_shared.yaml`; it is the latter if it begins with `#_`.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from geodns.config.findings import LIMIT
from geodns.config.load import Known, load
from geodns.core.fit import STREAM
from geodns.core.names import to_text
from geodns.errors import ConfigError, Problem, Severity
from geodns.model import Model
from tests.core_support import LINES, Lab, query
from tests.fuzz.judge import judge
from tests.fuzz.table import SHARED

KNOWN = Known(lines=frozenset(LINES), cities=frozenset({"CN-GD/Guangzhou", "1809858"}))
ZONE = "zone: z.test\nnameservers: {ns: 192.0.2.53}\n"
POOLS = (
    "pools: {web: {regions: {south: 192.0.2.1, north: 192.0.2.2}}, cdn: {regions: {west: a.example.net.}}}\n"
)
TYPES = (1, 28, 16, 6, 255)
NAMES = 20  # of a model that are asked
MAX_SECONDS = 1.0  # for a few kilobytes
TRIES = 3


def target() -> Callable[[bytes], None]:
    folder = tempfile.TemporaryDirectory(prefix="geodns-fuzz-")  # goes with the function that holds it
    return lambda data: one(Path(folder.name), data)


def one(folder: Path, data: bytes) -> None:
    shared = data.startswith(b"#_")
    (folder / "_shared.yaml").write_bytes(data if shared else (SHARED + POOLS).encode())
    (folder / "z.test.yaml").write_bytes(ZONE.encode() if shared else data)
    for tries in range(TRIES):  # noqa: B007
        start = time.perf_counter()
        model, problems = read(folder)
        if time.perf_counter() - start < MAX_SECONDS:
            break
    else:
        raise AssertionError(f"more than {MAX_SECONDS} s for {len(data)} octets")
    for problem in problems:
        well_told(problem, folder)
    assert len(problems) <= LIMIT + 1
    if model is not None:
        served(model)


def read(folder: Path) -> tuple[Model | None, tuple[Problem, ...]]:
    try:
        model = load(folder, known=KNOWN)
    except ConfigError as error:
        assert any(problem.severity is Severity.ERROR for problem in error.problems)
        return None, error.problems
    assert all(problem.severity is Severity.WARNING for problem in model.problems)
    return model, model.problems


def well_told(problem: Problem, folder: Path) -> None:
    """One printable line that says where."""
    at = problem.position
    assert at.file.startswith(str(folder)) or problem.code == "too-many", f"no place: {problem}"
    assert str(problem).isprintable()
    assert problem.message
    assert problem.code
    if at.line:
        lines = Path(at.file).read_bytes().decode("utf-8", "replace").splitlines() or [""]
        assert at.column >= 1
        assert at.line <= len(lines) + 1, f"behind the end: {problem}"


def served(model: Model) -> None:
    """Whatever is accepted compiles, and answers."""
    lab = Lab(model)
    for zone in model.zones:
        owners = {zone.apex, *(r.owner for r in zone.rrsets[:NAMES]), *(s.owner for s in zone.steers[:NAMES])}
        for owner in sorted(owners)[:NAMES]:
            for rtype in TYPES:
                packet = query(owner, rtype, edns=1232)
                for limit in (1232, STREAM):
                    reply = lab.reply(packet, limit=limit)
                    assert reply is not None, to_text(owner)
                    judge(packet, reply, limit)
