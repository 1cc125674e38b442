"""The native lane is never used unless it was built from what is here, and one is told why it is not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from test_house import ROOT, imports, sources, within

from geodns import native
from geodns.app import Server
from geodns.config.settings import load_settings
from geodns.errors import GeodnsError
from geodns.lanes import PythonLane, chosen
from geodns.native import Availability, available, choose, judged, threads

BORDER = "geodns._native"
BEHIND = ("geodns.core.native", "geodns.geo.compiled", "geodns.threads")  # import the border


def test_it_is_on_where_it_can_be_built() -> None:
    """In CI it always can. `make CARGO= test` is without it on purpose."""
    if shutil.which(os.environ.get("CARGO", "cargo")) is None and os.environ.get("CI") != "true":
        pytest.skip("cargo is not here")
    assert available() == Availability(True)


class TestWhatItWasBuiltFrom:
    @pytest.fixture
    def here(self, tmp_path: Path, native_lane: None) -> Path:
        """A copy of the checkout that the library was built from; the package in it."""
        kept = shutil.ignore_patterns("target", "__pycache__", "*.so")
        for name in ("geodns", "native"):
            shutil.copytree(ROOT / name, tmp_path / name, ignore=kept)
        return tmp_path / "geodns"

    def judged(self, package: Path) -> Availability:
        import geodns._native as library

        return judged(library.LAYOUT, library.SOURCES, package)

    def test_both_sides_reckon_the_same_hashes(self, here: Path) -> None:
        assert self.judged(here) == Availability(True)

    @pytest.mark.parametrize("name", ["core/table.py", "_native.pyi"])
    def test_another_layout(self, here: Path, name: str) -> None:
        (here / name).write_text((here / name).read_text() + "\n")
        assert self.judged(here) == Availability(
            False, "the native lane was built for another layout of the table: run make"
        )

    @pytest.mark.parametrize(
        "name", ["Cargo.toml", "Cargo.lock", "build.rs", "src/lib.rs", "src/new/deep.rs"]
    )
    def test_other_sources(self, here: Path, name: str) -> None:
        path = here.parent / "native" / name
        path.parent.mkdir(exist_ok=True)
        with path.open("a") as file:
            file.write("\n")
        assert self.judged(here) == Availability(
            False, "the native lane was built from other sources than these: run make"
        )

    def test_what_no_compiler_reads_does_not_matter(self, here: Path) -> None:
        (here.parent / "native" / "src" / "notes.md").write_text("x")
        (here / "core" / "wire.py").write_text("x")
        assert self.judged(here).usable

    def test_where_the_sources_are_not_the_layout_decides(self, here: Path) -> None:
        (here.parent / "native" / "src" / "lib.rs").write_text("x")
        (here.parent / "native" / "Cargo.toml").unlink()
        assert self.judged(here).usable


class TestWhatIsHere:
    """A package of its own, in an interpreter of its own."""

    @pytest.fixture
    def package(self, tmp_path: Path) -> Path:
        shutil.copytree(
            ROOT / "geodns", tmp_path / "geodns", ignore=shutil.ignore_patterns("__pycache__", "*.so")
        )
        return tmp_path / "geodns"

    def told(self, package: Path, code: str) -> str:
        """What the code prints. Finders of editable installations would find the library of the checkout."""
        alone = "import sys; sys.meta_path = [f for f in sys.meta_path if 'Editable' not in str(f)]"
        done = subprocess.run(
            [sys.executable, "-c", f"{alone}; import geodns; print(geodns.__path__[0])\n{code}"],
            capture_output=True,
            text=True,
            check=True,
            cwd=package.parent,
        )
        where, _, said = done.stdout.partition("\n")
        assert Path(where) == package
        return said.strip()

    def why(self, package: Path) -> str:
        return self.told(package, "from geodns.native import available; print(available().why)")

    def test_nothing_was_built(self, package: Path) -> None:
        assert (
            self.why(package) == "the native lane is not built (where there is cargo, make and pip build it)"
        )

    def test_it_cannot_be_loaded(self, package: Path) -> None:
        (package / "_native.abi3.so").write_bytes(b"no library")
        assert self.why(package).startswith("the native lane cannot be loaded: ")

    def test_all_else_works_without_it(self, package: Path) -> None:
        modules = sources().keys() - {*BEHIND}
        assert self.told(package, f"import {', '.join(modules)}") == ""


def test_who_uses_it_has_asked() -> None:
    """`lanes` imports what stands behind the border when `choose` has let it; all else only names types."""
    for module, source in sources().items():
        for _, used in imports(source):
            if within(used, *BEHIND) and module not in BEHIND:
                assert module == "geodns.lanes", f"{module} imports {used}"
    for module in sources().keys() - {*BEHIND, "geodns.lanes", "geodns.native"}:
        untyped = sources()[module].partition("if TYPE_CHECKING:")[0]
        assert not any(within(used, BORDER) for _, used in imports(untyped)), module


class TestTheChoice:
    @pytest.fixture(autouse=True)
    def machine(self, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
        """A machine where the native lane can be used; its cores are 0, 1 and 5."""
        machine = SimpleNamespace(available=Availability(True))
        monkeypatch.setattr(native, "available", lambda: machine.available)
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 5})
        return machine

    @pytest.mark.parametrize(
        ("lane", "there", "answers"),
        [
            ("auto", Availability(True), Availability(True)),
            ("native", Availability(True), Availability(True)),
            ("python", Availability(True), Availability(False, "the settings say so")),
            ("auto", Availability(False, "it rains"), Availability(False, "it rains")),
            ("python", Availability(False, "it rains"), Availability(False, "the settings say so")),
        ],
    )
    def test_which_lane(
        self, machine: SimpleNamespace, lane: str, there: Availability, answers: Availability
    ) -> None:
        machine.available = there
        assert choose(lane) == answers

    def test_to_ask_for_what_cannot_be_had_is_an_error_of_one_line(self, machine: SimpleNamespace) -> None:
        machine.available = Availability(False, "the native lane is not built (so build it)")
        with pytest.raises(GeodnsError) as raised:
            choose("native")
        assert str(raised.value) == (
            "lane: native cannot be had: the native lane is not built (so build it), or set lane: auto"
        )

    def test_and_then_nothing_starts(self, machine: SimpleNamespace, tmp_path: Path) -> None:
        machine.available = Availability(False, "it rains")
        settings = load_settings(None, {"lane": "native", "state": str(tmp_path / "state")}, {})
        with pytest.raises(GeodnsError, match="it rains"):
            Server(settings)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        ("given", "number"),
        [
            ({}, 3),
            ({"threads": "7"}, 7),
            ({"cores": "1,5"}, 2),
            ({"cores": "5", "threads": "4"}, 4),
        ],
    )
    def test_a_thread_for_each_core_unless_it_is_said(self, given: dict[str, str], number: int) -> None:
        assert threads(load_settings(None, given, {})) == number

    def test_a_core_that_is_not_there_is_told(self) -> None:
        with pytest.raises(GeodnsError) as raised:
            threads(load_settings(None, {"cores": "1,3"}, {}))
        assert str(raised.value) == "cores: 3 is none that this process may use; those are 0, 1, 5"

    def test_the_python_lane_says_why_it_answers(self) -> None:
        lane = chosen(load_settings(None, {"lane": "python"}, {}), print)
        assert type(lane) is PythonLane
        assert lane.told() == {"lane": "python", "lane_why": "the settings say so"}

    @pytest.mark.usefixtures("native_lane")
    def test_the_native_lane_says_with_how_many_threads(self) -> None:
        from geodns.threads import NativeLane

        lane = chosen(load_settings(None, {}, {}), print)
        assert isinstance(lane, NativeLane)
        assert lane.told() == {"lane": "native", "threads": 3}
