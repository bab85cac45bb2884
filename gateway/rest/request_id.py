"""The id of each HTTP request: a client's own if it is a short token, else a new one.

uvicorn ─▶ RequestIds ─▶ routes. The answer has it as X-Request-Id, also that of a refusal; logs and
the audit name it.
"""

from __future__ import annotations

import secrets

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.audit.act import REQUEST_ID

HEADER = "X-Request-Id"


def request_id_of(scope: Scope) -> str:
    """Return the id of a request."""
    request_id: str = scope["state"]["request_id"]
    return request_id


class RequestIds:
    """ASGI middleware that gives every request an id."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        said = Headers(scope=scope).get(HEADER, "")
        request_id = said if REQUEST_ID.fullmatch(said) else secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[HEADER] = request_id
            await send(message)

        await self._app(scope, receive, send_with_id)
