"""Addresses of clients: behind which proxies we believe which address.

handshake, admission ─▶ here.
"""

from __future__ import annotations

import ipaddress

from websockets.datastructures import Headers


def address_of(headers: Headers, peer: str, trusted: tuple[str, ...]) -> str:
    """Return the client's address: what the last proxy we do not trust, or the client, wrote.

    X-Forwarded-For grows to the right, and only what trusted proxies wrote can be believed.
    """
    if not trusted or not is_in(peer, trusted):
        return peer
    hops = [hop.strip() for line in headers.get_all("X-Forwarded-For") for hop in line.split(",")]
    for hop in reversed(hops):
        if not _is_address(hop):
            break
        peer = hop
        if not is_in(hop, trusted):
            break
    return peer


def is_in(address: str, networks: tuple[str, ...]) -> bool:
    """Return whether an address is in one of these networks."""
    if not _is_address(address):
        return False
    parsed = ipaddress.ip_address(address)
    return any(parsed in ipaddress.ip_network(network, strict=False) for network in networks)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
