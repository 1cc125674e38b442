"""`geodns import FILE`: a master file as a zone file."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from geodns.cli.common import complain, say
from geodns.errors import GeodnsError


def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A master file, as BIND, NSD and Knot read.")],
    origin: Annotated[
        str | None, typer.Option("--origin", help="The zone's name; default: what the file says.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", help="Where to write; default: standard output.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file named by --output.")] = False,
) -> None:
    """Turn a master file into a zone file, nothing static lost; then `geodns check` it."""
    from geodns.formats import master, sheet

    zone, warnings = master.read(_text(file), str(file), _apex(origin))
    text = sheet.write(zone)
    if output is None:
        say(text.rstrip("\n"))
    else:
        _write(output, text, force=force)
    for warning in warnings:
        complain(str(warning))


def _text(path: Path) -> str:
    """The file; octets that are no UTF-8 are told where they matter, not in a comment."""
    from geodns.config.yaml import MAX_BYTES

    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise GeodnsError(f"{path} cannot be read: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise GeodnsError(f"{path} is larger than {MAX_BYTES} bytes, more than a zone file may be")
    return data.decode("utf-8-sig", errors="surrogateescape")


def _apex(origin: str | None) -> bytes | None:
    from geodns.core import names

    if origin is None:
        return None
    try:
        return names.fold(names.from_text(origin))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--origin") from error


def _write(path: Path, text: str, *, force: bool) -> None:
    """All of it or nothing: a file that somebody watches never holds half a zone."""
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        aside = Path(name)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                os.fchmod(file.fileno(), 0o644)
                os.fsync(file.fileno())
            if force:
                aside.replace(path)
            else:
                path.hardlink_to(aside)  # unlike a rename it never overwrites
        finally:
            aside.unlink(missing_ok=True)
    except FileExistsError:
        raise GeodnsError(f"{path} is there already: --force overwrites it") from None
    except OSError as error:
        raise GeodnsError(f"{path} cannot be written: {error.strerror}") from error
