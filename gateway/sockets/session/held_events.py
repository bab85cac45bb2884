"""Events that a session may not send yet, because what they follow is still being read.

Session ─▶ HeldEvents ─▶ Session. Only a session that is catching up has one: in its hello, and
while it joins a conversation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet

from gateway.bus import Announcement
from gateway.delivery.lanes import PASSING
from gateway.delivery.shared_frame import SharedFrame

MAX_PASSING = 100
"""Events held above which passing ones of topics (typing) are dropped.

What no topic carries is kept: that presence is degraded is said once.
"""


class HeldEvents:
    """The held events of one session, and up to which change each topic is known to its client."""

    __slots__ = ("_bytes", "_floors", "_frames", "_holds", "_limit_bytes", "_on_overflow")

    def __init__(self, *, limit_bytes: int, on_overflow: Callable[[], None]) -> None:
        self._holds = 0
        self._frames: list[SharedFrame] = []
        self._bytes = 0
        self._floors: dict[str, int] = {}
        """topic → the change up to which its events are known to the client."""
        self._limit_bytes = limit_bytes
        self._on_overflow = on_overflow

    @property
    def holding(self) -> bool:
        """Whether events are kept back now; if not, there are only floors left."""
        return self._holds > 0

    @property
    def done(self) -> bool:
        """Whether nothing is left to hold or to filter."""
        return not self._holds and not self._floors

    def hold(self) -> None:
        """Keep events back until as many calls of release()."""
        self._holds += 1

    def passes(self, frame: SharedFrame) -> bool:
        """Return whether this event is to be sent now; if not, it is held, or already known."""
        if self._holds:
            self._keep(frame)
            return False
        event = frame.announcement
        return event is None or not event.change or event.change > self._floors.get(event.topic, 0)

    def _keep(self, frame: SharedFrame) -> None:
        """Hold an event: few passing ones, and not more bytes than a slow reader may owe."""
        passing = frame.lane == PASSING and frame.announcement is not None
        if passing and len(self._frames) >= MAX_PASSING:
            return
        if self._bytes > self._limit_bytes:
            return
        self._frames.append(frame)
        self._bytes += len(frame.plain)
        if self._bytes > self._limit_bytes:
            self._frames.clear()
            # Not from here: the hub is iterating over the listeners of the topic.
            asyncio.get_running_loop().call_soon(self._on_overflow)

    def contains(self, topic: str, first: int, last: int) -> bool:
        """Return whether every change from first to last of this topic is held here."""
        held = {
            frame.announcement.change
            for frame in self._frames
            if frame.announcement is not None and frame.announcement.topic == topic
        }
        return all(change in held for change in range(first, last + 1))

    def release(
        self, floors: Mapping[str, int], *, keep: AbstractSet[str] = frozenset()
    ) -> list[SharedFrame]:
        """End one hold(); return the events to send now, without those at or below a floor.

        Floors of topics in `keep` stay: the streams of this node have yet to reach them.
        """
        self._holds -= 1
        self._floors.update(floors)
        released: list[SharedFrame] = []
        if not self._holds:
            frames, self._frames, self._bytes = self._frames, [], 0
            released = [frame for frame in frames if self.passes(frame)]
        for topic in floors:
            if topic not in keep:
                self._floors.pop(topic, None)
        return released

    def discard(self, topic: str, unwanted: Callable[[Announcement], bool]) -> None:
        """Drop the held events of a topic that are unwanted."""
        self._frames = [
            frame
            for frame in self._frames
            if (event := frame.announcement) is None or event.topic != topic or not unwanted(event)
        ]
        self._bytes = sum(len(frame.plain) for frame in self._frames)
