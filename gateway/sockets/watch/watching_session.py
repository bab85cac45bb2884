"""What the watches use of a session."""

from __future__ import annotations

from typing import Protocol

from gateway.context import Context
from gateway.delivery.shared_frame import SharedFrame


class WatchingSession(Protocol):
    """A session that watches people or queues."""

    closed: bool
    context: Context | None
    watched: frozenset[int]
    """The employees whose presence it watches."""

    @property
    def user_id(self) -> int: ...

    @property
    def live(self) -> bool:
        """False while it catches up: then frames are held."""

    @property
    def full(self) -> bool:
        """Whether its socket takes nothing just now."""

    def deliver(self, frame: SharedFrame) -> None: ...

    def send_event(self, event: object) -> None:
        """Send an event to this session alone, at once."""
