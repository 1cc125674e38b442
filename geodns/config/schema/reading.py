"""From a plain value to a form: every problem told with its position, and as much as possible kept.

What does not fit is told, taken out, and the rest is read again, so that one run finds a wrong type and a
dangling reference in the same mapping. `whole` is False then: conclusions from what is missing are not drawn.
"""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

from pydantic import BaseModel, TypeAdapter, ValidationError

from geodns.config.findings import Findings, did_you_mean
from geodns.config.schema import script, settings, zones
from geodns.config.schema.types import Form
from geodns.config.yaml import Document, Loc

Adapter = TypeAdapter  # so that pydantic stays in this folder


class Read(NamedTuple):
    """`value` is None when nothing of it could be used."""

    value: Any
    whole: bool


BROKEN = Read(None, False)


def read(
    adapter: TypeAdapter[Any],
    value: Any,
    document: Document,
    loc: Loc,
    findings: Findings,
    context: dict[str, Any] | None = None,
) -> Read:
    """The form of `value`, which stands at `loc` of the document; `context` is for readers that need one."""
    try:
        return Read(adapter.validate_python(value, context=context), True)
    except ValidationError as error:
        errors = error.errors(include_url=False)
    paths = [_path(one["loc"]) for one in errors]
    for one, path in zip(errors, paths, strict=True):
        report(one, (*loc, *path), document, findings)
    try:
        return Read(adapter.validate_python(_without(value, paths), context=context), False)
    except ValidationError:
        return BROKEN


def report(error: Any, loc: Loc, document: Document, findings: Findings) -> None:
    code, message, hint = explain(error)
    at_key = code == "unknown-key" or "[key]" in error["loc"]
    findings.error(code, message, document.key_position(loc) if at_key else document.position(loc), hint)


def explain(error: Any) -> tuple[str, str, str]:
    """Code, message and hint for one error of pydantic's."""
    kind, loc, value = error["type"], error["loc"], error["input"]
    context = error.get("ctx", {})
    if kind == "extra_forbidden":
        key = str(loc[-1])
        hint = "it belongs elsewhere" if key in _KEYS else did_you_mean(key, _KEYS)
        return "unknown-key", f"unknown key '{key}'", hint
    if kind == "missing":
        return "missing-key", f"the key '{loc[-1]}' is missing", ""
    if value is None and kind.endswith("_type"):
        return "empty", "has no value", "remove the key, or write its value"
    if kind in ("model_type", "dict_type", "model_attributes_type"):
        return "wrong-type", f"a mapping is expected here, not {_kind(value)}", ""
    if kind == "list_type":
        return "wrong-type", f"a list is expected here, not {_kind(value)}", ""
    if kind == "too_short":
        return "empty", "at least one is needed here", ""
    return kind.replace("_", "-"), context.get("message", error["msg"]), context.get("hint", "")


def _kind(value: Any) -> str:
    if isinstance(value, str):
        return f"the text '{value if len(value) <= 40 else value[:40] + '…'}'"
    return "a mapping" if isinstance(value, dict) else "a list"


def _path(loc: tuple[str | int, ...]) -> Loc:
    """The way through the file: without pydantic's marks for alternatives and keys."""
    return tuple(step for step in loc if step not in ("<mapping>", "<name>", "[key]"))


def _without(value: Any, paths: list[Loc]) -> Any:
    """A copy of `value` without what stands at the paths."""
    value = copy.deepcopy(value)
    gone: list[tuple[Any, str | int]] = []
    for path in paths:
        at, last = value, None
        for step in path:
            inside = (isinstance(at, dict) and step in at) or (
                isinstance(at, list) and isinstance(step, int) and step < len(at)
            )
            if inside:
                last, at = (at, step), at[step]
        if last is not None:
            gone.append(last)
    for container, step in gone:
        if isinstance(container, dict):
            container.pop(step, None)
        else:
            container[step] = _GONE
    return _swept(value)


_GONE = object()


def _swept(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _swept(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_swept(item) for item in value if item is not _GONE]
    return value


def _keys_of(*modules: Any) -> frozenset[str]:
    forms = (item for module in modules for item in vars(module).values())
    return frozenset(
        key
        for form in forms
        if isinstance(form, type) and issubclass(form, BaseModel) and form is not Form
        for key in form.model_fields
    )


_KEYS = _keys_of(zones, settings, script)
