"""Domain names between text and wire form (RFC 1035 §3.1, §5.1)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geodns.core import names

WIRE_LABELS = st.lists(st.binary(min_size=1, max_size=20), max_size=10)


@given(WIRE_LABELS)
def test_text_and_back_is_the_same_name(parts: list[bytes]) -> None:
    wire = b"".join(bytes([len(p)]) + p for p in parts) + b"\0"
    assert names.from_text(names.to_text(wire)) == wire
    assert names.labels(wire) == parts
    assert len(names.ancestors(wire)) == len(parts) + 1


def test_relative_names_go_below_the_origin() -> None:
    origin = names.from_text("example.com.")
    assert names.from_text("www", origin) == b"\3www\7example\3com\0"
    assert names.from_text("www.", origin) == b"\3www\0"
    assert names.from_text("@", origin) == origin


@pytest.mark.parametrize(
    "text",
    ["", "a..b", ".a", "x" * 64, ".".join(["abcdefg"] * 33), "\\999", "a\\", "ü", "\\ü", "\\²²²", "\\٣٣٣"],
)
def test_what_is_no_name_says_why(text: str) -> None:
    with pytest.raises(names.BadNameError):
        names.from_text(text)


@given(WIRE_LABELS, WIRE_LABELS)
def test_below_means_label_by_label(left: list[bytes], right: list[bytes]) -> None:
    def wire(parts: list[bytes]) -> bytes:
        return b"".join(bytes([len(p)]) + p for p in parts) + b"\0"

    assert names.is_below(wire(left + right), wire(right))
    assert names.is_below(wire(left), wire(right)) == (
        left[len(left) - len(right) :] == right if len(left) >= len(right) else False
    )
