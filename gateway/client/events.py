"""Events from the gateway: decoded, in order, each once.

A client's position in a conversation is the last change it took in: what is at or below it is a
repeat, and what resume asks for is what comes after it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from pydantic import TypeAdapter, ValidationError

from gateway.client.errors import TooFarBehind
from gateway.protocol import EVENTS

MAX_EVENTS = 10_000

_adapters: dict[str, TypeAdapter[Any]] = {
    name: TypeAdapter(event) for name, event in EVENTS.items()
}


def decode(said: dict[str, Any]) -> Any | None:
    """Make the event of a frame; None for a type this version does not know."""
    adapter = _adapters.get(said.get("type", ""))
    if adapter is None:
        return None
    try:
        return adapter.validate_python(said, extra="ignore")
    except ValidationError:
        return None


class Events:
    """What has been heard and not yet read, and how far each conversation has been taken in."""

    def __init__(self) -> None:
        self.positions: dict[int, int] = {}
        self._waiting: deque[Any] = deque()
        self._ready = asyncio.Event()
        self._failure: Exception | None = None

    def take(self, said: dict[str, Any]) -> None:
        """Queue the event of a frame unless it was heard before."""
        change, conversation_id = said.get("change"), said.get("conversation_id")
        if isinstance(change, int) and isinstance(conversation_id, int):
            if change <= self.positions.get(conversation_id, 0):
                return
            self.positions[conversation_id] = change
        event = decode(said)
        if event is None:
            return
        if len(self._waiting) >= MAX_EVENTS:
            self.fail(TooFarBehind())
            return
        self._waiting.append(event)
        self._ready.set()

    def fail(self, error: Exception) -> None:
        """End the iteration with this, after what waits has been read."""
        self._failure = self._failure or error
        self._ready.set()

    async def next(self) -> Any:
        """Return the next event; raise what ended them."""
        while not self._waiting:
            if self._failure is not None:
                raise self._failure
            self._ready.clear()
            await self._ready.wait()
        return self._waiting.popleft()
