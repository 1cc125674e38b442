"""A simulation's script: who asks, what happens, what regions bear."""

# ruff: noqa: RUF012 - pydantic copies defaults

from __future__ import annotations

from typing import Annotated

from geodns.config.schema.types import (
    Asn,
    Country,
    Form,
    Given,
    Id,
    Many,
    Network,
    Reads,
    Span,
    Subdivision,
    Text,
    Unsigned32,
    whole,
    wrong,
)

MAX_CLIENTS = 1_000_000
MAX_RESOLVERS = 1000

_Count = Annotated[int, whole(1, MAX_CLIENTS)]


def _subject(value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value.split(":")) < 3 or "" in value.split(":"):
        wrong("bad-id", f"'{value}' is no region here", "write REGION, or REGION:POOL")
    return value


class ClientForm(Form):
    """Clients of one network. What is said of their place goes before what the databases know."""

    network: Network
    line: Given[Text] = None
    asn: Given[Asn] = None
    country: Given[Country] = None
    subdivision: Given[Subdivision] = None
    weight: _Count = 1
    resolvers: Annotated[int, whole(1, MAX_RESOLVERS)] = 1


class ScriptFile(Form):
    """What `geodns simulate --script` reads."""

    length: Given[Span] = None
    seed: Given[Unsigned32] = None
    clients: dict[Id, ClientForm] = {}
    capacity: dict[Annotated[str, Reads(_subject, {"type": "string"})], _Count] = {}
    events: Many[Text] = []
