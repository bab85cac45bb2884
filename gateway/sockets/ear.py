"""What a session hears: events of its topics, held back while what they follow is being read.

hub ─▶ Ear ─▶ sender.
"""

from __future__ import annotations

import asyncio
from collections.abc import Set as AbstractSet

from gateway import topics
from gateway.context import Context
from gateway.sockets.lanes import PASSING
from gateway.sockets.sender import Sender

FEW = 100


class Ear:
    """The listening half of a session."""

    __slots__ = (
        "_early",
        "_early_bytes",
        "_floors",
        "_held",
        "_sender",
        "context",
        "fingerprint",
        "missed_joins",
        "topics",
    )

    def __init__(self, sender: Sender) -> None:
        self.context: Context | None = None
        self.topics: set[str] = set()
        self.missed_joins = False
        self.fingerprint = (0, 0)
        """How many conversations it hears, and the sum of their numbers."""
        self._sender = sender
        self._held = 0
        self._early: list[tuple[str, int, bytes, int, int]] = []
        self._early_bytes = 0
        self._floors: dict[str, int] = {}

    @property
    def user_id(self) -> int:
        return self.context.user_id if self.context else 0

    @property
    def live(self) -> bool:
        """Whether it has been welcomed and nothing is held back."""
        return self.context is not None and not self._held

    def counted(self, topic: str, step: int) -> None:
        """Keep the fingerprint along, so that the upkeep need not go through everyone's topics."""
        conversation_id = topics.conversation_of(topic)
        if conversation_id is not None:
            count, total = self.fingerprint
            self.fingerprint = (count + step, total + step * conversation_id)

    def hear(self, topic: str, change: int, frame: bytes, lane: int, by: int) -> None:
        """Take an event of a topic this session joined."""
        if self._held:
            self._keep(topic, change, frame, lane, by)
            return
        if change and self._floors and change <= self._floors.get(topic, 0):
            return
        self._sender.send(frame, lane, (topic, by) if lane == PASSING else None)

    def _keep(self, topic: str, change: int, frame: bytes, lane: int, by: int) -> None:
        """Hold an event back, passing ones only a few, and not more than a slow reader may owe."""
        if lane == PASSING and len(self._early) >= FEW:
            return
        if self._early_bytes > self._sender.limit_bytes:
            return
        self._early.append((topic, change, frame, lane, by))
        self._early_bytes += len(frame)
        if self._early_bytes > self._sender.limit_bytes:
            self._early.clear()
            # Not from here: the hub is just going through its listeners.
            asyncio.get_running_loop().call_soon(self.overflowed)

    def send(self, frame: bytes, lane: int) -> None:
        """Send a frame that is meant for this session alone."""
        self._sender.send(frame, lane)

    @property
    def full(self) -> bool:
        """Whether this client's socket takes nothing just now."""
        return self._sender.full

    def overflowed(self) -> None:
        """Let a client go for whom more waits than may wait."""
        raise NotImplementedError

    def hold(self) -> None:
        """Keep events back until release: what they follow is being read."""
        self._held += 1

    def holds(self, topic: str, first: int, last: int) -> bool:
        """Say whether every change from first to last of this topic is held back here."""
        kept = {change for heard, change, *_ in self._early if heard == topic}
        return all(change in kept for change in range(first, last + 1))

    def release(self, floors: dict[str, int], *, keep: AbstractSet[str] = frozenset()) -> None:
        """Go on with the events kept back, without those at or below a topic's floor.

        Floors of topics in `keep` stay: their streams on this node have yet to come that far.
        """
        self._held -= 1
        self._floors.update(floors)
        if not self._held:
            early, self._early = self._early, []
            self._early_bytes = 0
            for event in early:
                self.hear(*event)
        for topic in floors:
            if topic not in keep:
                self._floors.pop(topic, None)

    def abandon(self) -> None:
        """Undo a hello that failed: nothing was heard."""
        self.context = None
        self._early.clear()
        self._early_bytes = 0
        self._held -= 1
