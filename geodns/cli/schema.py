"""`geodns schema`: the JSON Schema of the files, for editors."""

from __future__ import annotations

import json

from geodns.cli.common import Output, OutputOption, say


def schema(output: OutputOption = Output.TABLE) -> None:
    """Print the JSON Schema of zone files, shared files, geodns.yaml and scripts; it is JSON either way."""
    from geodns.config.schema import json_schema

    say(json.dumps(json_schema(), indent=None if output is Output.JSON else 2, ensure_ascii=False))
