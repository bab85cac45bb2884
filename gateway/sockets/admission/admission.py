"""Who may connect: connections of an address and of a user, the accept rate, the queue of hellos.

listener, hello ─▶ Admission ─▶ Joining. Before the upgrade the answer is HTTP; after it, an error
reply to hello.
"""

from __future__ import annotations

import asyncio
from collections import Counter

from gateway.auth import Tokens
from gateway.errors import (
    Draining,
    GatewayError,
    Overloaded,
    TooManyAtOnce,
    TooManyConnections,
    TooManyOfUser,
)
from gateway.limits.addresses import is_in, site_of
from gateway.protocol import Device, Hello, Welcome, close_codes
from gateway.settings import Settings
from gateway.sockets.admission.devices import Devices
from gateway.sockets.admission.drain import Drain
from gateway.sockets.metrics import SocketMetrics
from gateway.sockets.session.limits import SocketLimits
from gateway.sockets.session.session import Session
from gateway.sockets.subscriptions.joining import Joining

MAX_HELLO_WAIT_S = 120.0
"""However often a client is asked to send hello later: it must have done so by then."""


class Admission:
    """Admits the clients of one node, or refuses them."""

    def __init__(
        self,
        settings: Settings,
        tokens: Tokens,
        *,
        limits: SocketLimits,
        devices: Devices,
        joining: Joining,
        drain: Drain,
        metrics: SocketMetrics,
    ) -> None:
        self._settings = settings
        self._tokens = tokens
        self._limits = limits
        self._devices = devices
        self._joining = joining
        self._drain = drain
        self._metrics = metrics
        self.addresses: Counter[str] = Counter()
        """Site (an IPv4 address, or a /64 of IPv6) → its WebSockets."""
        self.http_addresses: Counter[str] = Counter()
        """Site → its connections that are not, or not yet, WebSockets."""

    # --- before the upgrade ----------------------------------------------------------------

    def http_opened(self, address: str) -> bool:
        """Count a connection that is not, or not yet, a WebSocket; False when there are too many.

        A trusted proxy may open any number: it connects for many.
        """
        site = site_of(address)
        self.http_addresses[site] += 1
        if self.http_addresses[site] <= self._settings.connections_per_address:
            return True
        if is_in(address, self._settings.trusted_proxies):
            return True
        self._metrics.count_rejection(TooManyConnections.code)
        return False

    def http_closed(self, address: str) -> None:
        """Count a connection no longer: it was closed, or became a WebSocket."""
        _decrease(self.http_addresses, site_of(address))

    def check_connection(self, address: str) -> GatewayError | None:
        """Return why a connection of this address may not become a WebSocket now; None: it may."""
        if self._drain.begun:
            return Draining()
        if self.addresses[site_of(address)] >= self._settings.connections_per_address:
            return TooManyConnections()
        if wait_s := self._limits.accepts.acquire():
            return TooManyAtOnce(wait_s)
        return None

    def connected(self, address: str) -> None:
        """Count a WebSocket of this address."""
        self.addresses[site_of(address)] += 1

    def disconnected(self, address: str) -> None:
        """Count a WebSocket of this address no longer."""
        _decrease(self.addresses, site_of(address))

    # --- hello -----------------------------------------------------------------------------

    async def hello(self, session: Session, command: Hello) -> Welcome | None:
        """Serve a hello in its turn; None when the client has gone meanwhile."""
        claims = await self._tokens.authenticate(command.token or session.token)
        now = asyncio.get_running_loop().time()
        if late_s := self._limits.hellos.retry_after_s(now):
            latest = session.opened_at + MAX_HELLO_WAIT_S
            session.postpone_hello(min(now + late_s + self._settings.hello_s, latest))
            raise Overloaded("Too many clients are signing in at the moment.", retry_after=late_s)
        async with self._limits.hellos.slot():
            if session.closed:
                return None
            self._count(session, claims.employee_id, command.device)
            try:
                welcome = await self._joining.serve_hello(session, command, claims)
            except BaseException:
                self.no_longer_counted(session)
                raise
        self._devices.session_started(session)
        return welcome

    def _count(self, session: Session, user_id: int, device: Device | None) -> None:
        """Count this session as one of the user's; TooManyOfUser when there are enough."""
        claim = self._devices.claim(session.id, device)
        replacing = self._devices.replaces(user_id, claim)
        now = asyncio.get_running_loop().time()
        if not self._limits.connections.acquire(user_id, now, replacing=replacing):
            raise TooManyOfUser
        session.counted_user_id = user_id
        session.claim = claim

    def no_longer_counted(self, session: Session) -> None:
        """Count a session no longer as one of its user's."""
        if session.counted_user_id:
            self._limits.connections.release(session.counted_user_id)
            session.counted_user_id = 0

    def close_newest(self, user_id: int, count: int) -> None:
        """Close the newest sessions of a user who has too many on all nodes together."""
        newest = sorted(self._devices.sessions_of(user_id), key=lambda session: session.opened_at)
        for session in newest[-count:]:
            session.close(close_codes.TOO_MANY_CONNECTIONS)


def _decrease(counter: Counter[str], key: str) -> None:
    counter[key] -= 1
    if counter[key] <= 0:
        del counter[key]
