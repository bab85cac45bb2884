"""Events that the CRM publishes, and the topics by which clients follow them."""

from __future__ import annotations

from dataclasses import field
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from gateway.protocol.declaration import command, event
from gateway.protocol.frame import Id, frame

TOPIC = r"^crm:[A-Za-z][A-Za-z0-9_]*:[!-~]+$"
MAX_TOPIC = 200
MAX_WATCHED_TOPICS = 100

Topic = Annotated[str, Field(strict=True, max_length=MAX_TOPIC, pattern=TOPIC)]
"""`crm:{kind}:{id}`, in printable ASCII: something of the CRM's, a work order or a lead."""
TopicList = Annotated[list[Topic], Field(min_length=1, max_length=MAX_WATCHED_TOPICS)]


@frame
class PublishedEvent:
    """Something that happened in the CRM."""

    id: Id
    """What realtime.publish and POST /v1/events return. An event that comes again has the same."""
    type: str
    """`noun.participle`, a word of the CRM: `work_order.assigned`."""
    source: str
    """Who published it."""
    key: str | None = None
    """The publisher's own name for it."""
    payload: dict[str, Any] = field(default_factory=dict)
    """As the publisher gave it. Show its texts as text."""
    created_at: datetime


@event(lane="message")
class EventPublished:
    """Server → those whom an event names, and those who watch one of its topics."""

    type: Literal["event.published"] = "event.published"
    event: PublishedEvent
    addressed: bool = False
    """The event names this employee; otherwise it came by its topics alone."""
    topics: list[str] = field(default_factory=list)
    """Those of its topics that this connection watches."""


@frame
class TopicWatched:
    """Reply to topic.watch."""

    topics: list[str]
    """What this connection watches now, with what it watched before."""
    refused: list[str] = field(default_factory=list)
    """Topics that there are not, or not for this employee."""


def _work_of_topics(command: TopicWatch) -> int:
    """Return how often topic.watch counts: once more for each ten topics."""
    return 1 + len(command.topics) // 10


@command(reply=TopicWatched, cost="read", repeatable=True, in_order=True, work=_work_of_topics)
class TopicWatch:
    """Client → server: receive the events of these topics, too; at most 100 on one connection.

    Refused as topic.not_found when none of them may be read. What was published before is not sent:
    read the thing itself after the reply. When a right is withdrawn, topic.unwatched is sent.
    """

    type: Literal["topic.watch"] = "topic.watch"
    topics: TopicList


@command(reply=None, cost="read", repeatable=True, in_order=True)
class TopicUnwatch:
    """Client → server: receive the events of these topics no longer."""

    type: Literal["topic.unwatch"] = "topic.unwatch"
    topics: TopicList


@event(lane="receipt")
class TopicUnwatched:
    """Server → a watcher: these topics may no longer be read; their events stop."""

    type: Literal["topic.unwatched"] = "topic.unwatched"
    topics: list[str]
