"""Clients that watch people, and the statuses they receive.

scenarios ─▶ PresenceWatcher ─▶ FleetClient. A watcher parses every frame: its content is checked,
not only counted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import orjson

from loadtests.fleet import FleetClient
from loadtests.raw_socket import masked
from loadtests.test_users import SignedInUser

OnStatus = Callable[[int, str, float], None]
"""Takes an employee, a status, and when that was read."""

CHANGED = b'{"type":"presence.changed"'


class PresenceWatcher:
    """One client that watches some people."""

    def __init__(self, player: SignedInUser, watched: Sequence[int], on_status: OnStatus) -> None:
        self.player = player
        self.watched = watched
        self.frames = 0
        self.news = 0
        self.refused = 0
        self.known: dict[int, tuple[int, str]] = {}
        """Watched user → version and status, as last received."""
        self._on_status = on_status
        self.member: FleetClient | None = None

    async def arrive(self, index: int) -> float:
        """Connect and watch; return when it was welcome."""
        self.member = FleetClient(self.player, self._hear)
        await self.member.arrive(index)
        at = time.perf_counter()
        if self.watched:
            self.watch({"type": "presence.watch", "id": 2, "employee_ids": list(self.watched)})
        return at

    def watch(self, frame: dict[str, object]) -> None:
        """Send a command without waiting for the answer."""
        assert self.member is not None
        self.member.write(masked(orjson.dumps(frame)))

    def _hear(self, payload: bytes) -> None:
        if payload.startswith(CHANGED):
            self.frames += 1
            self._handle(orjson.loads(payload)["presences"], time.perf_counter())
        elif payload.startswith(b'{"id":2,"ok":{"presences"'):
            self._handle(orjson.loads(payload)["ok"]["presences"], 0.0)
        elif b'"error"' in payload:
            self.refused += 1

    def _handle(self, presences: list[dict[str, object]], at: float) -> None:
        for frame in presences:
            employee_id, version = frame["employee_id"], frame["version"]
            assert isinstance(employee_id, int)
            assert isinstance(version, int)
            status = str(frame["status"])
            if at:
                self.news += 1
                self._on_status(employee_id, status, at)
            if self.known.get(employee_id, (-1, ""))[0] < version:
                self.known[employee_id] = (version, status)
