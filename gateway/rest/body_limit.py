"""Limits the size of request bodies, counted as they arrive, and the time to receive them.

FastAPI's own max_body_size refuses in plain text, before error handlers; this answers in the form
of every refusal.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.errors import GatewayError, IngestBusy, TooLarge, TooSlow
from gateway.rest.errors import body

LARGE_OF_SITE_BYTES = 16 * 1024 * 1024
LARGE_IN_ALL_BYTES = 256 * 1024 * 1024
"""Bytes of large bodies that are being read: nobody is known before all of a body is there."""
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
        self._reading: Counter[str | None] = Counter()
        """Address → bytes of large bodies that are being read."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in {"GET", "HEAD", "OPTIONS"}:
            await self._app(scope, receive, send)
            return
        if scope["path"].startswith(self._streamed):
            await self._app(scope, receive, send)
            return
        limit = self._larger.get(scope["path"], self._limit)
        declared = _declared(scope)
        if (declared or 0) > limit:
            message = None
        else:
            try:
                size = limit if declared is None else declared
                with self._counted(scope, size if size > self._limit else 0):
                    async with asyncio.timeout(self._within_s):
                        message = await _read(receive, limit)
            except GatewayError as busy:
                await _refuse(busy, scope, receive, send)
                return
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

    @contextmanager
    def _counted(self, scope: Scope, size: int) -> Iterator[None]:
        """Count a large body while it is read; IngestBusy when too much is being read already.

        A trusted proxy that names no client is counted in all only.
        """
        site = scope.get("state", {}).get("site")
        mine, total = self._reading[site], self._reading.total()
        if size and (
            (site is not None and mine and mine + size > LARGE_OF_SITE_BYTES)
            or total + size > LARGE_IN_ALL_BYTES
        ):
            raise IngestBusy
        self._reading[site] += size
        try:
            yield
        finally:
            self._reading[site] -= size
            if not self._reading[site]:
                del self._reading[site]


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


def _declared(scope: Scope) -> int | None:
    """Return the length that a request gives for its body; None when it comes in chunks."""
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return None
