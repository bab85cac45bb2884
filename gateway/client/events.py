"""Events from the gateway: decoded, in order, each once.

ReconnectingSocket ─▶ Events ─▶ Connection. The position in a conversation is the last change that
was received: a change at or below it is a repetition, and resume asks for those above it. Where
that does not close a gap, a Reload names the conversation.
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
MAX_KNOWN = 1_000  # events of the CRM whose ids are kept: what may come again after a reconnection


PUBLISHED = "event.published"


@dataclass(frozen=True, slots=True)
class Reload:
    """More was missed in this conversation than the gateway sends again: fetch its history."""

    conversation_id: int


_adapters: dict[str, TypeAdapter[Any]] = {
    name: TypeAdapter(event) for name, event in EVENTS.items()
}


def decode(frame: dict[str, Any]) -> Any | None:
    """Return the event of a frame; None for a type that this version does not know."""
    adapter = _adapters.get(frame.get("type", ""))
    if adapter is None:
        return None
    try:
        return adapter.validate_python(frame, extra="ignore")
    except ValidationError:
        return None


class Events:
    """Events that wait for the application, and the position in each conversation."""

    def __init__(self) -> None:
        self.positions: dict[int, int] = {}
        """conversation → the last change received; the one changed last stands last."""
        self._waiting: deque[Any] = deque()
        self._ready = asyncio.Event()
        self._failure: Exception | None = None
        self._welcomed = False
        self._known: dict[int, None] = {}

    def receive(self, frame: dict[str, Any]) -> None:
        """Queue the event of a frame unless it is a repetition."""
        if frame.get("type") == PUBLISHED and self._is_known(
            (frame.get("event") or {}).get("id", 0)
        ):
            return
        change, conversation_id = frame.get("change"), frame.get("conversation_id")
        if not isinstance(change, int) or not isinstance(conversation_id, int):
            change = conversation_id = 0  # an event that is not of a conversation
        elif change <= self.positions.get(conversation_id, 0):
            return
        event = decode(frame)
        if event is not None and not self.put(event):
            return
        if conversation_id:
            self._move(conversation_id, change)

    def _is_known(self, event_id: int) -> bool:
        """Return whether an event of the CRM has come before, and keep its id."""
        if event_id in self._known:
            return True
        self._known[event_id] = None
        if len(self._known) > MAX_KNOWN:
            del self._known[next(iter(self._known))]
        return False

    def to_resume(self) -> dict[int, int]:
        """Return the positions for a hello: the MAX_RESUME that changed last."""
        return dict(list(self.positions.items())[-MAX_RESUME:])

    def caught_up(
        self, newest: dict[int, int], *, resumed: Mapping[int, int], reload: Iterable[int]
    ) -> None:
        """Continue from a welcome whose changes have been received; newest: conversation → change.

        A Reload follows for each conversation that the gateway named and, unless this is the first
        welcome, for those that had no room in hello's resume and for new ones.
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
            self.put(Reload(conversation_id))
        for conversation_id, change in reversed(newest.items()):  # the newest one stands last
            self._move(conversation_id, max(change, self.positions.get(conversation_id, 0)))

    def _move(self, conversation_id: int, change: int) -> None:
        self.positions.pop(conversation_id, None)
        self.positions[conversation_id] = change

    def put(self, event: Any) -> bool:
        """Queue an event; False when more wait than may, or the events have ended."""
        if self._failure is None and len(self._waiting) >= MAX_EVENTS:
            self.fail(TooFarBehind())
        if self._failure is not None:
            return False  # the application gets no events after a gap
        self._waiting.append(event)
        self._ready.set()
        return True

    def fail(self, error: Exception) -> None:
        """End the iteration with this error, after the events that wait have been read."""
        self._failure = self._failure or error
        self._ready.set()

    async def next(self) -> Any:
        """Return the next event; raise the error that ended them."""
        while not self._waiting:
            if self._failure is not None:
                raise self._failure
            self._ready.clear()
            await self._ready.wait()
        return self._waiting.popleft()
