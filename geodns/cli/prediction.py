"""What a dry run predicts, as tables: who moves from where to where, and what regions bear then."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from geodns.cli.common import columns, moment, say

MAX_ROWS = 30
NOBODY = "(nobody)"


def tell_prediction(found: Mapping[str, Any]) -> None:
    """Say what a reply predicts, where it does."""
    prediction = found.get("prediction")
    if not prediction:
        return
    addresses, queries = prediction["by_addresses"], prediction["by_queries"]
    since = moment(queries["since"])
    _tell(addresses, "by the IPv4 addresses that the databases know", "the databases know no addresses")
    _tell(queries, f"by {queries['weighed']} queries since {since}", f"nobody has asked since {since}")


def _tell(basis: Mapping[str, Any], title: str, nothing: str) -> None:
    moved = [pool for pool in basis["pools"] if pool["moved"]]
    if not basis["weighed"]:
        say(nothing)
    elif not moved:
        say(f"{title}: nobody moves")
    else:
        say(f"{title}:")
        say(_table(("POOL", "POLICY", "FROM", "TO", "SHARE"), _moves(moved)))
        say(_table(("POOL", "REGION", "CLIENTS", "THEN", "LOAD", "THEN", "CAPACITY"), _regions(moved)))
    if basis["left_off"]:
        say(f"{basis['left_off']} pools were left off")


def _table(head: Sequence[str], rows: Iterator[Sequence[object]]) -> str:
    listed = list(rows)
    more = [(f"… and {len(listed) - MAX_ROWS} more (-o json)",)] if len(listed) > MAX_ROWS else []
    return columns([head, *listed[:MAX_ROWS], *more], "  ")


def _moves(pools: list[dict[str, Any]]) -> Iterator[Sequence[object]]:
    for pool in pools:
        for move in pool["moves"]:
            whence, to = move["from"] or NOBODY, move["to"] or NOBODY
            yield pool["pool"], pool["policy"], whence, to, f"{move['share']:.1%}"


def _regions(pools: list[dict[str, Any]]) -> Iterator[Sequence[object]]:
    for pool in pools:
        for region in pool["regions"]:
            clients = (f"{region[when]:.1%}" for when in ("before", "after"))
            loads = (_number(region[key]) for key in ("load_before", "load_after", "capacity"))
            yield pool["pool"], region["region"] or NOBODY, *clients, *loads


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:g}"
