"""The command line. Every verb has a file; what is heavy is imported where it is used."""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from geodns.cli.alarms import alarms
from geodns.cli.ask import ask
from geodns.cli.batch import batch
from geodns.cli.check import check
from geodns.cli.common import refuse, unexpected
from geodns.cli.demo import app as demo
from geodns.cli.drain import drain
from geodns.cli.events import events
from geodns.cli.explain import explain
from geodns.cli.export import export
from geodns.cli.force import force_down, force_up
from geodns.cli.heartbeat import heartbeat
from geodns.cli.import_ import import_
from geodns.cli.lift import lift
from geodns.cli.loads import load, loads
from geodns.cli.log import log
from geodns.cli.overrides import overrides
from geodns.cli.pause import pause
from geodns.cli.ramp import ramp
from geodns.cli.regions import regions
from geodns.cli.resume import resume
from geodns.cli.schema import schema
from geodns.cli.serve import serve
from geodns.cli.simulate import simulate
from geodns.cli.status import status
from geodns.cli.weight import weight
from geodns.errors import GeodnsError

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="An authoritative DNS server that answers with the nearest healthy address.",
)
app.add_typer(demo, name="demo")
for verb in (
    serve, check, explain, ask, schema, status, regions, overrides, pause, resume, drain, ramp, weight,
    force_up, force_down, lift, batch, load, loads, log, events, alarms, heartbeat, import_, export, simulate,
):  # fmt: skip
    app.command(verb.__name__.rstrip("_").replace("_", "-"))(verb)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"geodns {version('geodns')}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def run(arguments: Sequence[str]) -> int:
    """Run one command line; the exit code: 0 done, 1 refused or failed, 2 wrongly called, 130 interrupted."""
    try:
        app(list(arguments), prog_name="geodns")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except GeodnsError as error:
        return refuse(error)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader has seen enough
        sys.stdout = None
        return 1
    except Exception as error:  # the last resort: a person gets a line, not a traceback
        return unexpected(error)
    return 0


def main() -> None:
    gc.disable()  # imports and files leave nothing to collect; `serve` turns it on when it answers
    sys.exit(run(sys.argv[1:]))
