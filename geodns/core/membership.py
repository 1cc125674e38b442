"""Whether a source belongs to some networks: asked for many packets, of networks that settings name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address

Network = IPv4Network | IPv6Network

MAX_SOURCES = 1 << 14  # addresses of which it is remembered; any may be looked at anew


@lru_cache(maxsize=16)
def membership(networks: tuple[Network, ...]) -> Callable[[str], bool]:
    """Whether one of the networks holds an address, given as text; a link's scope id is not looked at."""
    held: defaultdict[tuple[int, int], set[int]] = defaultdict(set)
    for network in networks:
        shift = network.max_prefixlen - network.prefixlen
        held[network.version, shift].add(int(network.network_address) >> shift)

    @lru_cache(maxsize=MAX_SOURCES)
    def holds(client: str) -> bool:
        address = ip_address(client.partition("%")[0])
        value, here = int(address), address.version
        return any(value >> shift in found for (version, shift), found in held.items() if version == here)

    return holds
