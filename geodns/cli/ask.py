"""`geodns ask NAME [TYPE]`: a real packet with Client Subnet, and what came back."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from geodns.cli.common import Output, OutputOption, columns, port_from, say


def ask(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The name; a missing final dot is meant.")],
    rtype: Annotated[str, typer.Argument(metavar="TYPE", help="The type asked for.")] = "A",
    client: Annotated[
        str | None, typer.Option("--from", help="For a client in this network: 10.1.0.0/16, or an address.")
    ] = None,
    server: Annotated[
        str | None, typer.Option("--server", help="ADDRESS[:PORT]; default 127.0.0.1:$DNS_PORT (5300).")
    ] = None,
    tcp: Annotated[
        bool, typer.Option("--tcp", help="Over TCP; UDP goes to TCP by itself if cut short.")
    ] = False,
    timeout: Annotated[float, typer.Option(min=0.05, max=60, help="Seconds to wait for an answer.")] = 3.0,
    output: OutputOption = Output.TABLE,
) -> None:
    """Send a DNS query as a resolver would and print the answer. Exit 0 for NOERROR and NXDOMAIN."""
    from geodns.cli.asking import BadQuestionError, exchange, query

    host, port = _address(server)
    try:
        question = query(name, rtype, client)
    except BadQuestionError as error:
        raise typer.BadParameter(str(error)) from error
    found = exchange(question, host, port, tcp=tcp, timeout=timeout)
    say(json.dumps(found, indent=2) if output is Output.JSON else _text(found))
    if found["rcode"] not in ("NOERROR", "NXDOMAIN"):
        raise typer.Exit(1)


def _address(server: str | None) -> tuple[str, int]:
    if server is None:
        return "127.0.0.1", port_from("DNS_PORT", 5300)
    host, port = server, "53"
    if server.startswith("["):
        host, _, rest = server[1:].partition("]")
        port = rest.removeprefix(":") or port
    elif server.count(":") == 1:
        host, _, port = server.partition(":")
    if not (host and port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise typer.BadParameter(f"'{server}' is no address such as 127.0.0.1:5300", param_hint="--server")
    try:
        return str(socket.getaddrinfo(host, int(port), type=socket.SOCK_DGRAM)[0][4][0]), int(port)
    except (OSError, UnicodeError) as error:
        raise typer.BadParameter(f"'{host}' has no address here", param_hint="--server") from error


def _text(found: Mapping[str, Any]) -> str:
    flags = f"  {found['flags']}" if found["flags"] else ""
    lines = [f"{found['rcode']}{flags}  {found['milliseconds']} ms  {found['server']}"]
    if found["client"]:
        scope = found["client"]["scope"]
        told = "no scope in the answer" if scope is None else f"scope /{scope}"
        lines.append(f"client {found['client']['network']}  {told}")
    if found["answer"]:
        lines.append(_records(found["answer"]))
    elif found["authority"]:
        lines += ["no answer; authority:", _records(found["authority"])]
    return "\n".join(lines)


def _records(records: Sequence[Mapping[str, Any]]) -> str:
    return columns([(r["name"], r["ttl"], r["type"], r["data"]) for r in records])
