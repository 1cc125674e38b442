"""`geodns serve`: answer, in the foreground."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from geodns.cli.common import ConfigOption, LaneOption, settings_from

if TYPE_CHECKING:
    from geodns.config.schema.settings import Settings


def serve(
    config: ConfigOption = None,
    zones: Annotated[Path | None, typer.Option("--zones", help="The zones folder.")] = None,
    dns_port: Annotated[
        int | None,
        typer.Option(envvar="DNS_PORT", min=0, max=65535, help="Listen on this port, whatever is set."),
    ] = None,
    admin_port: Annotated[
        int | None,
        typer.Option(envvar="ADMIN_PORT", min=0, max=65535, help="The admin API's port, whatever is set."),
    ] = None,
    lane: LaneOption = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Any setting: log.level=debug.")
    ] = None,
) -> None:
    """Answer DNS queries until SIGINT or SIGTERM. SIGHUP, and a change of the files, reloads them."""
    from geodns.app import serve as run

    overrides = _overrides(settings or [])
    if zones is not None:
        overrides["zones"] = str(zones)
    if lane is not None:
        overrides["lane"] = lane
    overrides |= _ports(settings_from(config, overrides), dns_port, admin_port)
    run(settings_from(config, overrides))


def _ports(settings: Settings, dns_port: int | None, admin_port: int | None) -> dict[str, str]:
    """The addresses that are set, with other ports."""
    found = {}
    if dns_port is not None:
        found["listen.dns"] = ",".join(str(replace(at, port=dns_port)) for at in settings.listen.dns)
    if admin_port is not None:
        found["admin.listen"] = str(replace(settings.admin.listen, port=admin_port))
    return found


def _overrides(given: list[str]) -> dict[str, str]:
    found = {}
    for item in given:
        key, equals, value = item.partition("=")
        if not equals or not key:
            raise typer.BadParameter(
                f"'{item}' is not KEY=VALUE, such as log.level=debug", param_hint="--set"
            )
        found[key] = value
    return found
