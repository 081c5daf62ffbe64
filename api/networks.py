"""Networks of addresses as settings name them."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network
_OF_ONE_SITE = 64
"""Bits of an IPv6 address that all machines of one site have in common: one machine may have any number of them."""


def networks_of(text: str) -> tuple[Network, ...]:
    """The networks in a text, separated by commas; an address is a network of one.

    Raises:
        ValueError: one of them is neither an address nor a network.
    """
    return tuple(ip_network(part.strip(), strict=False) for part in text.split(",") if part.strip())


def site_of(address: str) -> str:
    """Who is behind an address: itself, or of IPv6 the network of its site. What is no address stays as it is."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    return address if found.version == 4 else str(ip_network((found, _OF_ONE_SITE), strict=False))
