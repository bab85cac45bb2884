"""Who watches which topics of the CRM on this node, as long as they may read them.

Session, Reconciler ─▶ TopicWatches ─▶ EventStream. The right to read is looked up when somebody
begins to watch, again with every check of permissions, and at once when the CRM says that some have
changed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from gateway.errors import TooManyTopics, TopicNotFound
from gateway.events.readers import TopicReaders
from gateway.protocol import TopicUnwatch, TopicUnwatched, TopicWatch, TopicWatched
from gateway.protocol.events import MAX_WATCHED_TOPICS
from gateway.sockets.watch.watching_session import WatchingSession


class TopicWatches:
    """The topics that sessions of one node watch."""

    def __init__(self, readers: TopicReaders) -> None:
        self._readers = readers
        self._watchers: dict[str, dict[WatchingSession, None]] = {}
        self._watched: dict[WatchingSession, dict[str, None]] = {}

    def __len__(self) -> int:
        """How many topics somebody here watches."""
        return len(self._watchers)

    def watchers(self, topic: str) -> Collection[WatchingSession]:
        """Return who watches a topic; do not keep the collection."""
        return self._watchers.get(topic, {}).keys()

    async def watch(self, session: WatchingSession, command: TopicWatch) -> TopicWatched:
        """Send this session the events of these topics, too, as far as it may read them."""
        assert session.context is not None
        before = self._watched.get(session, {})
        wanted = [one for one in dict.fromkeys(command.topics) if one not in before]
        if len(before) + len(wanted) > MAX_WATCHED_TOPICS:
            raise TooManyTopics
        readable = await self._readers.readable(session.context, wanted)
        refused = [one for one in wanted if one not in readable]
        if refused and len(refused) == len(set(command.topics)):
            raise TopicNotFound
        if not session.closed:
            for topic in (one for one in wanted if one in readable):
                self._watchers.setdefault(topic, {})[session] = None
                self._watched.setdefault(session, {})[topic] = None
        return TopicWatched(topics=[*self._watched.get(session, ())], refused=refused)

    def unwatch(self, session: WatchingSession, command: TopicUnwatch) -> None:
        """Send this session the events of these topics no longer."""
        self._drop(session, command.topics)

    def remove(self, session: WatchingSession) -> None:
        """Drop everything that this session watches."""
        self._drop(session, tuple(self._watched.get(session, ())))

    async def check(self, employee_ids: Collection[int] | None = None) -> None:
        """End what these employees (None: all) may read no longer, and tell them."""
        held = {
            session: (session.context, [*watched])
            for session, watched in self._watched.items()
            if session.context is not None
            and (employee_ids is None or session.user_id in employee_ids)
        }
        if not held:
            return
        readable = await self._readers.readable_by_all(
            [(context, watched) for context, watched in held.values()]
        )
        for (session, (_, watched)), kept in zip(held.items(), readable, strict=True):
            lost = [one for one in watched if one not in kept]
            gone = [one for one in lost if one in self._watched.get(session, ())]
            if gone:
                self._drop(session, gone)
                session.send_event(TopicUnwatched(topics=gone))

    def _drop(self, session: WatchingSession, topics: Iterable[str]) -> None:
        watched = self._watched.get(session, {})
        for topic in topics:
            if topic not in watched:
                continue
            del watched[topic]
            watchers = self._watchers[topic]
            del watchers[session]
            if not watchers:
                del self._watchers[topic]
        if not watched:
            self._watched.pop(session, None)
