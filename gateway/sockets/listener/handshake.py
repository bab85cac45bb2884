"""The upgrade request and its answer: path, origin, token, compression.

RFC 6455, 4.2; RFC 7692 for the compression.
"""

from __future__ import annotations

import http
import logging
import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from websockets.datastructures import Headers
from websockets.extensions.permessage_deflate import (
    PerMessageDeflate,
    ServerPerMessageDeflateFactory,
)
from websockets.http11 import Response
from websockets.protocol import OPEN, Protocol, Side
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from gateway.errors import GatewayError, VersionUnsupported
from gateway.protocol import SUBPROTOCOL, codec
from gateway.settings import Settings

PATH = "/v1/ws"
BEARER = "bearer."
VERSION = "13"

DEFLATE = ServerPerMessageDeflateFactory(
    server_no_context_takeover=True,  # so that one deflated frame serves everyone
    client_no_context_takeover=True,  # so that no connection keeps 32 KiB of what it has read
)

HOST = re.compile(rb"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{0,5})?")

quiet = logging.getLogger("gateway.websockets")
quiet.setLevel(logging.ERROR)  # the library logs every connection; we log one line of our own


class Handshake(ServerProtocol):
    """The library's side of a handshake."""

    def select_subprotocol(self, subprotocols: Sequence[Subprotocol]) -> Subprotocol | None:
        """Choose ours when offered; a token among the offers is never echoed."""
        return Subprotocol(SUBPROTOCOL) if SUBPROTOCOL in subprotocols else None


def server_protocol(settings: Settings) -> ServerProtocol:
    """Return the protocol object that reads the request and answers it."""
    return Handshake(
        extensions=[DEFLATE] if settings.deflate else None,
        max_size=settings.max_frame_bytes,
        logger=quiet,
    )


def open_protocol(handshake: ServerProtocol, max_size: int) -> Protocol:
    """Return the protocol object after the handshake; the one before keeps 2.6 KiB of request."""
    protocol = Protocol(Side.SERVER, state=OPEN, max_size=max_size, logger=quiet)
    protocol.extensions = handshake.extensions
    break_cycles(handshake)
    return protocol


def break_cycles(protocol: Protocol) -> None:
    """Break the library's reference cycles (parser, traceback), so that it is freed at once."""
    protocol.parser.close()
    protocol.parser_exc = protocol.handshake_exc = None


def window_bits(protocol: Protocol) -> int:
    """Return the largest window the client inflates; 0 when it takes plain frames only."""
    for extension in protocol.extensions:
        if isinstance(extension, PerMessageDeflate):
            return extension.local_max_window_bits
    return 0


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


def version_supported(headers: Headers) -> bool:
    """Return whether a client speaks our version; one that names none is answered 400 later."""
    return headers.get_all("Sec-WebSocket-Version") in ([], [VERSION])


def host_is_valid(headers: Sequence[tuple[bytes, bytes]], version: str) -> bool:
    """Return whether a request names one host, as RFC 9112, 3.2 wants; HTTP/1.0 need not."""
    hosts = [value for name, value in headers if name == b"host"]
    if not hosts:
        return version == "1.0"
    return len(hosts) == 1 and HOST.fullmatch(hosts[0]) is not None


def origin_allowed(headers: Headers, allowed: tuple[str, ...]) -> bool:
    """Return whether a page of this origin may connect.

    Without an Origin it is no browser: tokens are not cookies, so a false origin gains nothing.
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
    """Return the refusal before the upgrade, as REST would send it."""
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
    if isinstance(error, VersionUnsupported):
        headers["Upgrade"] = "websocket"
        headers["Sec-WebSocket-Version"] = VERSION
    return Response(error.http_status, http.HTTPStatus(error.http_status).phrase, headers, body)
