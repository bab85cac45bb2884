"""What joining and leaving conversations use of a session."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from typing import Protocol

from gateway.bus import Announcement
from gateway.context import Context
from gateway.delivery.hub import Listener
from gateway.protocol import Welcome


class ListeningSession(Listener, Protocol):
    """A session that listens to topics."""

    id: str
    closed: bool
    context: Context | None
    device: str
    needs_reconcile: bool

    @property
    def live(self) -> bool:
        """Whether it was welcomed and holds no events."""

    def hold(self) -> None:
        """Hold its events until release()."""

    def holds(self, topic: str, first: int, last: int) -> bool:
        """Return whether every change from first to last of this topic is held."""

    def release(self, floors: Mapping[str, int], *, keep: AbstractSet[str] = frozenset()) -> None:
        """Send the held events, without those at or below the floor of their topic."""

    def discard_held(self, topic: str, unwanted: Callable[[Announcement], bool]) -> None:
        """Drop the held events of a topic that must not be sent."""

    def reset(self) -> None:
        """Undo a hello that failed."""

    def send_welcome(self, welcome: Welcome) -> None:
        """Reply to hello."""

    def send_event(self, event: object) -> None:
        """Send an event to this session alone, at once."""
