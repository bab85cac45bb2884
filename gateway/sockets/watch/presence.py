"""Who watches whose presence on this node, and the changes that they have not been sent yet.

bus ─▶ PresenceWatches ─▶ sessions. Changes are conflated: each watcher gets at most one frame in
250 ms, with the newest state of each person; while it reads slowly or catches up, it gets none,
and its changes go on being conflated.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Final

import orjson

from gateway import topics
from gateway.bus import Announcement
from gateway.delivery.delivery import Delivery
from gateway.delivery.lanes import lane_of
from gateway.delivery.shared_frame import SharedFrame
from gateway.people import presences
from gateway.protocol import Presence, PresenceChanged, PresenceWatch, PresenceWatched
from gateway.protocol.codec import encode
from gateway.sockets.watch.watching_session import WatchingSession
from presence import PresenceState

CONFLATE_S = 0.25
LANE: Final = lane_of("presence.changed")
DEGRADED: Final = "presence.degraded"
"""The subject of frames that say whether presence is degraded: the newest replaces the others."""


class PresenceWatches:
    """The reverse of the watch lists of this node's sessions: employee → watchers."""

    def __init__(
        self,
        delivery: Delivery,
        *,
        read: Callable[[frozenset[int]], Awaitable[list[Presence]]],
        on_presences: Callable[[list[PresenceState]], None],
    ) -> None:
        self._delivery = delivery
        self._read = read
        self._watchers: dict[int, set[WatchingSession]] = {}
        self._newest: dict[int, int] = {}
        """employee → the highest version that was delivered to watchers."""
        self._shards: dict[str, int] = {}
        """topic → how many (watcher, employee) need it."""
        self._on_presences = on_presences
        self._unsent: dict[WatchingSession, dict[int, bytes]] = {}
        self._flushing = False
        self._degraded = False
        delivery.handle_topic(topics.PRESENCE, self.deliver)

    def __contains__(self, topic: str) -> bool:
        return topic in self._shards

    async def serve(self, session: WatchingSession, command: PresenceWatch) -> PresenceWatched:
        """Send this session the changes of these people from now on: subscribe first, then read."""
        context = session.context
        if session.closed or context is None:  # it ended while its command waited
            return PresenceWatched(presences=[])
        await self._delivery.bus.subscribe(self.watch(session, command.employee_ids))
        shown = await self._read(session.watched)
        return PresenceWatched(presences=shown, degraded=context.presence.degraded)

    def watch(self, session: WatchingSession, employee_ids: Collection[int]) -> list[str]:
        """Replace what session watches; return the topics that this needs."""
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
        """Send every watcher that presence is, or is no longer, only the last known state."""
        if degraded == self._degraded:
            return
        self._degraded = degraded
        payload = encode(PresenceChanged(presences=[], degraded=degraded))
        frame = SharedFrame(payload, LANE, subject=DEGRADED)
        for session in {one for watchers in self._watchers.values() for one in watchers}:
            session.deliver(frame)

    def remove(self, session: WatchingSession) -> None:
        """Drop everything that this session watches."""
        if session.watched:
            self.watch(session, ())
        self._unsent.pop(session, None)

    def deliver(self, announcement: Announcement) -> None:
        """Take the presence of some people; their watchers get it within CONFLATE_S.

        Two nodes may announce two changes of a person in the other order: the older one would
        replace the newer one, and is dropped.
        """
        changed = orjson.loads(announcement.payload)["presences"]
        self._on_presences([presences.from_wire(presence) for presence in changed])
        for presence in changed:
            employee_id, version = presence["employee_id"], presence["version"]
            watchers = self._watchers.get(employee_id)
            if not watchers or version < self._newest.get(employee_id, 0):
                continue
            self._newest[employee_id] = version
            encoded = orjson.dumps(presence)
            for session in watchers:
                self._unsent.setdefault(session, {})[employee_id] = encoded
        if self._unsent and not self._flushing:
            self._flushing = True
            asyncio.get_running_loop().call_later(CONFLATE_S, self._flush)

    def _flush(self) -> None:
        unsent, self._unsent = self._unsent, {}
        frames: dict[tuple[bytes, ...], SharedFrame] = {}
        for session, changed in unsent.items():
            if session.full or not session.live:
                self._unsent.setdefault(session, changed)
                continue
            key = tuple(changed.values())
            if key not in frames:  # most watchers get the same changes
                payload = b'{"type":"presence.changed","presences":[%b],"degraded":%b}' % (
                    b",".join(key),
                    b"true" if self._degraded else b"false",
                )
                # Frames of other people must not replace it: only of exactly the same ones.
                frames[key] = SharedFrame(payload, LANE, subject=frozenset(changed))
            session.deliver(frames[key])
        self._flushing = bool(self._unsent)
        if self._flushing:
            asyncio.get_running_loop().call_later(CONFLATE_S, self._flush)

    def _drop(self, session: WatchingSession, employee_id: int) -> None:
        watchers = self._watchers[employee_id]
        watchers.discard(session)
        if not watchers:
            del self._watchers[employee_id]
            self._newest.pop(employee_id, None)
        topic = topics.presence(employee_id)
        self._shards[topic] -= 1
        if not self._shards[topic]:
            del self._shards[topic]
            self._delivery.bus.unsubscribe([topic])
