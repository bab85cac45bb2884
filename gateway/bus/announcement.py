"""What travels between nodes: an event, encoded once, and what a node must know to route it.

On the wire: a one-line JSON array `[type, change, by]`, a newline, then the event's JSON exactly
as clients receive it.
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
        return orjson.dumps((self.type, self.change, self.by)) + b"\n" + self.payload

    @classmethod
    def from_wire(cls, topic: str, data: bytes) -> Announcement:
        """Read what to_wire wrote; ValueError when it is anything else."""
        head, newline, payload = data.partition(b"\n")
        if not newline:
            raise ValueError("no head")
        try:
            type_, change, by = orjson.loads(head)
        except (orjson.JSONDecodeError, TypeError) as error:
            raise ValueError("unreadable head") from error
        if not (isinstance(type_, str) and isinstance(change, int) and isinstance(by, int)):
            raise ValueError("unreadable head")  # noqa: TRY004 - one kind of failure for callers
        return cls(topic, type_, payload, change, by)


def announce(topic: str, event: Any, *, change: int = 0, by: int = 0) -> Announcement:
    """Encode an event for a topic."""
    return Announcement(topic, event.type, encode(event), change, by)
