"""How the native lane comes into being: by make, visibly, and in a wheel; and that none of them needs it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from test_house import ROOT

FAKE_CARGO = """#!/bin/sh
echo "$@" >>calls
echo "   Compiling geodns-native"
test ! -e broken || exit 101
mkdir -p native/target/release
date +%N >native/target/release/libgeodns_native.so
"""
SOURCES = ("native/Cargo.toml", "native/Cargo.lock", "native/build.rs", "native/src/lib.rs")
LAYOUT = ("geodns/core/table.py", "geodns/_native.pyi")
WHEEL = "geodns-0.1.0-cp311-abi3-"
LIBRARY = "geodns/_native.abi3.so"


def toml(path: str) -> Any:
    return tomllib.loads((ROOT / path).read_text(encoding="utf-8"))


class TestMake:
    @pytest.fixture
    def folder(self, tmp_path: Path, required: Callable[[str], str]) -> Path:
        """The Makefile over empty files and a cargo that notes its calls; all of long ago."""
        for name in (*SOURCES, *LAYOUT):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
        shutil.copy(ROOT / "Makefile", tmp_path)
        (tmp_path / "bin").mkdir()
        for tool in ("sh", "make", "uname", "find", "cp", "mv", "mkdir", "date"):
            (tmp_path / "bin" / tool).symlink_to(required(tool))
        (tmp_path / "bin" / "cargo").write_text(FAKE_CARGO)
        (tmp_path / "bin" / "cargo").chmod(0o755)
        for path in tmp_path.rglob("*"):
            os.utime(path, (1e9, 1e9), follow_symlinks=False)
        return tmp_path

    def make(self, folder: Path, *goals: str) -> tuple[int, str]:
        """The exit code and what was said."""
        done = subprocess.run(
            ["make", *(goals or ["native"])],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            cwd=folder,
            env={"PATH": str(folder / "bin")},
        )
        return done.returncode, done.stdout

    def calls(self, folder: Path) -> list[str]:
        return (folder / "calls").read_text().splitlines() if (folder / "calls").exists() else []

    def test_it_is_built_once_released_locked_and_seen(self, folder: Path) -> None:
        code, said = self.make(folder)
        assert (code, "Compiling geodns-native" in said) == (0, True)
        [call] = self.calls(folder)
        assert call.startswith("build --release --features extension-module --locked ")
        built = folder / "native" / "target" / "release" / "libgeodns_native.so"
        assert (folder / LIBRARY).read_bytes() == built.read_bytes()
        assert self.make(folder)[0] == 0
        assert len(self.calls(folder)) == 1

    @pytest.mark.parametrize("name", [*SOURCES, *LAYOUT, "native/src/new.rs"])
    def test_it_is_built_anew_when_what_it_is_made_of_changed(self, folder: Path, name: str) -> None:
        self.make(folder)
        later = (folder / LIBRARY).stat().st_mtime + 1
        (folder / name).touch()
        os.utime(folder / name, (later, later))
        old = (folder / LIBRARY).read_bytes()
        self.make(folder)
        assert len(self.calls(folder)) == 2
        assert (folder / LIBRARY).read_bytes() != old

    def test_who_runs_keeps_the_old_one(self, folder: Path) -> None:
        """A library that is mapped must not be written to."""
        self.make(folder)
        before = (folder / LIBRARY).read_bytes()
        os.utime(folder / LIBRARY, (1e8, 1e8))
        with (folder / LIBRARY).open("rb") as mapped:
            self.make(folder)
            assert mapped.read() == before != (folder / LIBRARY).read_bytes()

    @pytest.mark.parametrize("goal", ["native", "install", "demo", "test", "bench"])
    def test_a_failed_build_ends_it(self, folder: Path, goal: str) -> None:
        (folder / "broken").touch()
        code, said = self.make(folder, "-o", "databases", "-o", ".venv/.installed", goal)
        assert code == 2
        assert "the native lane was not built: `make CARGO= …` does without it" in said
        assert not (folder / LIBRARY).exists()

    def test_without_cargo_it_says_so(self, folder: Path) -> None:
        told = "there is no cargo, or this is not Linux: no native lane, the Python lane answers\n"
        assert self.make(folder, "CARGO=", "native") == (0, told)
        (folder / "bin" / "cargo").unlink()
        assert self.make(folder) == (0, told)
        assert self.calls(folder) == []


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution, unpacked always at the same place, so that cargo keeps one build of it."""
    copy = tmp_path_factory.mktemp("copy")
    kept = shutil.ignore_patterns("target", "__pycache__", "*.so")
    for name in ("geodns", "native"):
        shutil.copytree(ROOT / name, copy / name, ignore=kept)
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy2(ROOT / name, copy)
    command = "from setuptools import build_meta; print(build_meta.build_sdist('.'))"
    done = subprocess.run(
        [sys.executable, "-c", command], capture_output=True, text=True, check=True, cwd=copy
    )
    place = ROOT / "build" / "sdist"
    shutil.rmtree(place, ignore_errors=True)
    with tarfile.open(copy / done.stdout.splitlines()[-1]) as packed:
        packed.extractall(place, filter="data")
    [folder] = place.iterdir()
    return folder


