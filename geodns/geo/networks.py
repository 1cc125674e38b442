"""The operator's own networks: which of them hold an address, which lines that gives, and how far it is true.

The networks cut each family's addresses into runs over which the answer is the same. A lookup is a binary
search for the address's run; the two neighbouring addresses just outside the run bound the largest block.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

from geodns.model import Line, Policy

Answer = tuple[frozenset[str], frozenset[str]]

_Network = IPv4Network | IPv6Network
_NOTHING: Answer = (frozenset(), frozenset())


@dataclass(frozen=True, slots=True)
class _Runs:
    """One family: where each run starts (ascending, the first at 0), and what holds in it.

    The last run may start, and so be empty, just past the family's last address.
    """

    starts: list[int]
    answers: list[Answer]


class Networks:
    """Networks by canonical CIDR text, and the lines that name them: CIDR -> ids of lines (or none)."""

    def __init__(self, networks: Mapping[str, Iterable[str]]) -> None:
        parsed = {ip_network(text): frozenset(lines) for text, lines in networks.items()}
        self._runs4 = _runs({n: lines for n, lines in parsed.items() if n.version == 4}, 32)
        self._runs6 = _runs({n: lines for n, lines in parsed.items() if n.version == 6}, 128)

    def lookup(self, address: IPv4Address | IPv6Address) -> tuple[frozenset[str], frozenset[str], int]:
        """(own, lines, block): every own network that holds the address; the lines that its longest network
        with a line names; the prefix length of the largest block around it over which `own` is the same.
        """
        if address.version == 4:
            runs, bits = self._runs4, 32
        else:
            runs, bits = self._runs6, 128
        value = int(address)
        at = bisect_right(runs.starts, value)
        block = 0
        if at > 1:
            block = bits - (value ^ (runs.starts[at - 1] - 1)).bit_length() + 1
        if at < len(runs.starts):
            block = max(block, bits - (value ^ runs.starts[at]).bit_length() + 1)
        own, lines = runs.answers[at - 1]
        return own, lines, block

    def runs(self, version: int) -> list[tuple[int, Answer]]:
        """Where each run of a family's addresses starts (ascending, the first at 0), and its (own, lines)."""
        runs, bits = (self._runs4, 32) if version == 4 else (self._runs6, 128)
        return [run for run in zip(runs.starts, runs.answers, strict=True) if not run[0] >> bits]


def configured(lines: Iterable[Line], policies: Iterable[Policy]) -> Networks:
    """The networks that lines and the rules' `when` name."""
    found: dict[str, set[str]] = {}
    for line in lines:
        for network in line.networks:
            found.setdefault(network, set()).add(line.id)
    for policy in policies:
        for rule in policy.rules:
            for network in rule.when.networks:
                found.setdefault(network, set())
    return Networks(found)


def _runs(networks: Mapping[_Network, frozenset[str]], bits: int) -> _Runs:
    runs = _Runs([0], [_NOTHING])
    open_: list[tuple[int, Answer]] = []  # (first address after the network, what holds inside it)
    for network in sorted(networks, key=lambda n: (int(n.network_address), n.prefixlen)):
        start = int(network.network_address)
        _close(runs, open_, start)
        own, lines = open_[-1][1] if open_ else _NOTHING
        inside = (own | {str(network)}, networks[network] or lines)
        _begin(runs, start, inside)
        open_.append((start + (1 << (bits - network.prefixlen)), inside))
    _close(runs, open_, 1 << bits)
    return runs


def _close(runs: _Runs, open_: list[tuple[int, Answer]], until: int) -> None:
    """End the networks that lie before `until`; the one around them goes on."""
    while open_ and open_[-1][0] <= until:
        end, _ = open_.pop()
        _begin(runs, end, open_[-1][1] if open_ else _NOTHING)


def _begin(runs: _Runs, start: int, answer: Answer) -> None:
    if runs.starts[-1] == start:
        runs.answers[-1] = answer
    else:
        runs.starts.append(start)
        runs.answers.append(answer)
