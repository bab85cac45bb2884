"""Addresses of clients: behind which proxies we believe which address.

listener, admission, rest ─▶ here.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from functools import cache
from typing import TypeAlias

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
MAPPED_BITS = 96
"""What stands before an IPv4 address that is written as an IPv6 one: ::ffff:203.0.113.9."""


def address_of(forwarded: Iterable[str], peer: str, trusted: tuple[str, ...]) -> str:
    """Return the client's address; that of a trusted proxy which names no client.

    An IPv4 address is written as one, also where a socket for both families gives it as IPv6.
    """
    return client_of(forwarded, peer, trusted) or _plain(peer)


def client_of(forwarded: Iterable[str], peer: str, trusted: tuple[str, ...]) -> str | None:
    """Return what the last proxy we do not trust, or the client, wrote; None: nobody is named.

    `forwarded` are the values of X-Forwarded-For. It grows to the right, and only what trusted
    proxies wrote can be believed. The address of a peer that is no trusted proxy is its own.
    """
    if not is_in(peer, trusted):
        return _plain(peer)
    named = None
    hops = [hop.strip() for line in forwarded for hop in line.split(",")]
    for hop in reversed(hops):
        if _parsed(hop) is None:
            break
        named = _plain(hop)
        if not is_in(hop, trusted):
            break
    return named


def is_in(address: str, networks: tuple[str, ...]) -> bool:
    """Return whether an address is in one of these networks."""
    if not networks or (parsed := _parsed(address)) is None:
        return False
    return any(parsed in network for network in _parsed_networks(networks))


def site_of(address: str) -> str:
    """Return what one customer of a provider has: an IPv4 address, or the /64 of an IPv6 one."""
    if ":" not in address or (parsed := _parsed(address)) is None:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    return str(ipaddress.ip_network((int(parsed), 64), strict=False))


def _plain(address: str) -> str:
    """Write an IPv4 address as one; others stay as they are."""
    parsed = _parsed(address) if ":" in address else None
    return str(parsed) if isinstance(parsed, ipaddress.IPv4Address) else address


def _parsed(text: str) -> Address | None:
    """Return the address, IPv4 if it is one in IPv6; None for what is no address."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


@cache
def _parsed_networks(networks: tuple[str, ...]) -> tuple[Network, ...]:
    return tuple(_network(ipaddress.ip_network(network, strict=False)) for network in networks)


def _network(network: Network) -> Network:
    """Return an IPv4 network that is written as an IPv6 one as IPv4, as its addresses are."""
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    if mapped is None or network.prefixlen < MAPPED_BITS:
        return network
    return ipaddress.IPv4Network((mapped, network.prefixlen - MAPPED_BITS))
