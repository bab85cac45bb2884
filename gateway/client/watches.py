"""What the application watches: people, queues and topics, again on each new connection.

ReconnectingSocket ─▶ Watches ─▶ Events. The gateway forgets a watch when its connection ends. The
last presence.watch and queue.watch that it accepted, and all topics, are sent again after each
welcome, and the snapshot in the reply is given out as the events that would have brought it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

from pydantic import TypeAdapter

from gateway.client.errors import RequestRefused, refusal
from gateway.protocol import (
    AgentStateChanged,
    PresenceChanged,
    PresenceWatch,
    PresenceWatched,
    QueueChanged,
    QueueUnwatched,
    QueueWatch,
    QueueWatched,
    TopicUnwatch,
    TopicUnwatched,
    TopicWatch,
)

Watch: TypeAlias = PresenceWatch | QueueWatch | TopicWatch

BUSY_S = 1.0  # how long a repeated watch waits while a newer one has no reply

_presence: TypeAdapter[PresenceWatched] = TypeAdapter(PresenceWatched)
_queues: TypeAdapter[QueueWatched] = TypeAdapter(QueueWatched)


class Watches:
    """The watches of one application, across its connections."""

    def __init__(
        self,
        *,
        publish: Callable[[Any], object],
        send_later: Callable[[float, Watch], object],
    ) -> None:
        """Give events to `publish`; call `send_later` with seconds and what to watch again then."""
        self._publish = publish
        self._send_later = send_later
        self._accepted: dict[type[Any], Watch] = {}
        """kind → the last watch; of topics, one with all that are watched."""
        self._unanswered: dict[int, tuple[Watch | TopicUnwatch, bool]] = {}
        """request id → what was sent on this connection, and whether it was a repetition."""

    def accepted(self) -> list[Watch]:
        """Return what a new connection has to watch again."""
        return list(self._accepted.values())

    def sent(self, request_id: int, command: Any, *, again: bool = False) -> None:
        """Note that a command was sent, if it is a watch; again: by us, not by the application."""
        if isinstance(command, PresenceWatch | QueueWatch | TopicWatch | TopicUnwatch):
            self._unanswered[request_id] = command, again

    def may_repeat(self, watch: Watch) -> bool | None:
        """Return whether a watch is the last of its kind; None: a newer one has no reply yet.

        Topics are added to each other: of them, latest() is to be repeated.
        """
        last = self._accepted.get(type(watch))
        if last is None or (last is not watch and not isinstance(watch, TopicWatch)):
            return False
        newer = any(type(other) is type(watch) for other, _ in self._unanswered.values())
        return None if newer else True

    def latest(self, watch: Watch) -> Watch:
        """Return the last watch of this kind that was accepted."""
        return self._accepted[type(watch)]

    def replied(self, reply: dict[str, Any]) -> None:
        """Take the reply to a watch; replies to other commands are ignored."""
        watch, again = self._unanswered.pop(reply["id"], (None, False))
        if watch is None:
            return
        if "error" in reply:
            if again and not isinstance(watch, TopicUnwatch):
                self._refused(watch, refusal(reply["error"]))
        elif isinstance(watch, TopicUnwatch):
            self.topics_unwatched(watch.topics)
        else:
            self._accept(watch)
            if isinstance(watch, TopicWatch):
                self._leave_out(reply["ok"].get("refused", ()), again=again)
            elif again:
                self._publish_snapshot(watch, reply["ok"])

    def connection_lost(self) -> None:
        """Expect no more replies to what was sent."""
        self._unanswered.clear()

    def unwatched(self) -> None:
        """Forget the queues: the gateway said queue.unwatched."""
        self._accepted.pop(QueueWatch, None)

    def topics_unwatched(self, topics: Iterable[str]) -> None:
        """Forget these topics: the application unwatched them, or the gateway did."""
        gone = set(topics)
        self._keep_topics(one for one in self._topics() if one not in gone)

    def _topics(self) -> list[str]:
        watch = self._accepted.get(TopicWatch)
        return watch.topics if isinstance(watch, TopicWatch) else []

    def _keep_topics(self, topics: Iterable[str]) -> None:
        kept = [*dict.fromkeys(topics)]
        if kept:
            self._accepted[TopicWatch] = TopicWatch(topics=kept)
        else:
            self._accepted.pop(TopicWatch, None)

    def _accept(self, watch: Watch) -> None:
        if isinstance(watch, PresenceWatch) and not watch.employee_ids:
            self._accepted.pop(PresenceWatch, None)
        elif isinstance(watch, QueueWatch) and not watch.queues:
            self._accepted.pop(QueueWatch, None)
        elif isinstance(watch, TopicWatch):
            self._keep_topics([*self._topics(), *watch.topics])
        else:
            self._accepted[type(watch)] = watch

    def _leave_out(self, topics: Sequence[str], *, again: bool) -> None:
        """Forget topics that may not be read; the application knows, unless we watched again."""
        self.topics_unwatched(topics)
        if again and topics:
            self._publish(TopicUnwatched(topics=[*topics]))

    def _publish_snapshot(self, watch: PresenceWatch | QueueWatch, reply: dict[str, Any]) -> None:
        if isinstance(watch, PresenceWatch):
            people = _presence.validate_python(reply, extra="ignore")
            self._publish(PresenceChanged(presences=people.presences, degraded=people.degraded))
            return
        snapshot = _queues.validate_python(reply, extra="ignore")
        if snapshot.queues:
            self._publish(QueueChanged(queues=snapshot.queues))
        for agent in snapshot.agents:
            self._publish(AgentStateChanged(agent=agent))

    def _refused(self, watch: Watch, refused: RequestRefused) -> None:
        newest = self._accepted.get(type(watch))
        if newest is None or (newest is not watch and not isinstance(watch, TopicWatch)):
            return  # a newer one was accepted meanwhile
        if refused.retry_after is not None:
            self._send_later(refused.retry_after, watch)
            return
        if isinstance(watch, TopicWatch):
            self.topics_unwatched(watch.topics)
            self._publish(TopicUnwatched(topics=watch.topics))
            return
        del self._accepted[type(watch)]
        if isinstance(watch, QueueWatch):
            self._publish(QueueUnwatched())  # as for a permission that is lost while connected
