"""One relayed event: as a row of realtime.events, and on its way to the nodes.

relay, realtime.events ─▶ RelayedEvent ─▶ bus ─▶ sockets. On the bus: a line of JSON with what a
node must know, then the event as clients receive it, encoded once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Final

import orjson

from gateway import topics as names
from gateway.bus import Announcement
from gateway.protocol.codec import encode, fragment_of_text

PUBLISHED: Final = "event.published"


@dataclass(frozen=True)
class RelayedEvent:
    """An event with its position."""

    position: int
    """1, 2, 3 … without holes, over all events: the order of delivery."""
    users: list[int]
    topics: list[str]
    body: bytes
    """PublishedEvent as JSON."""

    @cached_property
    def announcement(self) -> Announcement:
        """The event for all nodes."""
        head = orjson.dumps([self.position, self.users, self.topics])
        return Announcement(names.EVENTS, PUBLISHED, head + b"\n" + self.body)

    @classmethod
    def announced(cls, announcement: Announcement) -> RelayedEvent:
        """Read what another node announced; ValueError when it is anything else."""
        head, _, body = announcement.payload.partition(b"\n")
        position, users, topics, *_later = orjson.loads(head)
        return cls(position, users, topics, body)

    def payload(self, *, addressed: bool, topics: list[str]) -> bytes:
        """Return EventPublished as JSON for those who are named in it, and watch these topics."""
        return b'{"type":"event.published","event":%b,"addressed":%b,"topics":%b}' % (
            self.body,
            b"true" if addressed else b"false",
            orjson.dumps(topics),
        )


def encode_body(
    event_id: int,
    event_type: str,
    *,
    source: str,
    key: str | None,
    payload: str,
    created_at: datetime,
) -> bytes:
    """Return PublishedEvent as JSON; its payload is JSON already."""
    return encode(
        {
            "id": event_id,
            "type": event_type,
            "source": source,
            "key": key,
            "payload": fragment_of_text(payload),
            "created_at": created_at,
        }
    )
