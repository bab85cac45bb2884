"""Addresses of clients: behind which proxies we believe which address.

listener, admission, rest ─▶ here.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from functools import cache


def address_of(forwarded: Iterable[str], peer: str, trusted: tuple[str, ...]) -> str:
    """Return the client's address: what the last proxy we do not trust, or the client, wrote.

    `forwarded` are the values of X-Forwarded-For. It grows to the right, and only what trusted
    proxies wrote can be believed.
    """
    if not trusted or not is_in(peer, trusted):
        return peer
    hops = [hop.strip() for line in forwarded for hop in line.split(",")]
    for hop in reversed(hops):
        if not _is_address(hop):
            break
        peer = hop
        if not is_in(hop, trusted):
            break
    return peer


def is_in(address: str, networks: tuple[str, ...]) -> bool:
    """Return whether an address is in one of these networks."""
    if not networks or not _is_address(address):
        return False
    parsed = ipaddress.ip_address(address)
    return any(parsed in network for network in _parsed(networks))


def site_of(address: str) -> str:
    """Return what one customer of a provider has: an IPv4 address, or the /64 of an IPv6 one."""
    if ":" not in address or not _is_address(address):
        return address
    parsed = ipaddress.IPv6Address(address)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((int(parsed), 64), strict=False))


@cache
def _parsed(
    networks: tuple[str, ...],
) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    return tuple(ipaddress.ip_network(network, strict=False) for network in networks)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
