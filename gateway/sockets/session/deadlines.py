"""What a session must do by when: hello, the end of its token, a ping, a sign of life.

TimingWheel ─▶ Session ─▶ Deadlines. One entry in the wheel of the process for each session; no
timer and no task.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from gateway.context import Context
from gateway.delivery.shared_frame import PING
from gateway.protocol import TokenExpiring, close_codes
from gateway.protocol.close_codes import CloseCode
from gateway.sockets.outgoing.sender import Sender
from gateway.sockets.session.timing_wheel import TimingWheel

WARN_S = 60.0
"""The client gets `token.expiring` this long before its token ends."""


class DeadlineOwner(Protocol):
    """What deadlines use of their session. It is passed in, so that nothing refers in a circle."""

    closed: bool
    context: Context | None
    opened_at: float
    received_at: float
    sender: Sender

    @property
    def busy(self) -> bool:
        """Whether one of its commands runs."""

    @property
    def reading_paused(self) -> bool:
        """Whether what it sends is not being read: then its silence means nothing."""

    def due(self, now: float) -> float | None:
        """Be called by the timing wheel, and call Deadlines.due()."""

    def close(self, code: CloseCode) -> None: ...

    def send_event(self, event: object) -> None: ...


class Timeouts(NamedTuple):
    """What is the same for the deadlines of all sessions of a node."""

    wheel: TimingWheel
    hello_s: float
    ping_s: float
    pong_s: float
    wall_clock: Callable[[], float]
    """Seconds since 1970: tokens end by it."""


class Deadlines:
    """The deadlines of one session."""

    __slots__ = ("_armed_at", "_pinged_at", "_timeouts", "_warned", "hello_deadline")

    def __init__(self, timeouts: Timeouts) -> None:
        self._timeouts = timeouts
        self._armed_at = float("inf")
        self._pinged_at = 0.0
        self._warned = False
        self.hello_deadline = 0.0
        """When it was asked to send hello again; 0 when it was not."""

    def arm(self, when: float, owner: DeadlineOwner) -> None:
        """Have the wheel call due() at `when` (loop time), if it would not do so earlier."""
        if when < self._armed_at:
            self._armed_at = when
            self._timeouts.wheel.add(when, owner)

    def token_refreshed(self, now: float, owner: DeadlineOwner) -> None:
        """Warn again before the end of the new token."""
        self._warned = False
        self.arm(now, owner)

    def due(self, now: float, owner: DeadlineOwner) -> float | None:
        """Do what is due: hello deadline, end of the token, ping, silence; return when next."""
        if owner.closed or now < self._armed_at:
            return None  # an entry from before arm() made an earlier one
        self._armed_at = following = self._check(now, owner)
        return following

    def _check(self, now: float, owner: DeadlineOwner) -> float:
        if owner.context is None:
            return self._check_hello(now, owner)
        expires_at = owner.context.identity.expires_at
        expires_in = expires_at.timestamp() - self._timeouts.wall_clock()
        if expires_in <= 0:
            owner.close(close_codes.TOKEN_EXPIRED)
            return now + 1.0
        if expires_in <= WARN_S and not self._warned:
            self._warned = True
            owner.send_event(TokenExpiring(expires_at=expires_at))
        return min(self._ping(now, owner), now + expires_in, now + max(expires_in - WARN_S, 1.0))

    def _check_hello(self, now: float, owner: DeadlineOwner) -> float:
        if now < self.hello_deadline:
            return self.hello_deadline
        deadline = owner.opened_at + self._timeouts.hello_s
        if now >= deadline and not owner.busy:
            owner.close(close_codes.HELLO_TIMEOUT)
        return max(now + 0.25, deadline)

    def _ping(self, now: float, owner: DeadlineOwner) -> float:
        if self._pinged_at > owner.received_at:
            if now >= self._pinged_at + self._timeouts.pong_s and not owner.reading_paused:
                owner.close(close_codes.NO_PONG)
                return now + 1.0
            return self._pinged_at + self._timeouts.pong_s
        # Quiet in either direction: on a busy topic only its own silence shows a dead client.
        quiet_since = max(
            min(owner.sender.sent_at, owner.received_at), self._pinged_at, owner.opened_at
        )
        if now < quiet_since + self._timeouts.ping_s:
            return quiet_since + self._timeouts.ping_s
        owner.sender.send(PING)
        self._pinged_at = now
        return now + self._timeouts.pong_s
