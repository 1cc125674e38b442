"""No input is an exception: every seed again, and each harness driven for a moment.

`make fuzz SECONDS=60` is the long run; see tests/fuzz/README.md.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from importlib import import_module
from importlib.util import find_spec

import pytest
import structlog

from tests.fuzz.__main__ import HARNESSES, LARGEST, SEEDS, Run, drive
from tests.fuzz.judge import judge

RUNS = 200  # beside the seeds


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """A harness may silence the log of the process that it is alone in otherwise."""
    yield
    structlog.reset_defaults()


@cache
def target(harness: str) -> Callable[[bytes], None]:
    found: Callable[[bytes], None] = import_module(f"tests.fuzz.{harness}").target()
    return found


@pytest.mark.parametrize("harness", HARNESSES)
def test_every_seed_passes(harness: str) -> None:
    seeds = sorted((SEEDS / harness).iterdir())
    assert len(seeds) > 5
    for seed in seeds:
        data = seed.read_bytes()
        assert len(data) <= LARGEST[harness], seed.name
        try:
            target(harness)(data)
        except Exception as error:
            pytest.fail(f"{seed.relative_to(SEEDS)}: {error!r}")


def test_every_seed_belongs_to_a_harness() -> None:
    assert {folder.name for folder in SEEDS.iterdir()} == set(HARNESSES)


@pytest.fixture(scope="module")
def drives(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Future[Run]]]:
    """All harnesses driven, two at a time: starting up is what takes most of it."""
    if find_spec("atheris") is None:
        assert os.environ.get("CI") != "true", "atheris must be here in CI"
        pytest.skip("atheris is not here")
    work = tmp_path_factory.mktemp("fuzz")
    with ThreadPoolExecutor(2) as pool:
        yield {name: pool.submit(drive, name, work, runs=RUNS, seed=1) for name in HARNESSES}


@pytest.mark.parametrize("harness", HARNESSES)
def test_a_short_drive_finds_nothing(harness: str, drives: Mapping[str, Future[Run]]) -> None:
    run = drives[harness].result()
    assert not run.finding, run.finding
    assert run.executions >= RUNS


QUERY = b"\x12\x34\x01\0\0\1\0\0\0\0\0\0\1a\0\0\1\0\1"


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (b"\x12\x35\x81\0\0\1\0\0\0\0\0\0\1a\0\0\1\0\1", "another id"),
        (b"\x12\x34\x01\0\0\1\0\0\0\0\0\0\1a\0\0\1\0\1", "a reply that is a query"),
        (b"\x12\x34\x89\0\0\1\0\0\0\0\0\0\1a\0\0\1\0\1", "another opcode"),
        (b"\x12\x34\x80\0\0\1\0\0\0\0\0\0\1a\0\0\1\0\1", "another opcode or RD"),
        (b"\x12\x34\x81\x80\0\1\0\0\0\0\0\0\1a\0\0\1\0\1", "RA, Z"),
        (b"\x12\x34\x81\0\0\1\0\0\0\0\0\0\1b\0\0\1\0\1", "another question"),
        (b"\x12\x34\x81\0\0\1\0\1\0\0\0\0\1a\0\0\1\0\1", "unreadable"),
        (b"\x12\x34\x81\0\0\1\0\0\0\0\0\0\1a\0\0\1\0\1" + bytes(500), "too long"),
    ],
)
def test_the_judge_of_the_harnesses_has_teeth(reply: bytes, why: str) -> None:
    with pytest.raises(AssertionError, match=why):
        judge(QUERY, reply, 1232)


def test_a_reply_to_a_reply_is_a_finding() -> None:
    with pytest.raises(AssertionError, match="what is no query"):
        judge(b"\x12\x34\x81" + QUERY[3:], b"\x12\x34\x81" + QUERY[3:], 1232)
