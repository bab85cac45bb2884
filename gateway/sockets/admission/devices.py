"""One connection of a device: the newest. The one it left half-dead elsewhere is let go.

Node ─▶ Devices ─▶ sessions. Who arrives says so on the user's topic, to the nodes that hold
another session of that user; clients never hear of it. Order is by (time, session), so that of
two that arrive at once exactly one stays, whatever the nodes hear first. Clocks of nodes need to
agree only as well as a person changes networks: within a second or so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, NamedTuple

import orjson

from gateway import topics
from gateway.bus import Announcement
from gateway.protocol import Device, close_codes

if TYPE_CHECKING:
    from gateway.sockets.node import Node
    from gateway.sockets.session.session import Session

ARRIVED = "session.arrived"
AT_ONCE = 200
PAUSE_S = 0.05
"""After an outage everyone says again that they are here: 4,000 a second, beside the traffic."""


class DeviceClaim(NamedTuple):
    """What a session says of itself; of two rivals the lower one goes."""

    at_ms: int
    session: str
    kind: str
    device: str

    def rivals(self, other: DeviceClaim, replaced_kinds: Collection[str]) -> bool:
        """Say whether a user may have only one of these two."""
        if self.session == other.session:
            return False
        same_kind = self.kind == other.kind and self.kind in replaced_kinds
        return same_kind or self.device == other.device


class Devices:
    """Keeps one session of each device, and of each kind that allows only one."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._lost_news = asyncio.Event()

    def claim(self, session_id: str, device: Device | None) -> DeviceClaim | None:
        """Return what a session claims that says hello now; None when it names no device."""
        if device is None:
            return None
        return DeviceClaim(int(self._node.time() * 1_000), session_id, device.kind, device.id)

    def replaces(self, user_id: int, claim: DeviceClaim | None) -> bool:
        """Say whether somebody here will have to go for it."""
        return claim is not None and any(True for _ in self._rivals(user_id, claim))

    def session_started(self, session: Session) -> None:
        """Let go of whom this session replaces, here and on other nodes."""
        if session.claim is None or session.closed:
            return
        self._close_rivals(session.user_id, session.claim)
        if not session.closed:
            self._announce([session])

    def session_announced(self, announcement: Announcement) -> None:
        """Take in who arrived on another node; tell it when somebody here is newer."""
        user_id = topics.user_of(announcement.topic)
        if user_id is None:
            return
        self._announce(
            self._close_rivals(user_id, DeviceClaim(*orjson.loads(announcement.payload)))
        )

    def announce_all(self) -> None:
        """Have everyone here say again that they are here: others may not have heard it."""
        self._lost_news.set()

    async def run(self) -> None:
        """Repeat what may have been lost, until cancelled."""
        while True:
            await self._lost_news.wait()
            self._lost_news.clear()
            everyone = [session for session in self._node.sessions if session.claim is not None]
            for start in range(0, len(everyone), AT_ONCE):
                self._announce(everyone[start : start + AT_ONCE])
                await asyncio.sleep(PAUSE_S)

    def _rivals(self, user_id: int, claim: DeviceClaim) -> Iterable[Session]:
        kinds = self._node.settings.replaced_kinds
        for session in self._node.sessions_of(user_id):
            if session.claim is not None and session.claim.rivals(claim, kinds):
                yield session

    def _close_rivals(self, user_id: int, claim: DeviceClaim) -> list[Session]:
        """End everybody here who is older than this claim; return those who are newer."""
        newer = []
        for session in list(self._rivals(user_id, claim)):
            assert session.claim is not None
            if session.claim < claim:
                session.close(close_codes.REPLACED)
            else:
                newer.append(session)
        if newer:
            for session in self._node.sessions_of(user_id):
                if session.claim is claim:
                    session.close(close_codes.REPLACED)
        return newer

    def _announce(self, sessions: Iterable[Session]) -> None:
        self._node.bus.publish(
            [
                Announcement(topics.user(session.user_id), ARRIVED, orjson.dumps([*session.claim]))
                for session in sessions
                if session.claim is not None and session.user_id and not session.closed
            ]
        )
