"""What travels between nodes: an event, encoded once, and what a node must know to route it.

On the wire: a one-line JSON array `[type, change, by, bytes]`, a newline, then the event's JSON,
so many bytes, exactly as clients receive it. Announcements that follow each other on one topic may
share a message. A node writes these four elements, because a node of the oldest version that may
run beside it accepts exactly four; it reads the first four and ignores further ones.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson

from gateway.bus import routing
from gateway.bus.routing import Routing
from gateway.protocol.codec import encode


@dataclass(frozen=True, slots=True)
class Announcement:
    """One event on its way to everyone who listens to a topic."""

    topic: str
    type: str
    payload: bytes
    """The event's JSON."""
    change: int = 0
    """Its number in the conversation; 0 for events that are state or passing."""
    by: int = 0
    """The employee who caused it, where their own devices must not receive it; else 0."""
    known_routing: Routing | None = field(default=None, compare=False, repr=False)
    """None for an event of another node: use `routing`."""

    @property
    def routing(self) -> Routing:
        """What follows the event up; parses its JSON when another node published it."""
        if self.known_routing is not None:
            return self.known_routing
        return routing.of_payload(self.type, self.payload)

    def to_wire(self) -> bytes:
        """Encode it for other nodes."""
        head = orjson.dumps((self.type, self.change, self.by, len(self.payload)))
        return head + b"\n" + self.payload

    @classmethod
    def from_wire(cls, topic: str, data: bytes) -> list[Announcement]:
        """Read what to_wire wrote, once or several times; ValueError when it is anything else."""
        found, at = [], 0
        while at < len(data):
            line = data.find(b"\n", at)
            if line < 0:
                raise ValueError("no head")
            try:
                type_, change, by, size, *_later = orjson.loads(data[at:line])
            except (orjson.JSONDecodeError, TypeError) as error:
                raise ValueError("unreadable head") from error
            numbers = isinstance(change, int) and isinstance(by, int) and isinstance(size, int)
            at = line + 1 + size if numbers else 0
            if not (isinstance(type_, str) and line < at <= len(data)):
                raise ValueError("unreadable head")
            found.append(cls(topic, type_, data[line + 1 : at], change, by))
        if not found:
            raise ValueError("no head")
        return found


def announce(topic: str, event: Any, *, change: int = 0, by: int = 0) -> Announcement:
    """Encode an event for a topic."""
    return Announcement(topic, event.type, encode(event), change, by, routing.of_event(event))
