"""`python -m tests.fuzz.drive HARNESS [libFuzzer's options, files, folders]`: one harness under atheris."""

from __future__ import annotations

import sys
from importlib import import_module

import atheris


def main() -> None:
    name = sys.argv.pop(1)
    with atheris.instrument_imports(include=["geodns"], enable_loader_override=False):
        target = import_module(f"tests.fuzz.{name}").target
    atheris.Setup(sys.argv, target())
    atheris.Fuzz()


if __name__ == "__main__":
    main()
