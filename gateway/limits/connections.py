"""How many connections each user has: exact for this node, approximate for the others.

admission ─▶ UserConnections ◀─▶ ClusterLimits. Counts of other nodes are used for ELSEWHERE_TTL_S
after they were read.
"""

from __future__ import annotations

from collections.abc import Mapping

ELSEWHERE_TTL_S = 10.0
"""Counts of other nodes are used this long: a node does not report to others when it has fewer."""


class UserConnections:
    """Counts users' connections and enforces the limit per user."""

    def __init__(self, limit: int) -> None:
        self.most = limit
        self._here: dict[int, int] = {}
        self._elsewhere: dict[int, tuple[int, float]] = {}
        self._changed: dict[int, int] = {}
        """user → connections opened since the last report."""

    @property
    def unreported(self) -> bool:
        """Return whether a count has changed since the last report."""
        return bool(self._changed)

    def held_here(self, user_id: int) -> int:
        """Return a user's connections on this node."""
        return self._here.get(user_id, 0)

    def acquire(self, user_id: int, now: float, *, replacing: bool = False) -> bool:
        """Count one more; False, and not counted, when the limit is reached.

        A connection that replaces another one, which is about to close, is always admitted.
        """
        arrived = self._changed.setdefault(user_id, 0)
        elsewhere, known_until = self._elsewhere.get(user_id, (0, 0.0))
        others = elsewhere if known_until > now else 0
        if self.held_here(user_id) + others >= self.most and not replacing:
            return False
        self._here[user_id] = self.held_here(user_id) + 1
        self._changed[user_id] = arrived + 1
        return True

    def release(self, user_id: int) -> None:
        """Count one less."""
        self._changed.setdefault(user_id, 0)
        left = self.held_here(user_id) - 1
        if left > 0:
            self._here[user_id] = left
        else:
            self._here.pop(user_id, None)

    def pop_changed(self) -> dict[int, int]:
        """Return the users whose count changed since the last call → connections opened."""
        changed, self._changed = self._changed, {}
        return changed

    def report_again(self, users: Mapping[int, int] | None = None) -> None:
        """Queue a report again that could not be sent; without argument, report all users."""
        again = dict.fromkeys(self._here, 0) if users is None else users
        for user_id, arrived in again.items():
            self._changed[user_id] = self._changed.get(user_id, 0) + arrived

    def update_elsewhere(self, user_id: int, elsewhere: int, now: float) -> int:
        """Set the count of the other nodes; return by how many the limit is now exceeded."""
        if elsewhere:
            self._elsewhere[user_id] = (elsewhere, now + ELSEWHERE_TTL_S)
        else:
            self._elsewhere.pop(user_id, None)
        return max(0, self.held_here(user_id) + elsewhere - self.most)

    def expire(self, now: float) -> None:
        """Delete counts of other nodes that are too old."""
        old = [user_id for user_id, (_, until) in self._elsewhere.items() if until <= now]
        for user_id in old:
            del self._elsewhere[user_id]
