"""What a session hears: events of its topics, held back while what they follow is being read.

hub ─▶ Ear ─▶ sender.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from gateway.context import Context
from gateway.sockets.sender import Sender


class Ear:
    """The listening half of a session."""

    __slots__ = ("_early", "_floors", "_held", "_sender", "context", "topics")

    def __init__(self, sender: Sender) -> None:
        self.context: Context | None = None
        self.topics: set[str] = set()
        self._sender = sender
        self._held = 0
        self._early: list[tuple[str, int, bytes, bool]] = []
        self._floors: dict[str, int] = {}

    @property
    def user_id(self) -> int:
        return self.context.user_id if self.context else 0

    def hear(self, topic: str, change: int, frame: bytes, *, passing: bool) -> None:
        """Take an event of a topic this session joined."""
        if self._held:
            self._early.append((topic, change, frame, passing))
            return
        if change and self._floors and change <= self._floors.get(topic, 0):
            return
        self._sender.send(frame, passing=passing)

    def send(self, frame: bytes, *, passing: bool = False) -> None:
        """Send a frame that is meant for this session alone."""
        self._sender.send(frame, passing=passing)

    def hold(self) -> None:
        """Keep events back until release: what they follow is being read."""
        self._held += 1

    def release(self, floors: dict[str, int], *, keep: AbstractSet[str] = frozenset()) -> None:
        """Go on with the events kept back, without those at or below a topic's floor.

        Floors of topics in `keep` stay: their streams on this node have yet to come that far.
        """
        self._held -= 1
        self._floors.update(floors)
        if not self._held:
            early, self._early = self._early, []
            for topic, change, frame, passing in early:
                self.hear(topic, change, frame, passing=passing)
        for topic in floors:
            if topic not in keep:
                self._floors.pop(topic, None)

    def abandon(self) -> None:
        """Undo a hello that failed: nothing was heard."""
        self.context = None
        self._early.clear()
        self._held -= 1
