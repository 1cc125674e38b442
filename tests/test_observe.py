"""Metrics have one name each and parse; logs are one line an event, tracebacks are fields."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from dataclasses import fields

import pytest
import structlog
from prometheus_client.parser import text_string_to_metric_families

from geodns.observe import log
from geodns.observe.metrics import Samples, exposition


def full() -> Samples:
    """Every metric with one value, its labels named after themselves."""
    return Samples(**{f.name: {tuple(f.metadata["labels"]): 7.0} for f in fields(Samples)})


def test_every_metric_is_named_once() -> None:
    names = [f.metadata["name"] for f in fields(Samples)]
    assert len(set(names)) == len(names)
    assert all(name.startswith("geodns_") and not name.endswith("_total") for name in names)
    assert all(f.metadata["says"].endswith(".") for f in fields(Samples))


def test_everything_counted_is_in_the_text() -> None:
    found = {m.name: m for m in text_string_to_metric_families(exposition(full()).decode())}
    for about in fields(Samples):
        (sample,) = found[about.metadata["name"]].samples
        assert sample.value == 7.0
        assert sample.labels == {label: label for label in about.metadata["labels"]}


def test_the_process_is_told_of_too_and_what_is_empty_is_not() -> None:
    text = exposition(Samples()).decode()
    assert "geodns_" not in text
    assert "process_cpu_seconds_total" in text


def test_hostile_label_values_cannot_break_the_text() -> None:
    text = exposition(Samples(paused={('a"\\\n# HELP x',): 1.0})).decode()
    (family,) = [m for m in text_string_to_metric_families(text) if m.name == "geodns_region_paused"]
    assert family.samples[0].labels == {"region": 'a"\\\n# HELP x'}


def test_a_wrong_number_of_labels_is_a_bug_that_shows() -> None:
    with pytest.raises(ValueError, match="queries has the labels"):
        exposition(Samples(queries={("only one",): 1.0}))


@pytest.fixture
def _as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def logged(level: str, form: str) -> str:
    out = io.StringIO()
    log.setup(level, form, out)
    structlog.get_logger("geodns.test").info("zones loaded", zones=2)
    structlog.get_logger("geodns.test").debug("whispered")
    logging.getLogger("asyncio").warning("from %s", "afar")
    try:
        raise ValueError("odd")
    except ValueError as error:
        structlog.get_logger("geodns.test").error("a bug", exc_info=error)
    return out.getvalue()


@pytest.mark.usefixtures("_as_it_was")
def test_json_lines_carry_the_traceback_as_a_field() -> None:
    told, afar, bug = [json.loads(line) for line in logged("info", "json").splitlines()]
    assert (told["event"], told["zones"], told["level"]) == ("zones loaded", 2, "info")
    assert afar["event"] == "from afar"
    assert bug["error"] == "ValueError: odd" and bug["traceback"].startswith("Traceback")


@pytest.mark.usefixtures("_as_it_was")
def test_where_there_is_no_terminal_lines_are_logfmt() -> None:
    lines = logged("info", "auto").splitlines()
    assert len(lines) == 3 and all(line.startswith("timestamp=") for line in lines)


@pytest.mark.usefixtures("_as_it_was")
def test_people_see_no_traceback_unless_they_debug() -> None:
    assert "Traceback" not in logged("info", "console")
    assert "Traceback" in logged("debug", "console")


@pytest.mark.usefixtures("_as_it_was")
def test_the_level_holds() -> None:
    assert "zones loaded" not in logged("warning", "json")
    assert "whispered" in logged("debug", "json")
