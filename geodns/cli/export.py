"""`geodns export ZONE`: the static part of a zone as a master file."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from geodns.cli.common import ConfigOption, say, settings_from
from geodns.errors import GeodnsError


def export(
    zone: Annotated[str, typer.Argument(metavar="ZONE", help="The apex of a zone in the zones folder.")],
    config: ConfigOption = None,
) -> None:
    """Print a zone's static part as a master file; steered names stand there as comments."""
    from geodns.core import names
    from geodns.formats import master
    from geodns.geo.mmdb import Kind
    from geodns.loading import Request, read_model

    settings = settings_from(config, {})
    request = Request(settings.zones, settings.lines, frozenset(Kind), settings.limits.zone_bytes)
    model, _ = read_model(request)
    try:
        apex = names.fold(names.from_text(zone))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="ZONE") from error
    found = next((one for one in model.zones if one.apex == apex), None)
    if found is None:
        known = ", ".join(names.to_text(one.apex) for one in model.zones[:12])
        raise GeodnsError(f"there is no zone {zone} in {settings.zones}; there are: {known}")
    if found.soa.serial is None:
        say("; the file gives no serial: this is the time, as a server that starts now would begin with")
    for line in master.write(found, int(time.time())):
        say(line)