class TestWheel:
    """Made from the source distribution, as whoever gets that does it, but without a network."""

    def wheel(self, source: Path, into: Path, **environ: str) -> zipfile.ZipFile:
        environ = {**os.environ, "PYO3_NO_PYTHON": "1", "PYO3_BUILD_EXTENSION_MODULE": "1", **environ}
        command = [*(sys.executable, "-m", "pip"), "wheel", "-q", "--no-build-isolation", "--no-deps", "-w"]
        subprocess.run([*command, into, source], check=True, env=environ)
        [made] = into.iterdir()
        assert made.name.startswith(WHEEL)
        return zipfile.ZipFile(made)

    def told(self, wheel: zipfile.ZipFile, into: Path) -> str:
        """What the package says that the wheel installs."""
        wheel.extractall(into)
        code = "import geodns; from geodns.native import available; print(geodns.__path__[0], available())"
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=into)
        where, _, said = done.stdout.strip().partition(" ")
        assert Path(where) == into / "geodns"
        return said

    def test_the_source_distribution_has_all_that_is_compiled(self, source: Path) -> None:
        crate = (ROOT / "native").glob("src/**/*.rs")
        for path in (*crate, *(ROOT / name for name in (*SOURCES, *LAYOUT))):
            assert (source / path.relative_to(ROOT)).read_bytes() == path.read_bytes()

    def test_one_wheel_for_every_python(
        self, source: Path, tmp_path: Path, required: Callable[[str], str]
    ) -> None:
        target = str(ROOT / "native" / "target")
        wheel = self.wheel(source, tmp_path / "wheels", CARGO=required("cargo"), CARGO_TARGET_DIR=target)
        assert LIBRARY in wheel.namelist()
        assert self.told(wheel, tmp_path / "installed") == "Availability(usable=True, why='')"

    def test_without_cargo_there_is_a_wheel_without_the_library(self, source: Path, tmp_path: Path) -> None:
        """Nor with one that an earlier build has left behind."""
        old = source / "build" / "lib.any" / LIBRARY
        old.parent.mkdir(parents=True, exist_ok=True)
        old.touch()
        wheel = self.wheel(source, tmp_path / "wheels", PATH="/nowhere")
        assert [name for name in wheel.namelist() if "_native" in name] == ["geodns/_native.pyi"]
        assert not old.exists()

    def test_everybody_says_the_same_of_the_oldest_python(self) -> None:
        oldest = toml("pyproject.toml")["project"]["requires-python"].removeprefix(">=3.")
        assert f"abi3-py3{oldest}" in toml("native/Cargo.toml")["dependencies"]["pyo3"]["features"]
        assert WHEEL.split("-")[2] == f"cp3{oldest}"
