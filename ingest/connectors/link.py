"""What every live connection to a PBX has in common: its settings, its bytes, its troubles.

connectors.live ─▶ Link (ami, esl) ─▶ Wire ─▶ socket. A Link knows one protocol; deadlines and TLS
are the Wire's, leases, back-off and storing are connectors.live's.
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
"""Messages that may come while signing in: 5 s of 2,000 events a second, ten times a busy PBX."""
TICK = timedelta(microseconds=1)


class ConnectionLost(Exception):
    """The connection is gone, or as good as gone. Connecting again may help."""


class SignInRefused(Exception):
    """The PBX does not want us: a wrong password, or no right. Somebody must look into it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a PBX is and how to sign in there."""

    host: str
    port: int
    user: str = ""
    secret: str = field(repr=False)
    tls: ssl.SSLContext | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkTiming:
    """How patient a connector is."""

    connect_s: float = 5.0
    """For the connection, the greeting and each answer while signing in, whatever else is said."""
    quiet_s: float = 15.0
    """Silence after which the PBX is asked whether it is still there …"""
    answer_s: float = 5.0
    """… and how long it may take to answer. Nobody else notices a half-open connection."""
    snapshot_s: float = 30.0
    """How long it may take to tell how things are, while it talks of what goes on."""
    back_off_s: float = 0.5
    """After a lost connection; doubled with each failure …"""
    back_off_max_s: float = 30.0
    """… up to this."""
    refused_s: float = 60.0
    """After a refused sign-in: trying faster helps nobody, and a PBX may ban us for it."""
    lease_s: float = 15.0
    """A node that is silent this long has lost its PBXs to another."""


Received = Sequence[CallEvent] | PbxSnapshot
"""What a PBX tells: events in their order, and between them, when asked, how things are."""


class PbxLink(Protocol):
    """One connection, used once: open, listen until Lost, close."""

    async def open(self) -> None:
        """Connect and sign in. Raises Lost or Refused."""

    async def request_snapshot(self) -> None:
        """Ask how things are; the answer comes among what is received."""

    async def receive(self) -> list[Received]:
        """Wait for more and return it. Raises Lost, also when the PBX has fallen silent."""

    async def close(self) -> None:
        """Let go, whatever state it is in."""


class PbxSocket:
    """A TCP or TLS connection whose every wait has a deadline."""

    def __init__(self, address: Address, timing: LinkTiming) -> None:
        self._address = address
        self._timing = timing
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._last = datetime.min.replace(tzinfo=UTC)
        self._received_bytes = 0

    async def open(self) -> None:
        """Connect; the certificate is checked against the host's name."""
        to = self._address
        try:
            async with asyncio.timeout(self._timing.connect_s):
                self._reader, self._writer = await asyncio.open_connection(
                    to.host, to.port, ssl=to.tls, limit=READ_BYTES
                )
        except (OSError, TimeoutError) as error:
            raise ConnectionLost(f"no connection to {to.host}:{to.port}: {error!r}") from error

    async def read(self, within_s: float) -> bytes:
        """Return what came, at least one byte; TimeoutError when nothing came in time."""
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
        """Raise Lost when more has come than may be kept until we are signed in."""
        if messages > MAX_EARLY or self._received_bytes > MAX_EARLY_BYTES:
            raise ConnectionLost("too much is said before we are signed in")

    async def read_or_ping(self, ping: Callable[[], Awaitable[None]]) -> bytes:
        """Return what comes; ask a silent PBX for a sign of life before giving it up."""
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
        """Return the time of receipt, each later than the one before: order survives as time."""
        self._last = max(datetime.now(UTC), self._last + TICK)
        return self._last

    async def close(self) -> None:
        """Close at once: nothing of ours is worth waiting for."""
        if self._writer is None:
            return
        writer, self._writer = self._writer, None
        writer.transport.abort()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(1):
                await writer.wait_closed()
