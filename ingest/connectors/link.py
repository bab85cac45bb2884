"""What all connections to PBXs share: settings, errors, the PbxLink protocol and the socket.

connectors.live ─▶ PbxLink (ami, esl) ─▶ PbxSocket. A link knows one protocol. PbxSocket has TLS and
the deadlines; connectors.live has leases, back-off and storing.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol

from ingest.model.events import CallEvent
from ingest.model.snapshot import PbxSnapshot

READ_BYTES = 65_536
MAX_EARLY, MAX_EARLY_BYTES = 10_000, 16 * 1024 * 1024
"""Messages accepted before the sign-in: 5 s of 2,000 events a second, ten times a busy PBX."""
TICK = timedelta(microseconds=1)


class ConnectionLost(Exception):
    """The connection is gone or unusable. Connecting again may help."""


class SignInRefused(Exception):
    """The PBX refused the sign-in: a wrong password or a missing right. It needs an operator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PbxAddress:
    """The address of a PBX and the credentials for it."""

    host: str
    port: int
    user: str = ""
    secret: str = field(repr=False)
    tls: ssl.SSLContext | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkTiming:
    """Deadlines and pauses of a connector, in seconds."""

    connect_s: float = 5.0
    """For connecting, for the greeting and for each answer of the sign-in."""
    quiet_s: float = 15.0
    """Silence after which the PBX is pinged …"""
    answer_s: float = 5.0
    """… and how long its answer may take. Nothing else detects a half-open connection."""
    snapshot_s: float = 30.0
    """How long the answer to a snapshot request may take while events arrive."""
    back_off_s: float = 0.5
    """Pause after a lost connection; doubled with each failure …"""
    back_off_max_s: float = 30.0
    """… up to this."""
    refused_s: float = 60.0
    """Pause after a refused sign-in: trying sooner is useless, and a PBX may ban our address."""
    lease_s: float = 15.0
    """A node that does not renew for this long loses its PBX to another node."""


Received = Sequence[CallEvent] | PbxSnapshot
"""What a link receives: events in their order, and a snapshot when one was requested."""


class PbxLink(Protocol):
    """One connection, used once: open, receive until ConnectionLost, close."""

    async def open(self) -> None:
        """Connect and sign in. Raises ConnectionLost or SignInRefused."""

    async def request_snapshot(self) -> None:
        """Request a snapshot; receive() returns it among the events."""

    async def receive(self) -> list[Received]:
        """Wait for more and return it. Raises ConnectionLost, also for a silent PBX."""

    async def close(self) -> None:
        """Close the connection, whatever state it is in."""


class PbxSocket:
    """A TCP or TLS connection with a deadline for every wait."""

    def __init__(self, address: PbxAddress, timing: LinkTiming) -> None:
        self._address = address
        self._timing = timing
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._last = datetime.min.replace(tzinfo=UTC)
        self._received_bytes = 0

    async def open(self) -> None:
        """Connect; with TLS, the certificate is checked against the host name."""
        to = self._address
        try:
            async with asyncio.timeout(self._timing.connect_s):
                self._reader, self._writer = await asyncio.open_connection(
                    to.host, to.port, ssl=to.tls, limit=READ_BYTES
                )
        except (OSError, TimeoutError) as error:
            raise ConnectionLost(f"no connection to {to.host}:{to.port}: {error!r}") from error

    async def read(self, within_s: float) -> bytes:
        """Return at least one byte. Raises TimeoutError or ConnectionLost."""
        assert self._reader is not None
        try:
            async with asyncio.timeout(within_s):
                data = await self._reader.read(READ_BYTES)
        except TimeoutError:
            raise
        except OSError as error:
            raise ConnectionLost(f"reading failed: {error!r}") from error
        if not data:
            raise ConnectionLost("the PBX closed the connection")
        self._received_bytes += len(data)
        return data

    def check_early(self, messages: int) -> None:
        """Raise ConnectionLost when too much has arrived before the end of the sign-in."""
        if messages > MAX_EARLY or self._received_bytes > MAX_EARLY_BYTES:
            raise ConnectionLost("too many messages before the end of the sign-in")

    async def read_or_ping(self, ping: Callable[[], Awaitable[None]]) -> bytes:
        """Return what arrives; ping a silent PBX once before giving up."""
        try:
            return await self.read(self._timing.quiet_s)
        except TimeoutError:
            await ping()
        try:
            return await self.read(self._timing.answer_s)
        except TimeoutError:
            silent_s = self._timing.quiet_s + self._timing.answer_s
            raise ConnectionLost(f"silent for {silent_s:g} s") from None

    async def write(self, data: bytes) -> None:
        assert self._writer is not None
        try:
            self._writer.write(data)
            async with asyncio.timeout(self._timing.answer_s):
                await self._writer.drain()
        except (OSError, TimeoutError, RuntimeError) as error:  # uvloop: the handler is closed
            raise ConnectionLost(f"writing failed: {error!r}") from error

    def stamp(self) -> datetime:
        """Return the time of receipt, always later than the last one: this keeps the order."""
        self._last = max(datetime.now(UTC), self._last + TICK)
        return self._last

    async def close(self) -> None:
        """Close at once, without waiting for unsent data."""
        if self._writer is None:
            return
        writer, self._writer = self._writer, None
        writer.transport.abort()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(1):
                await writer.wait_closed()
