"""What the streams of a node read from the database: missed changes, and positions that moved.

delivery.streams ─▶ StreamReader ─▶ queries.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway import topics
from gateway.bus import Announcement, announce
from gateway.chat import sender_state
from gateway.chat.queries import changes, compare
from gateway.context import Services
from gateway.delivery.hub import Hub
from gateway.delivery.streams import PAGE


class StreamReader:
    """Reads for delivery.streams.Streams."""

    def __init__(self, services: Services, hub: Hub) -> None:
        self._services = services
        self._hub = hub

    async def changes_after(self, positions: Sequence[tuple[int, int]]) -> list[Announcement]:
        """Return the events after each (conversation, change), at most PAGE of each, in order.

        Nobody announced them: senders who are connected here receive their draft and mark, too.
        """
        async with self._services.connection() as conn:
            found = await changes.after(conn, positions, PAGE)
            unannounced = await sender_state.unannounced(conn, found, self._is_connected)
        for announcement in unannounced:
            self._hub.deliver(announcement)
        return [
            announce(topics.conversation(one.conversation_id), one.event, change=one.change)
            for one in found
        ]

    async def total(self, conversation_ids: str) -> int:
        """Return the sum of the last changes of these conversations (the text of a bigint[])."""
        async with self._services.connection() as conn:
            return await compare.change_sum(conn, conversation_ids)

    async def moved(self, positions: Sequence[tuple[int, int]]) -> dict[int, int]:
        """Return conversation → last change of those beyond their (conversation, change)."""
        async with self._services.connection() as conn:
            return await compare.advanced(conn, positions)

    def _is_connected(self, employee_id: int) -> bool:
        return bool(self._hub.listeners(topics.user(employee_id)))
