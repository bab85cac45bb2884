"""Security headers of every response."""

from __future__ import annotations

import re
from collections.abc import Callable

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = (
    "default-src 'self'; connect-src 'self'{socket}{files}; "
    "img-src 'self' data: blob:{files}{pictures}; media-src 'self'{files}; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
HOST = re.compile(r"[A-Za-z0-9._:\[\]-]+")
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}
API = {"Cache-Control": "no-store"}


class SecurityHeaders:
    """ASGI middleware that adds them."""

    def __init__(
        self, app: ASGIApp, *, files_origin: Callable[[], str | None], pictures: tuple[str, ...]
    ) -> None:
        """`files_origin` returns the origin of links to files; None: the gateway itself.

        `pictures` are the other origins from which pages may load people's pictures.
        """
        self._app = app
        self._files_origin = files_origin
        self._pictures = pictures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        extra = {**HEADERS, **API} if scope["path"].startswith("/v1/") else HEADERS
        policy = self._policy(Headers(scope=scope).get("host", ""))

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("Content-Security-Policy", policy)
                for name, value in extra.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers)

    def _policy(self, host: str) -> str:
        """Return the policy of a page at this host.

        Browsers of before 2022 do not count a WebSocket of the same host as 'self'.
        """
        origin = self._files_origin()
        return POLICY.format(
            socket=f" ws://{host} wss://{host}" if HOST.fullmatch(host) else "",
            files=f" {origin}" if origin else "",
            pictures="".join(f" {one}" for one in self._pictures),
        )
