"""Who comes in: connections of an address and of a user, the accept rate, the queue of hellos.

edge, server, sessions ─▶ Door. Before the upgrade the answer is HTTP; after it, an error to hello.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, cast

from redis.asyncio import Redis

from gateway import topics
from gateway.auth import Tokens
from gateway.delivery.hub import Hub
from gateway.errors import (
    Draining,
    GatewayError,
    Overloaded,
    TooManyAtOnce,
    TooManyConnections,
    TooManyOfUser,
)
from gateway.protocol import Device, Hello, close_codes
from gateway.settings import Settings
from gateway.sockets.admission.devices import Devices
from gateway.sockets.admission.drain import Drain
from gateway.sockets.admission.limits import SocketLimits
from gateway.sockets.listener.handshake import is_in
from gateway.sockets.subscriptions import joining

if TYPE_CHECKING:
    from gateway.sockets.node import Node
    from gateway.sockets.session.session import Session

MAX_HELLO_WAIT_S = 120.0
"""However often a client is told to say hello later, it has done so by then."""


class Door:
    """The half of a node that lets clients in."""

    drain: Drain
    hub: Hub

    def __init__(self, settings: Settings, tokens: Tokens, redis: Redis | None) -> None:
        self.settings = settings
        self.tokens = tokens
        self.limits = SocketLimits(settings)
        self.devices = Devices(cast("Node", self))
        self.cluster_limits = (
            self.limits.ledger(redis, settings.node, self._too_many) if redis else None
        )
        self.rejected: Counter[str] = Counter()
        self._addresses: Counter[str] = Counter()
        self._http: Counter[str] = Counter()

    # --- before the upgrade ----------------------------------------------------------------

    def http_opened(self, address: str) -> bool:
        """Count a connection that is not, or not yet, a WebSocket; False when there are too many.

        A trusted proxy may open as many as it likes: it speaks for many.
        """
        self._http[address] += 1
        if self._http[address] <= self.settings.connections_per_address:
            return True
        if is_in(address, self.settings.trusted_proxies):
            return True
        self.count_rejection(TooManyConnections.code)
        return False

    def http_closed(self, address: str) -> None:
        self._http[address] -= 1
        if self._http[address] <= 0:
            del self._http[address]

    def check_connection(self, address: str) -> GatewayError | None:
        """Return why nobody, or nobody from this address, may become a WebSocket just now."""
        if self.drain.begun:
            return Draining()
        if self._addresses[address] >= self.settings.connections_per_address:
            return TooManyConnections()
        if wait_s := self.limits.accepts.acquire():
            return TooManyAtOnce(wait_s)
        return None

    def disconnected(self, address: str) -> None:
        self._addresses[address] -= 1
        if self._addresses[address] <= 0:
            del self._addresses[address]

    def count_rejection(self, reason: str) -> None:
        """Count a connection that was turned away before it became a WebSocket."""
        self.rejected[reason] += 1

    # --- hello -----------------------------------------------------------------------------

    async def welcome(
        self, session: Session, command: Hello, token: str | None, request_id: int | None
    ) -> None:
        """Serve a hello, in its turn."""
        claims = self.tokens.verify(command.token or token)
        now = asyncio.get_running_loop().time()
        if late_s := self.limits.hellos.retry_after_s(now):
            patience = session.opened_at + MAX_HELLO_WAIT_S
            session.hello_deadline = min(now + late_s + self.settings.hello_s, patience)
            raise Overloaded("Many are saying hello.", retry_after=late_s)
        async with self.limits.hellos.slot():
            if session.closed:
                return
            self._admit(session, claims.employee_id, command.device)
            try:
                await joining.serve_hello(cast("Node", self), session, command, claims, request_id)
            except BaseException:
                self.no_longer_counted(session)
                raise
        self.devices.session_started(session)

    def _admit(self, session: Session, user_id: int, device: Device | None) -> None:
        """Count this session as one of the user's; TooManyOfUser when there are enough."""
        claim = self.devices.claim(session.id, device)
        replacing = self.devices.replaces(user_id, claim)
        now = asyncio.get_running_loop().time()
        if not self.limits.connections.acquire(user_id, now, replacing=replacing):
            raise TooManyOfUser
        session.counted_user_id = user_id
        session.claim = claim

    def no_longer_counted(self, session: Session) -> None:
        """Give up a session's place among its user's."""
        if session.counted_user_id:
            self.limits.connections.release(session.counted_user_id)
            session.counted_user_id = 0

    def _too_many(self, user_id: int, count: int) -> None:
        """Let the newest sessions of a user go: together with other nodes' they are too many."""
        newest = sorted(self.sessions_of(user_id), key=lambda session: session.opened_at)
        for session in newest[-count:]:
            session.close(close_codes.TOO_MANY_CONNECTIONS)

    def sessions_of(self, user_id: int) -> list[Session]:
        """Return the sessions of a user that are here."""
        return cast("list[Session]", list(self.hub.listeners(topics.user(user_id))))
