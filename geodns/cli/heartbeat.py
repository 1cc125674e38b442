"""`geodns heartbeat ENDPOINT`: say, signed, that an endpoint is there; once, or again and again."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from geodns.cli.common import Output, OutputOption, UrlOption, complain, connect, say
from geodns.core import duration
from geodns.errors import GeodnsError

if TYPE_CHECKING:
    from geodns.cli.client import Api

VARIABLE = "GEODNS_HEARTBEAT_SECRET"


def heartbeat(
    endpoint: Annotated[str, typer.Argument(metavar="ENDPOINT", help="REGION:POOL:ENDPOINT")],
    key: Annotated[str, typer.Option("--key", "-k", help="The name of the key, as the check has it.")],
    secret_file: Annotated[
        Path | None, typer.Option("--secret-file", help=f"The key's secret; else that of {VARIABLE}.")
    ] = None,
    load: Annotated[
        float | None, typer.Option("--load", min=0, help="The load now, in a unit of yours.")
    ] = None,
    capacity: Annotated[
        float | None, typer.Option("--capacity", min=0, help="The load that it can bear.")
    ] = None,
    draining: Annotated[bool, typer.Option("--draining", help="Ask for no more clients.")] = False,
    every: Annotated[
        str | None, typer.Option("--every", metavar="DURATION", help="Go on until ended, one every 5s.")
    ] = None,
    url: UrlOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Send a heartbeat for an endpoint. Exit 1 where it does not count."""
    pause = None if every is None else _seconds(every)
    secret, api = _secret(secret_file), connect(url, None, output)
    told = {"load": load, "capacity": capacity, "draining": draining or None}
    content = {"endpoint": endpoint, **{name: value for name, value in told.items() if value is not None}}
    if pause is None:
        _tell(_send(api, key, secret, content), output)
        return
    refused = ""
    while True:
        begun = time.monotonic()
        try:
            _send(api, key, secret, content)
            refused = ""
        except GeodnsError as error:
            if str(error) != refused:  # once, not every few seconds
                complain(str(error))
            refused = str(error)
        time.sleep(max(0.0, begun + pause - time.monotonic()))


def _send(api: Api, key: str, secret: bytes, content: Mapping[str, object]) -> str:
    from geodns.core.heartbeats import KEY_HEADER, PATH, SIGNATURE_HEADER, sign

    body = json.dumps({**content, "at": time.time()}).encode()
    return api.post_signed(PATH, body, {KEY_HEADER: key, SIGNATURE_HEADER: sign(secret, body)})


def _tell(reply: str, output: Output) -> None:
    if output is Output.JSON:
        say(reply.rstrip("\n"))
        return
    found = json.loads(reply)
    say(f"{found['endpoint']} is {found['verdict']}: {found['reason']}")


def _secret(path: Path | None) -> bytes:
    from geodns.config.schema.settings import SecretForm
    from geodns.config.secrets import heartbeat_secret

    form = SecretForm(file=path) if path is not None else SecretForm(env=VARIABLE)
    return heartbeat_secret(form, os.environ)


def _seconds(text: str) -> float:
    try:
        seconds = duration.parse(text)
    except duration.BadDurationError:
        seconds = 0.0
    if seconds < 0.1:
        raise typer.BadParameter(f"'{text}' is no duration such as 5s", param_hint="--every")
    return seconds
