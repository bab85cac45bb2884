"""Which IP addresses belong to the public internet, and not to a network of ours."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

NOT_PUBLIC = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
        "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24",
        "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15",
        "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
    )
)  # fmt: skip
"""IANA's special-purpose addresses of IPv4, multicast included."""

GLOBAL_UNICAST = IPv6Network("2000::/3")
"""All that IANA gives out of IPv6; the rest is local, multicast, or translated."""

NOT_PUBLIC_V6 = tuple(
    IPv6Network(text)
    for text in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "2620:4f:8000::/48")
)
"""Special-purpose addresses inside GLOBAL_UNICAST: Teredo and 6to4 lead to any IPv4 address."""

NAT64 = IPv6Network("64:ff9b::/96")


def is_public(text: str) -> bool:
    """Tell whether an address, as text, is one of the public internet.

    What an address of IPv6 leads to counts: `::ffff:127.0.0.1` and `64:ff9b::7f00:1` are loopback.
    """
    address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv6Address):
        inner = _inside(address)
        if inner is None:
            return address in GLOBAL_UNICAST and not any(address in net for net in NOT_PUBLIC_V6)
        address = inner
    return not any(address in network for network in NOT_PUBLIC)


def _inside(address: IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address to which a mapped or a translated one leads."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return None
