"""What the demo says when a region falls or returns: one line, from who moved where."""

from __future__ import annotations

from collections.abc import Sequence

_NAMED = 3  # clients named for each region; more are counted


def narrate(
    region: str, verdict: str, streak: str, seconds: float, shifts: Sequence[tuple[str, str, str]] = ()
) -> str:
    """`cn-south down (3 of 3, 9.1 s): Telecom Guangdong is now answered from cn-north`.

    `streak` is the count that made the verdict (`3 of 3`), `seconds` the time since the first such result;
    `shifts` are (client, from region, to region), an empty region where there is no answer.
    """
    moved: dict[str, list[str]] = {}
    for client, before, after in shifts:
        if before != after:
            moved.setdefault(after, []).append(client)
    said = "; ".join(_shift(clients, to) for to, clients in moved.items())
    return f"{region} {verdict} ({streak}, {seconds:.1f} s): {said or 'nobody is answered differently'}"


def _shift(clients: list[str], to: str) -> str:
    verb = "is" if len(clients) == 1 else "are"
    return f"{_and(clients)} {verb} now answered from {to}" if to else f"{_and(clients)} {verb} not answered"


def _and(clients: list[str]) -> str:
    if len(clients) > _NAMED:
        return f"{', '.join(clients[:_NAMED])} and {len(clients) - _NAMED} more"
    return " and ".join([", ".join(clients[:-1]), clients[-1]] if len(clients) > 1 else clients)
