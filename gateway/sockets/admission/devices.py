"""One connection of a device: the newest. An older one, half-dead on some node, is closed.

Admission ─▶ Devices ─▶ sessions. A new session is announced on the user's topic, to the nodes that
hold another session of that user; clients never receive it. Order is by (time, session), so that of
two that arrive at once exactly one stays, in whatever order the nodes receive the announcements.
Clocks of nodes need to agree only within the time in which a person changes networks: a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable

import orjson

from gateway import topics
from gateway.bus import Announcement
from gateway.delivery.delivery import Delivery
from gateway.protocol import Device, close_codes
from gateway.sockets.session.device_claim import DeviceClaim
from gateway.sockets.session.session import Session

ARRIVED = "session.arrived"
AT_ONCE = 200
PAUSE_S = 0.05
"""After an outage all claims are announced again: 4,000 a second, beside the traffic."""


class Devices:
    """Keeps one session of each device, and of each kind that allows only one."""

    def __init__(
        self,
        delivery: Delivery,
        sessions: Collection[Session],
        *,
        replaced_kinds: Collection[str],
        wall_clock: Callable[[], float],
    ) -> None:
        self._delivery = delivery
        self._sessions = sessions
        self._replaced_kinds = replaced_kinds
        self._wall_clock = wall_clock
        self._events_lost = asyncio.Event()

    def register(self) -> None:
        """Have the announcements of other nodes delivered here."""
        self._delivery.handle_event(topics.USER, ARRIVED, self.session_announced)
        self._delivery.on_resync(self.announce_all)

    def claim(self, session_id: str, device: Device | None) -> DeviceClaim | None:
        """Return the claim of a session that sends hello now; None when it names no device."""
        if device is None:
            return None
        return DeviceClaim(int(self._wall_clock() * 1_000), session_id, device.kind, device.id)

    def replaces(self, user_id: int, claim: DeviceClaim | None) -> bool:
        """Return whether this claim will close a session here."""
        return claim is not None and any(True for _ in self._rivals(user_id, claim))

    def session_started(self, session: Session) -> None:
        """Close the sessions that this one replaces, here and on other nodes."""
        if session.claim is None or session.closed:
            return
        self._close_rivals(session.user_id, session.claim)
        if not session.closed:
            self._announce([session])

    def session_announced(self, announcement: Announcement) -> None:
        """Apply the claim of a session on another node; answer when a session here is newer."""
        user_id = topics.user_of(announcement.topic)
        assert user_id is not None
        claim = DeviceClaim(*orjson.loads(announcement.payload))
        self._announce(self._close_rivals(user_id, claim))

    def announce_all(self) -> None:
        """Announce every claim again, soon: other nodes may have lost some."""
        self._events_lost.set()

    async def run(self) -> None:
        """Announce again after each loss, until cancelled."""
        while True:
            await self._events_lost.wait()
            self._events_lost.clear()
            everyone = [session for session in self._sessions if session.claim is not None]
            for start in range(0, len(everyone), AT_ONCE):
                self._announce(everyone[start : start + AT_ONCE])
                await asyncio.sleep(PAUSE_S)

    def sessions_of(self, user_id: int) -> list[Session]:
        """Return the sessions of a user that are here."""
        return list(self._delivery.hub.listeners(topics.user(user_id)))

    def _rivals(self, user_id: int, claim: DeviceClaim) -> Iterable[Session]:
        for session in self.sessions_of(user_id):
            if session.claim is not None and session.claim.rivals(claim, self._replaced_kinds):
                yield session

    def _close_rivals(self, user_id: int, claim: DeviceClaim) -> list[Session]:
        """Close every session here that is older than this claim; return those that are newer."""
        newer = []
        for session in list(self._rivals(user_id, claim)):
            assert session.claim is not None
            if session.claim < claim:
                session.close(close_codes.REPLACED)
            else:
                newer.append(session)
        if newer:
            for session in self.sessions_of(user_id):
                if session.claim is claim:
                    session.close(close_codes.REPLACED)
        return newer

    def _announce(self, sessions: Iterable[Session]) -> None:
        self._delivery.bus.publish(
            [
                Announcement(topics.user(session.user_id), ARRIVED, orjson.dumps([*session.claim]))
                for session in sessions
                if session.claim is not None and session.user_id and not session.closed
            ]
        )
