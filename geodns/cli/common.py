"""What the verbs share: options, tables, and one way to say no."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

import typer

from geodns.errors import GeodnsError

if TYPE_CHECKING:
    from geodns.cli.client import Api
    from geodns.config.schema.settings import Settings

SYSTEM_CONFIG = Path("/etc/geodns/geodns.yaml")


class Output(StrEnum):
    TABLE = "table"
    JSON = "json"


OutputOption = Annotated[Output, typer.Option("--output", "-o", help="How to print: for people, or as JSON.")]
ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="Settings; without it ./geodns.yaml, then /etc/geodns/geodns.yaml."),
]
LaneOption = Annotated[
    str | None, typer.Option("--lane", metavar="LANE", help="Who answers UDP: auto, python or native.")
]

UrlOption = Annotated[
    str | None, typer.Option("--url", help="The admin API; default: where the settings say, or ADMIN_PORT.")
]
TokenOption = Annotated[
    Path | None, typer.Option("--token-file", help="The server's token file; also GEODNS_TOKEN_FILE.")
]


def connect(url: str | None, token_file: Path | None, output: Output) -> Api:
    """The admin API that the options mean."""
    from geodns.cli.client import Api

    return Api(url, token_file, output)


def settings_from(config: Path | None, overrides: Mapping[str, str]) -> Settings:
    """The settings of a file (the usual one where none is named), flags and environment on top."""
    from geodns.config.settings import load_settings

    return load_settings(config or usual_config(), overrides, os.environ)


def usual_config() -> Path | None:
    """The settings file that is used when none is named: here, else the system's, else none."""
    return next((path for path in (Path("geodns.yaml"), SYSTEM_CONFIG) if path.exists()), None)


def say(text: str = "") -> None:
    """A line on standard output."""
    typer.echo(text)


def complain(text: str) -> None:
    """A line on standard error."""
    typer.echo(f"geodns: {text}", err=True)


def refuse(error: GeodnsError) -> int:
    """Tell an error; the exit code."""
    complain(str(error))
    return 1


def columns(rows: Iterable[Sequence[object]], indent: str = "") -> str:
    """Rows as aligned columns, two spaces apart."""
    texts = [[str(cell) for cell in row] for row in rows]
    count = max((len(row) for row in texts), default=0)
    widths = [max((len(row[i]) for row in texts if i < len(row)), default=0) for i in range(count)]
    return "\n".join(
        (indent + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False))).rstrip()
        for row in texts
    )


def moment(value: object) -> str:
    """A time for people: local, to the second; of a Unix time or an RFC 3339 text; empty for none."""
    if isinstance(value, bool) or value in (None, "", 0):
        return ""
    try:
        if isinstance(value, int | float):
            found = datetime.fromtimestamp(value).astimezone()
        else:
            found = datetime.fromisoformat(str(value)).astimezone()
    except (ValueError, OverflowError, OSError):
        return str(value)
    return found.strftime("%Y-%m-%d %H:%M:%S")


def port_from(variable: str, default: int) -> int:
    """A port from the environment. Raises GeodnsError where it holds something else."""
    text = os.environ.get(variable, "")
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise GeodnsError(f"{variable}={text[:40]} is no port: it must be a number up to 65535")
    return int(text)


def unexpected(error: Exception) -> int:
    """One line for what should not happen; the exit code. The traceback is for who asks for it."""
    if os.environ.get("GEODNS_DEBUG") == "1":
        import traceback

        traceback.print_exception(error, file=sys.stderr)
    else:
        complain(f"unexpected {type(error).__name__}: {error} (GEODNS_DEBUG=1 shows where)")
    return 1


def segment(text: str) -> str:
    """A text as one segment of a path."""
    return quote(text, safe="")
