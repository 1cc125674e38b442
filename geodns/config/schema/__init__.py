"""One schema for all files people write: the only room that knows pydantic."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import models_json_schema

from geodns.config.schema.script import ScriptFile
from geodns.config.schema.settings import Settings
from geodns.config.schema.zones import SharedFile, ZoneFile


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) for editors: a zone file, a shared file (`_*.yaml`), geodns.yaml, or a script."""
    forms = (ZoneFile, SharedFile, Settings, ScriptFile)
    refs, schema = models_json_schema([(form, "validation") for form in forms], by_alias=False)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "geodns",
        "anyOf": [refs[form, "validation"] for form in forms],
        **schema,
    }
