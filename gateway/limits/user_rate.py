"""A rate limit for each user, over all of their connections to this node.

sessions ─▶ UserRate ◀─▶ ClusterLimits, which adds up all nodes.
"""

from __future__ import annotations

from collections.abc import Mapping

from gateway.limits.rate import Rate


class _Usage:
    """What one user has used of a rate."""

    __slots__ = ("blocked_until", "unreported", "until")

    def __init__(self) -> None:
        self.until = 0.0
        self.blocked_until = 0.0
        self.unreported = 0


class UserRate:
    """The same rate for every user."""

    def __init__(self, per_s: float, burst: float) -> None:
        self.per_s = per_s
        self.burst = burst
        self._rate = Rate(per_s, burst)
        self._spent: dict[int, _Usage] = {}

    def __len__(self) -> int:
        """Return the number of users with use that has not expired or not been reported."""
        return len(self._spent)

    def acquire(self, user_id: int, now: float) -> float:
        """Use one; return 0.0 when granted, else the seconds until it would be."""
        spent = self._spent.get(user_id)
        if spent is None:
            spent = self._spent[user_id] = _Usage()
        if spent.blocked_until > now:
            return spent.blocked_until - now
        wait_s = self._rate.wait_s(spent.until, now)
        if not wait_s:
            spent.until = self._rate.spend(spent.until, now)
            spent.unreported += 1
        return wait_s

    def charge(self, user_id: int, now: float, units: int) -> None:
        """Use more after one was granted: what follows waits until the rate has made up for it."""
        spent = self._spent.get(user_id)
        if spent is None:
            spent = self._spent[user_id] = _Usage()
        spent.until = self._rate.spend(spent.until, now, units)
        spent.unreported += units

    def pop_unreported(self) -> dict[int, int]:
        """Return user → number granted since the last call."""
        found = {}
        for user_id, spent in self._spent.items():
            if spent.unreported:
                found[user_id], spent.unreported = spent.unreported, 0
        return found

    def block(self, until: Mapping[int, float]) -> None:
        """Grant these users nothing until the given times: other nodes granted too much."""
        for user_id, when in until.items():
            spent = self._spent.get(user_id)
            if spent is None:
                spent = self._spent[user_id] = _Usage()
            spent.blocked_until = max(spent.blocked_until, when)

    def expire(self, now: float) -> None:
        """Delete users who have their whole burst available again.

        Not when their last connection ends: a new one would start with a full burst.
        """
        idle = [
            user_id
            for user_id, spent in self._spent.items()
            if spent.until <= now and spent.blocked_until <= now and not spent.unreported
        ]
        for user_id in idle:
            del self._spent[user_id]
