"""Who is at the other end, as far as it can be believed."""

from __future__ import annotations

import pytest
from websockets.datastructures import Headers

from gateway.limits.addresses import address_of, client_of, is_in, site_of
from gateway.sockets.listener.handshake import origin_allowed, token_of

PROXIES = ("10.0.0.0/8", "fd00::/8")


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),  # nobody we trust said so
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "1.2.3.4, 198.51.100.1", "198.51.100.1"),  # the first is the client's claim
        ("10.0.0.1", "198.51.100.1, 10.0.0.2", "198.51.100.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "unknown", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.1, rubbish", "10.0.0.1"),
        ("fd00::1", "2001:db8::7", "2001:db8::7"),
        ("unix", "198.51.100.1", "unix"),
    ],
)
def test_only_trusted_proxies_are_believed(peer: str, forwarded: str, address: str) -> None:
    """From the right, as far as trusted hands wrote it."""
    assert address_of([forwarded] if forwarded else [], peer, PROXIES) == address


def mapped(address: str) -> str:
    """Write an IPv4 address as a socket for both families gives it; others as they are."""
    return f"::ffff:{address}" if address.count(".") == 3 else address


@pytest.mark.parametrize("peer", ["10.0.0.1", "203.0.113.9", "fd00::1", "unix"])
@pytest.mark.parametrize("named", [[], ["198.51.100.1"], ["1.2.3.4", "198.51.100.1", "10.0.0.2"]])
def test_ipv4_on_a_socket_for_both_families_is_ipv4(peer: str, named: list[str]) -> None:
    """Whichever of the peer, the hops and the trusted networks is written as IPv6."""
    expected = address_of([", ".join(named)] if named else [], peer, PROXIES)
    networks = ("::ffff:10.0.0.0/104", "fd00::/8")

    for written in (named, [mapped(hop) for hop in named]):
        said = [", ".join(written)] if written else []
        for trusted in (PROXIES, networks):
            assert address_of(said, mapped(peer), trusted) == expected
            assert is_in(mapped(peer), trusted) == is_in(peer, PROXIES)
    assert not is_in("2001:db8::1", ("::ffff:0.0.0.0/96",))
    assert is_in("2001:db8::1", ("::/0",))


def test_a_trusted_proxy_may_name_nobody() -> None:
    """Only then is there no client; one whose address is trusted, too, is a client."""
    for nobody in ([], [""], ["unknown"], ["198.51.100.1, unknown"]):
        assert client_of(nobody, "10.0.0.1", PROXIES) is None
    assert client_of(["10.1.2.3"], "10.0.0.1", PROXIES) == "10.1.2.3"
    assert client_of(["10.0.0.1"], "10.0.0.1", PROXIES) == "10.0.0.1"
    assert client_of([], "203.0.113.9", PROXIES) == "203.0.113.9"
    assert client_of([], "10.0.0.1", ()) == "10.0.0.1"


def test_without_trust_nobody_is_believed() -> None:
    """The default."""
    assert address_of(["198.51.100.1"], "10.0.0.1", ()) == "10.0.0.1"
    assert not is_in("10.0.0.1", ())


@pytest.mark.parametrize(
    ("address", "site"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unix", "unix"),
    ],
)
def test_addresses_of_one_customer_are_one_site(address: str, site: str) -> None:
    """A provider gives a /64 to each customer, who may use any address in it."""
    assert site_of(address) == site


def test_origins_are_compared_whole() -> None:
    """Two Origin headers, or a Host that only looks alike, are refused."""
    allowed = ("https://crm.example.com",)
    twice = Headers()
    twice["Origin"] = "https://crm.example.com"
    twice["Origin"] = "https://evil.example"
    assert not origin_allowed(twice, allowed)
    own = Headers({"Origin": "https://gw.example.com", "Host": "gw.example.com"})
    assert origin_allowed(own, allowed)
    alike = Headers({"Origin": "https://gw.example.com.evil.example", "Host": "gw.example.com"})
    assert not origin_allowed(alike, allowed)


def test_a_token_is_found_where_it_may_stand() -> None:
    """Authorization goes before a subprotocol; other schemes are none of ours."""
    assert token_of(Headers({"Authorization": "Bearer abc"})) == "abc"
    assert token_of(Headers({"Authorization": "Basic abc"})) is None
    assert token_of(Headers({"Sec-WebSocket-Protocol": "crm-gateway.v1, bearer.xyz"})) == "xyz"
    assert token_of(Headers()) is None
