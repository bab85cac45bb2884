"""What travels between nodes: an event, encoded once, and what a node must know to route it.

On the wire: a one-line JSON array `[type, change, by, bytes]`, a newline, then the event's JSON,
so many bytes, exactly as clients receive it. Announcements that follow each other on one topic may
share a message.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from gateway.protocol.codec import encode


@dataclass(frozen=True, slots=True)
class Announcement:
    """One event on its way to everyone who hears a topic."""

    topic: str
    type: str
    payload: bytes
    """The event's JSON."""
    change: int = 0
    """Its number in the conversation; 0 for events that are state or passing."""
    by: int = 0
    """The employee who caused it, where their own devices must not hear it; else 0."""

    def to_wire(self) -> bytes:
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
                type_, change, by, size = orjson.loads(data[at:line])
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
    return Announcement(topic, event.type, encode(event), change, by)
