"""Open connections of an employee, over HTTP."""

from __future__ import annotations

from datetime import datetime

from gateway.protocol.frame import frame

MAX_CONNECTIONS = 1_000


@frame
class OpenConnection:
    """One WebSocket of an employee."""

    session: str
    """As `session` of the welcome."""
    node: str
    """The worker that holds it, as logs and `/metrics` name it."""
    device_kind: str
    device_id: str | None
    """null for a client that names no device."""
    connected_at: datetime
    address: str | None
    """null unless the operator shows addresses (GATEWAY_CONNECTION_ADDRESSES)."""
    user_agent: str | None
    """The first 200 characters of what the client calls itself."""


@frame
class ConnectionList:
    """The open connections of an employee, the oldest first."""

    connections: list[OpenConnection]
    unanswered: list[str]
    """Nodes that did not answer in time: they may hold further ones, or have just died."""


@frame
class ConnectionsClosed:
    """Connections that were closed."""

    sessions: list[str]
    unanswered: list[str]
    """Nodes that did not answer in time: repeat the request if there are any."""
