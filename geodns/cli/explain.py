"""`geodns explain NAME [TYPE] --from ADDR`: the whole decision, in the order it is made."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from geodns.cli.common import (
    ConfigOption,
    Output,
    OutputOption,
    TokenOption,
    UrlOption,
    connect,
    say,
    settings_from,
)
from geodns.errors import GeodnsError


def explain(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The name; a missing final dot is meant.")],
    client: Annotated[
        str, typer.Option("--from", help="An address (a packet's source) or a network (a Client Subnet).")
    ],
    rtype: Annotated[str, typer.Argument(metavar="TYPE", help="The type asked for.")] = "A",
    config: ConfigOption = None,
    url: UrlOption = None,
    token_file: TokenOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Explain how a client's answer comes about; with --config from the files, without a server."""
    if config is not None:
        from geodns.offline import explain_offline

        found = explain_offline(settings_from(config, {}), name, rtype, client)
        body = json.dumps(found, indent=2, ensure_ascii=False, default=str)
    else:
        content = {"name": name, "type": rtype, "from": client}
        from geodns.cli.client import NoServerError

        try:
            body = connect(url, token_file, output).call("POST", "/api/v1/explain", content)
        except NoServerError as error:
            raise GeodnsError(f"{error}; --config geodns.yaml explains from the files alone") from error
    if output is Output.JSON:
        say(body.rstrip("\n"))
        return
    from geodns.cli.decision import told

    say(told(json.loads(body)))
