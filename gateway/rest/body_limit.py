"""Limits the size of request bodies, counted as they arrive, and the time to receive them.

FastAPI's own max_body_size refuses in plain text, before error handlers; this answers in the form
of every refusal.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.errors import GatewayError, IngestBusy, TooLarge, TooSlow
from gateway.rest.errors import body

LARGE_OF_SITE_BYTES = 16 * 1024 * 1024
LARGE_IN_ALL_BYTES = 256 * 1024 * 1024
"""Bytes of large bodies that have arrived and are being read: nobody is known before all of a body
is there. What a body will have is not counted: anybody may declare as much as they like."""
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
        """Address → bytes that have arrived of large bodies."""
        self._reading_in_all = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in {"GET", "HEAD", "OPTIONS"}:
            await self._app(scope, receive, send)
            return
        if scope["path"].startswith(self._streamed):
            await self._app(scope, receive, send)
            return
        limit = self._larger.get(scope["path"], self._limit)
        if (_declared(scope) or 0) > limit:
            message = None
        else:
            try:
                with self._counted(scope) as count:
                    async with asyncio.timeout(self._within_s):
                        message = await _read(receive, limit, count)
            except IngestBusy as busy:
                await discard(receive)
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
    def _counted(self, scope: Scope) -> Iterator[Callable[[int], None]]:
        """Give what counts the bytes of a body that have arrived, while it is read.

        It raises IngestBusy when a body is large and too much of others has arrived. A trusted
        proxy that names no client is counted in all only.
        """
        site = scope.get("state", {}).get("site")
        counted = 0

        def count(size: int) -> None:
            nonlocal counted
            if size <= self._limit:
                return
            others, more = self._reading[site] - counted, size - counted
            if (
                site is not None and others and others + size > LARGE_OF_SITE_BYTES
            ) or self._reading_in_all + more > LARGE_IN_ALL_BYTES:
                raise IngestBusy
            self._reading[site] += more
            self._reading_in_all += more
            counted = size

        try:
            yield count
        finally:
            self._reading_in_all -= counted
            self._reading[site] -= counted
            if not self._reading[site]:
                del self._reading[site]


async def _refuse(error: GatewayError, scope: Scope, receive: Receive, send: Send) -> None:
    refusal = body(error)
    refusal.headers["Connection"] = "close"  # the rest is not read
    await refusal(scope, receive, send)


async def _read(receive: Receive, limit: int, count: Callable[[int], None]) -> Message | None:
    """Return the whole body as one message; None when it is larger than limit.

    `count` is told how much there is after each piece.
    """
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
        count(size)
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
