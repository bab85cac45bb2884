"""The connection that hears one Redis server.

redis-py's PubSub reconnects without telling and does not notice a half-open link, so this class
keeps a bare connection: it reconnects with back-off, subscribes anew and says `back`; a probe that
each node sends to itself finds a link that is silently dead.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Collection, Iterable
from typing import Any

import structlog
from redis.asyncio import Connection, ConnectionPool
from redis.exceptions import RedisError

from gateway.bus.pubsub_dialect import PubSubDialect

log = structlog.get_logger(__name__)

PROBE_S = 2.0
PROBES_MISSED = 3  # three late probes, 6 s: longer than a Redis failover's pause in most set-ups
BATCH = 512  # channels in one write
FIRST_WAIT_S = 0.05
LONGEST_WAIT_S = 2.0
HEALTH_CHECK_S = 1.0

OnMessage = Callable[[bytes, bytes], None]
Notify = Callable[[], None]


class Subscriber:
    """One connection, and the channels heard on it."""

    def __init__(
        self,
        pool: ConnectionPool,
        *,
        voice: PubSubDialect,
        probe: bytes,
        take: OnMessage,
        back: Notify,
        lost: Notify,
    ) -> None:
        self._pool = pool
        self._dialect = voice
        self._probe = probe
        self._on_message = take
        self._on_connected = back
        self._on_lost = lost
        self._connection: Connection | None = None
        self._wanted: set[bytes] = set()
        self._waiting: dict[bytes, list[asyncio.Future[None]]] = {}
        """Channels that were asked for and are not confirmed, and who waits for each."""
        self._queued: dict[bytes, bool] = {}
        """Channels to subscribe to, or (False) to unsubscribe from."""
        self._commands_pending = asyncio.Event()
        self._unconfirmed: set[bytes] = set()
        """What this connection asked for when it began."""
        self._revoked: set[bytes] = set()
        self._broken = False
        self._last_probe_at = time.monotonic()
        self.connected = False

    @property
    def healthy(self) -> bool:
        """False while this connection may be deaf."""
        return self.connected and not self._silent

    @property
    def settled(self) -> bool:
        """Whether all that is wanted has been asked for."""
        return self.connected and not self._queued

    @property
    def _silent(self) -> bool:
        return time.monotonic() - self._last_probe_at >= PROBE_S * PROBES_MISSED

    # --- what to hear ----------------------------------------------------------------------

    def subscribe(self, channel: bytes) -> asyncio.Future[None] | None:
        """Hear this channel; return what is done once it is, None when it is already."""
        if channel in self._wanted and channel not in self._waiting:
            return None
        if channel not in self._wanted:
            self._wanted.add(channel)
            self._enqueue(channel, wanted=True)
        confirmed = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(channel, []).append(confirmed)
        return confirmed

    def unsubscribe(self, channels: Iterable[bytes]) -> None:
        """Stop hearing these."""
        for channel in channels:
            self._wanted.discard(channel)
            self._revoked.discard(channel)
            self._confirm(channel)
            self._enqueue(channel, wanted=False)

    def resubscribe_revoked(self) -> None:
        """Ask anew for what the server took away, as it is this server's after all."""
        for channel in self._revoked:
            self._enqueue(channel, wanted=True)
        self._revoked.clear()

    def _enqueue(self, channel: bytes, *, wanted: bool) -> None:
        self._queued[channel] = wanted
        self._commands_pending.set()

    async def send_commands(self) -> None:
        """Ask for channels, and give them up, until cancelled."""
        while True:
            await self._commands_pending.wait()
            self._commands_pending.clear()
            while self._queued and self._connection is not None and self.connected:
                some = [self._queued.popitem() for _ in range(min(BATCH, len(self._queued)))]
                try:
                    await self._send(
                        self._connection,
                        [channel for channel, wanted in some if wanted],
                        [channel for channel, wanted in some if not wanted],
                    )
                except (RedisError, OSError):
                    self._broken = True  # the listener starts over, with everything wanted
                    break

    async def _send(
        self, connection: Connection, these: Collection[bytes], not_these: Collection[bytes] = ()
    ) -> None:
        if not connection.is_connected:  # redis-py would connect it, without subscriptions
            raise ConnectionError("the connection has ended")
        commands = [
            *self._commands(self._dialect.unsubscribe, list(not_these)),
            *self._commands(self._dialect.subscribe, list(these)),
        ]
        await connection.send_packed_command(connection.pack_commands(commands), check_health=False)

    def _commands(self, verb: str, channels: list[bytes]) -> list[tuple[str | bytes, ...]]:
        step = self._dialect.channels_per_command
        return [(verb, *channels[at : at + step]) for at in range(0, len(channels), step)]

    # --- hearing ---------------------------------------------------------------------------

    async def listen(self) -> None:
        """Stay connected; hear; after every loss subscribe anew and say so."""
        wait_s = FIRST_WAIT_S
        while True:
            try:
                connection = await self._connect()
                while True:
                    answer = await connection.read_response(
                        timeout=HEALTH_CHECK_S, disconnect_on_error=False
                    )
                    if answer is None:
                        self._check_health()
                    else:
                        self._handle(answer)
                        wait_s = FIRST_WAIT_S if self.connected else wait_s
            except Exception as error:  # noqa: BLE001 - whatever it is, a deaf node starts over
                log.warning("bus.lost", error=type(error).__name__, retry_s=round(wait_s, 2))
            self.connected = False
            for channel in list(self._waiting):
                self._confirm(channel)
            await self.disconnect()
            self._on_lost()
            await asyncio.sleep(wait_s * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
            wait_s = min(wait_s * 2, LONGEST_WAIT_S)

    async def disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(RedisError, OSError):
                await connection.disconnect(nowait=True)

    async def _connect(self) -> Connection:
        self._broken = False
        self._last_probe_at = time.monotonic()
        connection: Connection = self._pool.make_connection()  # type: ignore[no-untyped-call]
        self._connection = connection
        await connection.connect()  # type: ignore[no-untyped-call]
        self._unconfirmed = {self._probe, *self._wanted}
        self._queued.clear()  # what is wanted from now on waits until this is confirmed
        self._revoked.clear()
        asked = list(self._unconfirmed)
        for start in range(0, len(asked), BATCH):
            await self._send(connection, asked[start : start + BATCH])
        return connection

    def _check_health(self) -> None:
        if self._silent:
            raise ConnectionError("probes are late" if self.connected else "no answer")
        if self._broken:
            raise ConnectionError("subscribing failed")

    def _handle(self, answer: list[Any]) -> None:
        kind, channel = answer[0], answer[1]
        if kind == self._dialect.message:
            if channel == self._probe:
                self._last_probe_at = time.monotonic()
            else:
                self._on_message(channel, answer[2])
        elif kind == self._dialect.subscribed:
            self._confirm(channel)
            self._unconfirmed.discard(channel)
            if not self._unconfirmed and not self.connected:
                self._set_connected()
        elif kind == self._dialect.unsubscribed and (
            channel == self._probe or channel in self._wanted
        ):
            self._revoked.add(channel)  # its slot went to another server of the cluster
            self._on_lost()

    def _set_connected(self) -> None:
        self.connected = True
        self._commands_pending.set()
        self._on_connected()

    def _confirm(self, channel: bytes) -> None:
        for confirmed in self._waiting.pop(channel, ()):
            if not confirmed.done():
                confirmed.set_result(None)
