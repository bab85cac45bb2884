"""What a session must do by when: hello, the token's end, a ping, a sign of life.

wheel ─▶ Deadlines. One entry in the process's wheel for each session, no timer and no task.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from gateway.delivery.shared_frame import PING
from gateway.protocol import TokenExpiring, close_codes, codec
from gateway.protocol.close_codes import CloseCode
from gateway.sockets.outgoing.sender import Sender
from gateway.sockets.session.held_events import Ear

if TYPE_CHECKING:
    from gateway.sockets.node import Node

WARN_S = 60.0  # how long before the token's end the client hears of it


class Connection(Protocol):
    """What a session needs of its socket."""

    def close(self, code: CloseCode) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...


class Deadlines(Ear):
    """The half of a session that looks at the clock."""

    __slots__ = (
        "__weakref__",
        "_armed_at",
        "_connection",
        "_node",
        "_pinged_at",
        "_reading_paused",
        "_warned",
        "_working",
        "closed",
        "opened_at",
        "received_at",
    )  # fmt: skip

    def __init__(self, node: Node, connection: Connection, sender: Sender) -> None:
        super().__init__(sender)
        self._node = node
        self._connection = connection
        self.opened_at = self.received_at = asyncio.get_running_loop().time()
        self.closed = False
        self._working = 0
        self._reading_paused = False
        self._pinged_at = 0.0
        self._armed_at = float("inf")
        self._warned = False

    def arm(self, when: float) -> None:
        """Have the wheel ask at `when`, if it would not ask before."""
        if when < self._armed_at:
            self._armed_at = when
            self._node.wheel.add(when, self)

    def due(self, now: float) -> float | None:
        """Do what the clock asks: hello deadline, token's end, ping, silence."""
        if self.closed or now < self._armed_at:
            return None  # an entry from before arm() made an earlier one
        self._armed_at = following = self._look_at_clock(now)
        return following

    def _look_at_clock(self, now: float) -> float:
        settings = self._node.settings
        if self.context is None:
            if now >= self.opened_at + settings.hello_s and not self._working:
                self._connection.close(close_codes.HELLO_TIMEOUT)
            return max(now + 0.25, self.opened_at + settings.hello_s)
        expires_in = self.context.identity.expires_at.timestamp() - self._node.time()
        if expires_in <= 0:
            self._connection.close(close_codes.TOKEN_EXPIRED)
            return now + 1.0
        if expires_in <= WARN_S and not self._warned:
            self._warned = True
            warning = TokenExpiring(expires_at=self.context.identity.expires_at)
            self._sender.send_payload(codec.encode(warning))
        return min(self._ping(now), now + expires_in, now + max(expires_in - WARN_S, 1.0))

    def _ping(self, now: float) -> float:
        settings = self._node.settings
        if self._pinged_at > self.received_at:
            if now >= self._pinged_at + settings.pong_s and not self._reading_paused:
                self._connection.close(close_codes.NO_PONG)
                return now + 1.0
            return self._pinged_at + settings.pong_s
        # Quiet in either direction: on a busy topic only its own silence shows a dead client.
        quiet_since = max(
            min(self._sender.sent_at, self.received_at), self._pinged_at, self.opened_at
        )
        if now < quiet_since + settings.ping_s:
            return quiet_since + settings.ping_s
        self._sender.send(PING)
        self._pinged_at = now
        return now + settings.pong_s
