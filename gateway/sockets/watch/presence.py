"""Who watches whom on this node, and what they have not been told yet.

bus ─▶ PresenceWatch ─▶ sessions. Changes are conflated: per watcher at most one frame in 250 ms,
with the newest state of each person.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

import orjson

from gateway import topics
from gateway.bus import Announcement
from gateway.delivery import lanes
from gateway.delivery.shared_frame import SharedFrame
from gateway.people.presences import from_wire
from gateway.protocol import PresenceChanged
from gateway.protocol.codec import encode
from presence import PresenceState

if TYPE_CHECKING:
    from gateway.sockets.session.session import Session

CONFLATE_S = 0.25


class PresenceWatches:
    """The reverse of all watch lists of this node's sessions."""

    def __init__(
        self,
        *,
        unheard: Callable[[str], None],
        learned: Callable[[list[PresenceState]], None],
    ) -> None:
        self._watchers: dict[int, set[Session]] = {}
        self._shards: dict[str, int] = {}
        self._learned = learned
        self._unheard = unheard
        self._news: dict[Session, dict[int, bytes]] = {}
        self._flushing = False
        self._degraded = False

    def __contains__(self, topic: str) -> bool:
        return topic in self._shards

    def watch(self, session: Session, employee_ids: Collection[int]) -> list[str]:
        """Replace what session watches; return the topics now wanted for it."""
        wanted = frozenset(employee_ids)
        for employee_id in session.watched - wanted:
            self._drop(session, employee_id)
        for employee_id in wanted - session.watched:
            self._watchers.setdefault(employee_id, set()).add(session)
            topic = topics.presence(employee_id)
            self._shards[topic] = self._shards.get(topic, 0) + 1
        session.watched = wanted
        return sorted({topics.presence(employee_id) for employee_id in wanted})

    def watched(self) -> list[int]:
        """Return everyone whom someone here watches."""
        return list(self._watchers)

    def set_degraded(self, *, degraded: bool) -> None:
        """Tell every watcher when presence becomes, or is no longer, the last known state."""
        if degraded == self._degraded:
            return
        self._degraded = degraded
        frame = SharedFrame(encode(PresenceChanged(presences=[], degraded=degraded)))
        for session in {s for watchers in self._watchers.values() for s in watchers}:
            session.hear("", 0, frame, lanes.RECEIPT, 0)

    def remove(self, session: Session) -> None:
        """Drop everything this session watches."""
        if session.watched:
            self.watch(session, ())
        self._news.pop(session, None)

    def deliver(self, announcement: Announcement) -> None:
        """Take news of some people; their watchers hear soon."""
        presences = orjson.loads(announcement.payload)["presences"]
        self._learned([from_wire(presence) for presence in presences])
        for presence in presences:
            watchers = self._watchers.get(presence["employee_id"])
            if not watchers:
                continue
            encoded = orjson.dumps(presence)
            for session in watchers:
                self._news.setdefault(session, {})[presence["employee_id"]] = encoded
        if self._news and not self._flushing:
            self._flushing = True
            asyncio.get_running_loop().call_later(CONFLATE_S, self._flush)

    def _flush(self) -> None:
        news, self._news = self._news, {}
        frames: dict[tuple[bytes, ...], SharedFrame] = {}
        for session, presences in news.items():
            if session.full:  # its news go on being conflated until it reads again
                self._news.setdefault(session, presences)
                continue
            key = tuple(presences.values())
            if key not in frames:  # most watchers hear the same news
                payload = b'{"type":"presence.changed","presences":[%b],"degraded":%b}' % (
                    b",".join(key),
                    b"true" if self._degraded else b"false",
                )
                frames[key] = SharedFrame(payload)
            session.hear("", 0, frames[key], lanes.RECEIPT, 0)
        self._flushing = bool(self._news)
        if self._flushing:
            asyncio.get_running_loop().call_later(CONFLATE_S, self._flush)

    def _drop(self, session: Session, employee_id: int) -> None:
        watchers = self._watchers[employee_id]
        watchers.discard(session)
        if not watchers:
            del self._watchers[employee_id]
        topic = topics.presence(employee_id)
        self._shards[topic] -= 1
        if not self._shards[topic]:
            del self._shards[topic]
            self._unheard(topic)
