"""Limits the size of request bodies, counted as they arrive, and the time to receive them.

FastAPI's own max_body_size refuses in plain text, before error handlers; this answers in the form
of every refusal.
"""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.errors import GatewayError, TooLarge, TooSlow
from gateway.rest.errors import body

DISCARD_BYTES = 4 * 1024 * 1024
DISCARD_S = 2.0


class BodyLimit:
    """ASGI middleware: reads a body up to its limit, then passes it to the app."""

    def __init__(
        self, app: ASGIApp, *, limit: int, larger: dict[str, int], within_s: float, streamed: str
    ) -> None:
        """Paths that begin with `streamed` limit their bodies themselves."""
        self._app = app
        self._limit = limit
        self._larger = larger
        self._within_s = within_s
        self._streamed = streamed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in {"GET", "HEAD", "OPTIONS"}:
            await self._app(scope, receive, send)
            return
        if scope["path"].startswith(self._streamed):
            await self._app(scope, receive, send)
            return
        limit = self._larger.get(scope["path"], self._limit)
        if _declared(scope) > limit:
            message = None
        else:
            try:
                async with asyncio.timeout(self._within_s):
                    message = await _read(receive, limit)
            except TimeoutError:
                await _refuse(TooSlow(f"At most {self._within_s:g} s."), scope, receive, send)
                return
        if message is None:
            await discard(receive)
            await _refuse(TooLarge(f"At most {limit} bytes."), scope, receive, send)
            return
        pending: list[Message] = [message]

        async def replay() -> Message:
            return pending.pop() if pending else await receive()

        await self._app(scope, replay, send)


async def _refuse(error: GatewayError, scope: Scope, receive: Receive, send: Send) -> None:
    refusal = body(error)
    refusal.headers["Connection"] = "close"  # the rest is not read
    await refusal(scope, receive, send)


async def _read(receive: Receive, limit: int) -> Message | None:
    """Return the whole body as one message; None when it is larger than limit."""
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return message  # the client has gone
        pieces.append(message.get("body", b""))
        size += len(pieces[-1])
        if size > limit:
            return None
        if not message.get("more_body", False):
            return {"type": "http.request", "body": b"".join(pieces), "more_body": False}


async def discard(receive: Receive) -> None:
    """Read and drop the rest of a body: a client cut off while sending never reads the response."""
    left = DISCARD_BYTES
    try:
        async with asyncio.timeout(DISCARD_S):
            while left > 0:
                message = await receive()
                left -= len(message.get("body", b""))
                if not message.get("more_body", False):
                    return
    except TimeoutError:
        return


def _declared(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0
