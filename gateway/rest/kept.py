"""Answers that are the same for everybody: kept as bytes, with an ETag.

ops ─▶ here. A client that has them already is answered 304.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from fastapi import Request, Response

REVALIDATED = "no-cache"
"""They change with the server, so a client asks each time whether its copy is still right."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A body that is sent as it is."""

    body: bytes
    media_type: str
    etag: str

    @classmethod
    def of(cls, body: bytes, media_type: str) -> Kept:
        """Return a body with the ETag that its bytes have."""
        return cls(body, media_type, f'"{hashlib.sha256(body).hexdigest()[:32]}"')

    def respond(self, request: Request) -> Response:
        """Return the body, or 304 to a client that has it."""
        headers = {"ETag": self.etag, "Cache-Control": REVALIDATED}
        if self._is_held_by(request):
            return Response(status_code=304, headers=headers)
        return Response(self.body, headers=headers, media_type=self.media_type)

    def _is_held_by(self, request: Request) -> bool:
        """Compare as RFC 9110, 13.1.2: weakly, with any of a list."""
        held = ",".join(request.headers.getlist("if-none-match"))
        tags = {tag.strip().removeprefix("W/") for tag in held.split(",")}
        return self.etag in tags or "*" in tags


class Document:
    """A large document: made once, in a thread, when it is first asked for."""

    def __init__(self, make: Callable[[], bytes]) -> None:
        self._make = make
        self._made: Kept | None = None
        self._making = asyncio.Lock()

    async def respond(self, request: Request) -> Response:
        """Return the document; whoever asks while it is made waits for it."""
        async with self._making:
            if self._made is None:
                made = partial(Kept.of, media_type="application/json")
                self._made = await asyncio.to_thread(lambda: made(self._make()))
        return self._made.respond(request)
