"""Events from the gateway: decoded, in order, each once.

A client's position in a conversation is the last change it took in: what is at or below it is a
repeat, and what resume asks for is what comes after it. Where that does not close a gap, a Reload
says so.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from gateway.client.errors import TooFarBehind
from gateway.protocol import EVENTS
from gateway.protocol.envelope import MAX_RESUME

MAX_EVENTS = 10_000


@dataclass(frozen=True, slots=True)
class Reload:
    """More was missed in this conversation than is sent again: fetch it afresh."""

    conversation_id: int


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
        """conversation → the last change taken in; what was touched last stands last."""
        self._waiting: deque[Any] = deque()
        self._ready = asyncio.Event()
        self._failure: Exception | None = None
        self._welcomed = False

    def take(self, said: dict[str, Any]) -> None:
        """Queue the event of a frame unless it was heard before."""
        change, conversation_id = said.get("change"), said.get("conversation_id")
        if not isinstance(change, int) or not isinstance(conversation_id, int):
            change = conversation_id = 0  # an event that is not of a conversation
        elif change <= self.positions.get(conversation_id, 0):
            return
        event = decode(said)
        if event is not None and not self._queue(event):
            return
        if conversation_id:
            self._move(conversation_id, change)

    def to_resume(self) -> dict[int, int]:
        """Return the positions that a hello has room for: those touched last."""
        return dict(list(self.positions.items())[-MAX_RESUME:])

    def caught_up(
        self, newest: dict[int, int], *, resumed: Mapping[int, int], reload: Iterable[int]
    ) -> None:
        """Go on from a welcome, whose changes have been taken in; newest: conversation → change.

        A Reload follows for what the server named, and, unless this is the first welcome, for
        what hello had no room to ask about and for conversations never heard of.
        """
        lost = set(reload)
        if self._welcomed:
            lost |= {
                conversation_id
                for conversation_id, position in self.positions.items()
                if conversation_id not in resumed and newest.get(conversation_id) != position
            }
            lost |= newest.keys() - self.positions.keys()
        self._welcomed = True
        for conversation_id in sorted(lost):
            self.positions.pop(conversation_id, None)
            self._queue(Reload(conversation_id))
        for conversation_id, change in reversed(newest.items()):  # the newest one is touched last
            self._move(conversation_id, max(change, self.positions.get(conversation_id, 0)))

    def _move(self, conversation_id: int, change: int) -> None:
        self.positions.pop(conversation_id, None)
        self.positions[conversation_id] = change

    def _queue(self, event: Any) -> bool:
        if self._failure is None and len(self._waiting) >= MAX_EVENTS:
            self.fail(TooFarBehind())
        if self._failure is not None:
            return False  # after a hole there is nothing to hear
        self._waiting.append(event)
        self._ready.set()
        return True

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
