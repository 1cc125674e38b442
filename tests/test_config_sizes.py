"""What no DNS message can hold is told by check, not found out by a server that starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from geodns.config.load import load
from geodns.errors import ConfigError


def zone(folder: Path, values: int) -> Path:
    addresses = ", ".join(f"10.0.{i >> 8}.{i & 255}" for i in range(values))
    text = f"zone: z.example\nnameservers: {{ns: 192.0.2.53}}\nrecords:\n  many: {{A: [{addresses}]}}\n"
    (folder / "z.example.yaml").write_text(text)
    return folder


def test_an_rrset_that_fits_is_taken(tmp_path: Path) -> None:
    assert not load(zone(tmp_path, 4000)).problems


def test_one_that_does_not_is_told_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"z.example.yaml:4:10: 4100 values of A do not fit a DNS message"):
        load(zone(tmp_path, 4100))
