"""PresenceStore: what every store promises.

Callers are sessions (arrive, leave), commands (choose, look) and telephony (set_on_call);
what changed goes out through the `on_change` that the store was built with.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Protocol

from presence.model import Choice, PresenceState


class StoreUnavailable(Exception):
    """Presence cannot be changed at this moment; trying again in a few seconds makes sense."""


class PresenceStore(Protocol):
    """Who is here, for all nodes together.

    Every visible change goes through `on_change` on the node that made it, once; what the methods
    return is the same object, for the caller's convenience. After a lost answer it may be told
    again with the same version.
    """

    async def open(self) -> None:
        """Take part; people held by nodes that died are looked after from now on."""

    async def close(self) -> None:
        """Say goodbye; our people stay as they are for the grace, so a drain is invisible."""

    async def arrive(
        self, user_id: int, device: str, *, away: bool = False
    ) -> PresenceState | None:
        """Count one more connection of a device here; None when nothing visible changed.

        A device at which nobody looks may say so at once, so that its return is not news.

        Never raises for an unreachable Redis: it is told once it is back.
        """

    async def leave(self, user_id: int, device: str) -> None:
        """Count one connection less; offline only when the grace passes without a return."""

    async def set_away(self, user_id: int, device: str, away: bool) -> PresenceState | None:
        """Note that a connected device is not being looked at; the most present device wins."""

    async def choose(
        self,
        user_id: int,
        status: Choice | None,
        text: str | None,
        until: datetime | None = None,
    ) -> PresenceState:
        """Set status and text by one's own choice; None returns each to nothing chosen.

        Both end by themselves at `until`, which is announced once, whoever is running then.
        'offline' makes invisible. Raises Unavailable when the choice cannot be stored: it is never
        kept for later, where it could overwrite a newer one made on another node.
        """

    async def set_on_call(self, user_id: int, call_id: str, talking: bool) -> PresenceState | None:
        """Add or remove one call; on a call while any remains. Late and repeated reports are fine.

        Never raises for an unreachable Redis: it is told once it is back.
        """

    async def correct_calls(self, talking: Collection[tuple[int, str]], as_of: datetime) -> int:
        """Make (user, call) all that go on, as of a moment; return how many were wrong.

        What was reported after that moment stands. Raises Unavailable.
        """

    async def fetch(self, user_ids: Collection[int]) -> dict[int, PresenceState]:
        """Return everyone asked for, in one round trip; the last known state while degraded."""

    def merge_remote(self, presences: Iterable[PresenceState]) -> None:
        """Take note of what other nodes announced, as the last known state."""

    @property
    def degraded(self) -> bool:
        """Tell whether what `look` returns may be out of date."""

    @property
    def default_version(self) -> int:
        """Return the version of whoever nothing is known of: they are offline, as `look` says.

        It is 0, which everybody ignores who knows more, until each node had the time to tell a
        store without a memory whom it holds; then it is higher than all that was said before.
        Look again at those who are watched whenever it changes.
        """

    @property
    def recovery_remaining_s(self) -> float:
        """Return how long it is until `default_version` changes; 0 when it is certain."""
