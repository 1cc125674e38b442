"""`geodns simulate [PATH]`: what clients would see of a failure, on a virtual clock."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from geodns.cli.common import ConfigOption, say, settings_from
from geodns.core import duration
from geodns.errors import GeodnsError


def simulate(
    path: Annotated[Path | None, typer.Argument(metavar="PATH", help="A zones folder.")] = None,
    config: ConfigOption = None,
    script: Annotated[
        Path | None, typer.Option("--script", help="A file of clients, capacities and events.")
    ] = None,
    events: Annotated[
        list[str] | None,
        typer.Option("--event", "--fault", help="'region R down at 60s for 5m'; may be repeated."),
    ] = None,
    client: Annotated[
        list[str] | None, typer.Option("--client", help="A client's address; may be repeated.")
    ] = None,
    length: Annotated[str | None, typer.Option("--for", help="How long, in virtual time (10m).")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="All chance comes from it (0).")] = None,
    picture: Annotated[Path | None, typer.Option("-o", help="Write a picture there, as SVG.")] = None,
) -> None:
    """Simulate faults: the real answers and verdicts, in virtual time; without events, faults by chance."""
    from geodns.simulating import Wanted, simulate_files

    if path is not None and not path.is_dir():
        raise GeodnsError(f"there is no zones folder {path}")
    settings = settings_from(config, {"zones": str(path)} if path else {})
    wanted = Wanted(_seconds(length), seed, tuple(events or ()), tuple(client or ()), script)
    text, svg = simulate_files(settings, wanted)
    say(text)
    if picture is not None:
        try:
            picture.write_text(svg, encoding="utf-8")
        except OSError as error:
            raise GeodnsError(f"{picture} cannot be written: {error.strerror}") from error


def _seconds(length: str | None) -> float | None:
    if length is None:
        return None
    try:
        seconds = duration.parse(length)
    except duration.BadDurationError as error:
        raise GeodnsError(f"--for: {error}") from error
    if seconds < 1:
        raise GeodnsError("--for: less than a second is nothing to see")
    return seconds
