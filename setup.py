"""What pyproject.toml cannot say: the wheel's tag, and that no library of an earlier build is packed."""

from pathlib import Path

from setuptools import setup

for old in Path("build").glob("lib*/geodns/_native.*.so"):
    old.unlink()
setup(options={"bdist_wheel": {"py_limited_api": "cp311"}})
