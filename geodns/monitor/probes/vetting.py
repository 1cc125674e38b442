"""Which addresses probes may reach: whoever writes zone files must not reach this machine's own services.

Loopback, link-local and the addresses at which clouds tell their machines' secrets are closed, unless the
operator opens their network in the settings. Judged is the address that is connected to, after its name
was resolved.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network

_CLOSED: tuple[tuple[str, Network], ...] = tuple(
    (what, ip_network(network))
    for what, networks in {
        "this machine": ("127.0.0.0/8", "0.0.0.0/8", "::1/128", "::/128"),
        "cloud metadata": (
            "169.254.169.254/32",
            "fd00:ec2::254/128",  # AWS
            "fd20:ce::254/128",  # Google
            "100.100.100.200/32",  # Alibaba
            "192.0.0.192/32",  # Oracle
            "168.63.129.16/32",  # Azure
        ),
        "link-local": ("169.254.0.0/16", "fe80::/10"),
        "no single host": ("224.0.0.0/4", "255.255.255.255/32", "ff00::/8"),
    }.items()
    for network in networks
)
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052


class Vetting:
    """`allowed` are networks (CIDR text) that are open although they are closed by default."""

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        self._allowed: tuple[Network, ...] = tuple(ip_network(network) for network in allowed)

    def refusal(self, address: str) -> str | None:
        """Why a numeric address may not be probed, for people; None where it may."""
        told = ip_address(address.partition("%")[0])
        real = _embedded(told) or told
        if any(one in network for network in self._allowed for one in (told, real)):
            return None
        what = next((what for what, network in _CLOSED if real in network), None)
        return what and f"not allowed: {address} is {what} (probes.allow)"


def _embedded(address: IPv4Address | IPv6Address) -> IPv4Address | None:
    """The IPv4 address that packets to an IPv6 address end up at."""
    if isinstance(address, IPv4Address):
        return None
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour
