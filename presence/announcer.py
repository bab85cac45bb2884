"""Passes each visible change to `on_change`, and caches the last known state of each person.

stores ─▶ Announcer ─▶ on_change. The cache is what `fetch` returns while Redis is away.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterable

from presence.model import OnChange, PresenceState, never_seen
from presence.settings import PresenceSettings

log = logging.getLogger(__name__)


class Announcer:
    """Calls `on_change`; when that fails or hangs, the store continues."""

    def __init__(self, on_change: OnChange, settings: PresenceSettings) -> None:
        self._on_change = on_change
        self._timeout_s = settings.announce_timeout_s
        self._limit = settings.known_limit
        self._known: dict[int, PresenceState] = {}

    async def announce(self, changes: list[PresenceState]) -> None:
        """Publish these changes once."""
        if not changes:
            return
        self.merge(changes)
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._on_change(changes)
        except Exception:  # the listener's failure must not end the store's loops
            log.exception("presence: on_change failed people=%d", len(changes))

    def merge(self, presences: Iterable[PresenceState]) -> None:
        """Cache each state that is newer than the cached one."""
        for one in presences:
            known = self._known.get(one.user_id)
            if known is None or known.version < one.version:
                self._cache(one)

    def replace(self, presences: Iterable[PresenceState]) -> None:
        """Cache what the store returned, even if older: the store may have lost data."""
        for one in presences:
            self._cache(one)

    def last_known(self, user_ids: Collection[int]) -> dict[int, PresenceState]:
        """Return the cached state of each of these people."""
        return {one: self._known.get(one) or never_seen(one) for one in user_ids}

    def _cache(self, one: PresenceState) -> None:
        self._known[one.user_id] = one
        if len(self._known) > self._limit:
            del self._known[next(iter(self._known))]
