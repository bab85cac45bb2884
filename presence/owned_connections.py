"""The connections on this node: devices per person, grace periods, and what the store has recorded.

sessions ─▶ store ─▶ OwnedConnections ─▶ PresenceWriter. No I/O, and time is passed in.
"""

from __future__ import annotations

from collections.abc import Iterable

from presence.model import DeviceStatus


class OwnedConnections:
    """This node's connections; all that the store records of this node can be rebuilt from here."""

    def __init__(self, grace_s: float) -> None:
        self._grace_s = grace_s
        self._devices: dict[int, dict[str, int]] = {}  # connections of each device
        self._away: dict[int, set[str]] = {}
        self._grace: dict[int, tuple[float, DeviceStatus]] = {}
        """user → end of the grace period, and the status until then; ordered by that end."""
        self._stored: dict[int, DeviceStatus] = {}

    def arrive(self, user_id: int, device: str, *, away: bool = False) -> None:
        """Count one more connection; a reload opens the new one before the old one is closed."""
        devices = self._devices.setdefault(user_id, {})
        devices[device] = devices.get(device, 0) + 1
        self._grace.pop(user_id, None)
        self.set_away(user_id, device, away=away)

    def leave(self, user_id: int, device: str, now: float) -> None:
        """Count one connection less; with the last one the grace period begins."""
        devices = self._devices.get(user_id)
        if devices is None or device not in devices:
            return
        devices[device] -= 1
        if devices[device]:
            return
        if len(devices) == 1:  # the last device: its status stays until the grace period has passed
            self._grace[user_id] = (now + self._grace_s, self.desired(user_id))
            del self._devices[user_id]
            self._away.pop(user_id, None)
            return
        del devices[device]
        self._not_away(user_id, device)

    def set_away(self, user_id: int, device: str, *, away: bool) -> None:
        """Set whether a connected device is unattended."""
        if not away:
            self._not_away(user_id, device)
        elif device in self._devices.get(user_id, ()):
            self._away.setdefault(user_id, set()).add(device)

    def desired(self, user_id: int) -> DeviceStatus:
        """Return what the store should record for this node's devices of a person."""
        devices = self._devices.get(user_id)
        if devices is None:
            return self._grace.get(user_id, (0.0, "offline"))[1]
        return "away" if len(self._away.get(user_id, ())) == len(devices) else "online"

    def stored(self, user_id: int) -> DeviceStatus:
        """Return what the store has recorded for this node's devices of a person."""
        return self._stored.get(user_id, "offline")

    def mark_stored(self, user_id: int, value: DeviceStatus) -> None:
        """Note that the store has recorded this status."""
        if value == "offline":
            self._stored.pop(user_id, None)
        else:
            self._stored[user_id] = value

    def reset_stored(self) -> list[int]:
        """Assume that the store has recorded nothing; return everyone it has to record."""
        self._stored.clear()
        return [*self._devices, *self._grace]

    def pop_expired(self, now: float) -> list[int]:
        """Remove and return the people whose grace period has passed."""
        over: list[int] = []
        for user_id, (deadline, _shown) in self._grace.items():
            if deadline > now:
                break
            over.append(user_id)
        for user_id in over:
            del self._grace[user_id]
        return over

    def next_expiry(self) -> float | None:
        """Return when the next grace period ends; None when there is none."""
        return next((deadline for deadline, _shown in self._grace.values()), None)

    def out_of_date(self, user_ids: Iterable[int]) -> list[int]:
        """Return the people for whom the store's record differs from what it should be."""
        return [one for one in user_ids if self.desired(one) != self.stored(one)]

    def _not_away(self, user_id: int, device: str) -> None:
        if away := self._away.get(user_id):
            away.discard(device)
            if not away:
                del self._away[user_id]
