"""Networks of addresses as settings name them."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network

Network = IPv4Network | IPv6Network


def networks_of(text: str) -> tuple[Network, ...]:
    """The networks in a text, separated by commas; an address is a network of one.

    Raises:
        ValueError: one of them is neither an address nor a network.
    """
    return tuple(ip_network(part.strip(), strict=False) for part in text.split(",") if part.strip())
