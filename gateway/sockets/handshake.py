"""From an upgrade request to a yes or a no: path, origin, subprotocol, token (RFC 6455, 4.2)."""

from __future__ import annotations

import http
import ipaddress
from collections.abc import Sequence
from urllib.parse import urlsplit

from websockets.datastructures import Headers
from websockets.http11 import Response
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from gateway.errors import GatewayError
from gateway.protocol import SUBPROTOCOL, codec

PATH = "/v1/ws"
BEARER = "bearer."


def select_subprotocol(
    protocol: ServerProtocol,  # noqa: ARG001 - the library binds it as a method
    offered: Sequence[Subprotocol],
) -> Subprotocol | None:
    """Choose ours when offered; a token among the offers is never echoed."""
    return Subprotocol(SUBPROTOCOL) if SUBPROTOCOL in offered else None


def token_of(headers: Headers) -> str | None:
    """Find a token in the Authorization header or among the offered subprotocols."""
    sent = headers.get_all("Authorization")
    scheme, _, credentials = (sent[0] if len(sent) == 1 else "").partition(" ")
    if scheme.lower() == "bearer" and credentials:
        return credentials.strip()
    for line in headers.get_all("Sec-WebSocket-Protocol"):
        for offered in line.split(","):
            if offered.strip().startswith(BEARER):
                return offered.strip()[len(BEARER) :]
    return None


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


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def is_in(address: str, networks: tuple[str, ...]) -> bool:
    """Say whether an address is in one of these networks."""
    if not _is_address(address):
        return False
    asked = ipaddress.ip_address(address)
    return any(asked in ipaddress.ip_network(network, strict=False) for network in networks)


def origin_allowed(headers: Headers, allowed: tuple[str, ...]) -> bool:
    """Say whether a page of this origin may connect.

    Absent means no browser: tokens are no cookies, so such a client gains nothing by lying.
    """
    origins = headers.get_all("Origin")
    if not origins:
        return True
    if len(origins) > 1:
        return False
    origin = origins[0]
    if origin in allowed:
        return True
    try:
        parts = urlsplit(origin)
    except ValueError:  # "http://["
        return False
    hosts = headers.get_all("Host")
    return parts.scheme in ("http", "https") and len(hosts) == 1 and parts.netloc == hosts[0]


def refusal_response(error: GatewayError) -> Response:
    """Refuse before the upgrade, as REST would."""
    body = codec.encode({"error": codec.refusal(error)})
    headers = Headers(
        {
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            "Connection": "close",
        }
    )
    if error.retry_after is not None:
        headers["Retry-After"] = str(max(1, round(error.retry_after)))
    return Response(error.http_status, http.HTTPStatus(error.http_status).phrase, headers, body)
