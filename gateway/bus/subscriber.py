"""The connection on which announcements arrive from one Redis server.

Redis ─▶ Subscriber ─▶ RedisBus. redis-py's PubSub reconnects without notice and does not detect a
half-open connection, so this class keeps a bare connection: it reconnects with back-off, subscribes
again and calls `on_connected`. A probe that each node sends to itself detects a dead connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
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
HANDLED_AT_ONCE = 32
"""Replies handled without a pause: the confirmations of 512 channels come together."""
FIRST_WAIT_S = 0.05
LONGEST_WAIT_S = 2.0
HEALTH_CHECK_S = 1.0

OnMessage = Callable[[bytes, bytes], None]
"""Receives a channel and the data published on it."""
Notify = Callable[[], None]


class Subscriber:
    """One connection, and the channels it is subscribed to."""

    def __init__(
        self,
        pool: ConnectionPool,
        *,
        dialect: PubSubDialect,
        probe: bytes,
        on_message: OnMessage,
        on_connected: Notify,
        on_lost: Notify,
    ) -> None:
        self._pool = pool
        self._dialect = dialect
        self._probe = probe
        self._on_message = on_message
        self._on_connected = on_connected
        self._on_lost = on_lost
        self._connection: Connection | None = None
        self._channels: set[bytes] = set()
        self._waiting: dict[bytes, list[asyncio.Future[None]]] = {}
        """Channels that were requested and are not confirmed → who waits for each."""
        self._queued: dict[bytes, bool] = {}
        """Channels to subscribe to (True) or to unsubscribe from (False)."""
        self._commands_pending = asyncio.Event()
        self._unconfirmed: set[bytes] = set()
        """What this connection requested when it began; nothing before it did."""
        self._revoked: set[bytes] = set()
        self._broken = False
        self._last_probe_at = time.monotonic()
        self.connected = False
        self.overdue = False
        """Somebody has waited too long for a confirmation, and none has come since: nobody else
        waits."""

    @property
    def healthy(self) -> bool:
        """Return False while this connection may not receive everything."""
        return self.connected and not self._silent

    @property
    def settled(self) -> bool:
        """Return whether every subscription has been requested."""
        return self.connected and not self._queued

    @property
    def _silent(self) -> bool:
        return time.monotonic() - self._last_probe_at >= PROBE_S * PROBES_MISSED

    # --- what to subscribe to --------------------------------------------------------------

    def subscribe(self, channel: bytes) -> asyncio.Future[None] | None:
        """Subscribe; return a future that is done once confirmed.

        None when it already is, or when `on_connected` is called after it.
        """
        if channel in self._channels and channel not in self._waiting:
            return None
        if channel not in self._channels:
            self._channels.add(channel)
            self._enqueue(channel, subscribe=True)
        if not self.connected and (not self._unconfirmed or channel in self._unconfirmed):
            return None
        confirmed = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(channel, []).append(confirmed)
        return confirmed

    def unsubscribe(self, channels: Iterable[bytes]) -> None:
        for channel in channels:
            self._channels.discard(channel)
            self._revoked.discard(channel)
            self._confirm(channel)
            self._enqueue(channel, subscribe=False)

    def resubscribe_revoked(self) -> None:
        """Request again what the server revoked, because it is this server's after all."""
        for channel in self._revoked:
            self._enqueue(channel, subscribe=True)
        self._revoked.clear()

    def _enqueue(self, channel: bytes, *, subscribe: bool) -> None:
        self._queued[channel] = subscribe
        self._commands_pending.set()

    async def send_commands(self) -> None:
        """Subscribe and unsubscribe as queued, until cancelled."""
        while True:
            await self._commands_pending.wait()
            self._commands_pending.clear()
            while self._queued and self._connection is not None and self.connected:
                some = [self._queued.popitem() for _ in range(min(BATCH, len(self._queued)))]
                try:
                    await self._send(
                        self._connection,
                        [channel for channel, subscribe in some if subscribe],
                        [channel for channel, subscribe in some if not subscribe],
                    )
                except (RedisError, OSError):
                    self._broken = True  # the listener reconnects and subscribes to everything
                    break

    async def _send(
        self,
        connection: Connection,
        subscribe: Collection[bytes],
        unsubscribe: Collection[bytes] = (),
    ) -> None:
        if not connection.is_connected:  # redis-py would connect it, without subscriptions
            raise ConnectionError("the connection has ended")
        commands = [
            *self._commands(self._dialect.unsubscribe, list(unsubscribe)),
            *self._commands(self._dialect.subscribe, list(subscribe)),
        ]
        await connection.send_packed_command(connection.pack_commands(commands), check_health=False)

    def _commands(self, verb: str, channels: list[bytes]) -> list[tuple[str | bytes, ...]]:
        step = self._dialect.channels_per_command
        return [(verb, *channels[at : at + step]) for at in range(0, len(channels), step)]

    # --- receiving -------------------------------------------------------------------------

    async def listen(self) -> None:
        """Stay connected and receive; after every loss reconnect, subscribe again and report it."""
        wait_s = FIRST_WAIT_S
        while True:
            try:
                connection = await self._connect()
                for number in itertools.count(1):
                    if number % HANDLED_AT_ONCE == 0:
                        await asyncio.sleep(0)
                    reply = await connection.read_response(
                        timeout=HEALTH_CHECK_S, disconnect_on_error=False
                    )
                    if reply is None:
                        self._check_health()
                    else:
                        self._handle(reply)
                        wait_s = FIRST_WAIT_S if self.connected else wait_s
            except Exception as error:  # noqa: BLE001 - whatever it is, the node reconnects
                log.warning("bus.lost", error=type(error).__name__, retry_s=round(wait_s, 2))
            self.connected = self.overdue = False
            await self.disconnect()
            self._on_lost()
            await asyncio.sleep(wait_s * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
            wait_s = min(wait_s * 2, LONGEST_WAIT_S)

    async def disconnect(self) -> None:
        """Hang up; whoever waits for a confirmation is told that none will come."""
        for channel in list(self._waiting):
            self._confirm(channel)
        self._unconfirmed.clear()
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
        self._unconfirmed = {self._probe, *self._channels}
        self._queued.clear()  # what is requested from now on waits until this is confirmed
        self._revoked.clear()
        requested = list(self._unconfirmed)
        for start in range(0, len(requested), BATCH):
            await self._send(connection, requested[start : start + BATCH])
        return connection

    def _check_health(self) -> None:
        if self._silent:
            raise ConnectionError("probes are late" if self.connected else "no answer")
        if self._broken:
            raise ConnectionError("subscribing failed")

    def _handle(self, reply: list[Any]) -> None:
        kind, channel = reply[0], reply[1]
        if kind == self._dialect.message:
            if channel == self._probe:
                self._last_probe_at = time.monotonic()
            else:
                self._on_message(channel, reply[2])
        elif kind == self._dialect.subscribed:
            self.overdue = False
            self._confirm(channel)
            self._unconfirmed.discard(channel)
            if not self._unconfirmed and not self.connected:
                self._set_connected()
        elif kind == self._dialect.unsubscribed and (
            channel == self._probe or channel in self._channels
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
