"""Networks of addresses as settings name them."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network
_OF_ONE_SITE = 64
"""Bits of an IPv6 address that all machines of one site have in common: one machine may have any number of them."""

_EMBEDDING = tuple(map(ip_network, ("64:ff9b::/96", "64:ff9b:1::/48", "::/96")))
"""Networks of IPv6 behind which an address of IPv4 is reached, the last four bytes."""
_OF_CLOUDS = frozenset(map(ip_address, ("168.63.129.16", "100.100.100.200", "fd00:ec2::254")))
"""Where machines in clouds ask about themselves; the common one, 169.254.169.254, is link-local."""


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


def is_public(address: str) -> bool:
    """Whether everybody can reach an address: not the networks of this machine, of its site or of its cloud."""
    found = ip_address(address)
    return all(one.is_global and not one.is_multicast and one not in _OF_CLOUDS for one in _meant(found))


def _meant(address: IPv4Address | IPv6Address) -> list[IPv4Address | IPv6Address]:
    """An address and those of IPv4 that are reached by it."""
    if isinstance(address, IPv4Address):
        return [address]
    if address.ipv4_mapped is not None:
        return [address.ipv4_mapped]
    found: list[IPv4Address | IPv6Address] = [address]
    if any(address in network for network in _EMBEDDING):
        found.append(IPv4Address(int(address) & 0xFFFFFFFF))
    if address.sixtofour is not None:
        found.append(address.sixtofour)
    if address.teredo is not None:
        found += address.teredo
    return found
