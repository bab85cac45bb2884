"""PresenceStore: the promises of every store.

sessions (arrive, leave), commands (choose, fetch), telephony (set_on_call) ─▶ PresenceStore ─▶ the
`on_change` that the store was built with.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Protocol

from presence.model import Choice, PresenceState


class StoreUnavailable(Exception):
    """Presence cannot be changed at the moment; retry in a few seconds."""


class PresenceStore(Protocol):
    """Presence of all people, shared by all nodes.

    Every visible change goes to `on_change` once, on the node that made it; the methods return the
    same object. After a lost reply it may be passed again with the same version.
    """

    async def open(self) -> None:
        """Start; this node also cleans up after nodes that died from now on."""

    async def close(self) -> None:
        """Stop; people keep their status for the grace period, so a drain is invisible."""

    async def arrive(
        self, user_id: int, device: str, *, away: bool = False
    ) -> PresenceState | None:
        """Count one more connection of a device on this node; None when nothing visible changed.

        `away`: the device is unattended from the start, so its reconnect changes nothing visible.

        Never raises while Redis is unreachable: the change is written when Redis is back.
        """

    async def leave(self, user_id: int, device: str) -> None:
        """Count one connection less; offline after the grace period without a reconnect."""

    async def set_away(self, user_id: int, device: str, away: bool) -> PresenceState | None:
        """Set whether a connected device is unattended; the most present device decides."""

    async def choose(
        self,
        user_id: int,
        status: Choice | None,
        text: str | None,
        until: datetime | None = None,
    ) -> PresenceState:
        """Store the person's own choice of status and text; None clears each.

        Both end at `until`; that is announced once, by any running node. 'offline' makes the person
        invisible. Raises StoreUnavailable when the choice cannot be stored: it is never written
        later, when it could overwrite a newer choice made on another node.
        """

    async def set_on_call(self, user_id: int, call_id: str, talking: bool) -> PresenceState | None:
        """Add or remove one call; 'on_call' while any remains. Reports may be late or repeated.

        Never raises while Redis is unreachable: the report is written when Redis is back.
        """

    async def correct_calls(self, talking: Collection[tuple[int, str]], as_of: datetime) -> int:
        """Replace the calls in progress by (user, call), as of a moment; return the corrections.

        Reports from after that moment stand. Raises StoreUnavailable.
        """

    async def fetch(self, user_ids: Collection[int]) -> dict[int, PresenceState]:
        """Return each person's state in one round trip; the last known state while degraded."""

    async def nodes_of(self, user_id: int) -> set[str]:
        """Return the names of the nodes to which this person is connected, or was a moment ago.

        Raises StoreUnavailable: nobody knows then.
        """

    def merge_remote(self, presences: Iterable[PresenceState]) -> None:
        """Store what other nodes announced as the last known state."""

    @property
    def degraded(self) -> bool:
        """Return whether what `fetch` returns may be out of date."""

    @property
    def outdated_fetches(self) -> int:
        """Return how many times `fetch` has returned the last known state.

        Fetch watched people again when it has grown and the store is not degraded: an outage may be
        shorter than the time between two looks at `degraded`.
        """

    @property
    def default_version(self) -> int:
        """Return the version of people without a record, whom `fetch` returns as offline.

        During the recovery window of a store that lost its data it is 0, which every reader with a
        higher version ignores; each node writes its people meanwhile. Afterwards it is higher than
        every version given before. Fetch watched people again whenever it changes.
        """

    @property
    def recovery_remaining_s(self) -> float:
        """Return the seconds until `default_version` changes; 0 outside a recovery window."""
