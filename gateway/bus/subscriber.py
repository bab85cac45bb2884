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

from gateway.bus.pubsub_dialect import Voice

log = structlog.get_logger(__name__)

PROBE_S = 2.0
PROBES_MISSED = 3  # three late probes, 6 s: longer than a Redis failover's pause in most set-ups
BATCH = 512  # channels in one write
FIRST_WAIT_S = 0.05
LONGEST_WAIT_S = 2.0
LOOK_S = 1.0

Take = Callable[[bytes, bytes], None]
Told = Callable[[], None]


class Hearing:
    """One connection, and the channels heard on it."""

    def __init__(
        self,
        pool: ConnectionPool,
        *,
        voice: Voice,
        probe: bytes,
        take: Take,
        back: Told,
        lost: Told,
    ) -> None:
        self._pool = pool
        self._voice = voice
        self._probe = probe
        self._take = take
        self._back = back
        self._lost = lost
        self._connection: Connection | None = None
        self._wanted: set[bytes] = set()
        self._waiting: dict[bytes, list[asyncio.Future[None]]] = {}
        """Channels that were asked for and are not confirmed, and who waits for each."""
        self._to_say: dict[bytes, bool] = {}
        """Channels to subscribe to, or (False) to unsubscribe from."""
        self._to_say_soon = asyncio.Event()
        self._unconfirmed: set[bytes] = set()
        """What this connection asked for when it began."""
        self._taken_away: set[bytes] = set()
        self._broken = False
        self._heard_probe_at = time.monotonic()
        self.connected = False

    @property
    def healthy(self) -> bool:
        """False while this connection may be deaf."""
        return self.connected and not self._silent

    @property
    def settled(self) -> bool:
        """Whether all that is wanted has been asked for."""
        return self.connected and not self._to_say

    @property
    def _silent(self) -> bool:
        return time.monotonic() - self._heard_probe_at >= PROBE_S * PROBES_MISSED

    # --- what to hear ----------------------------------------------------------------------

    def want(self, channel: bytes) -> asyncio.Future[None] | None:
        """Hear this channel; return what is done once it is, None when it is already."""
        if channel in self._wanted and channel not in self._waiting:
            return None
        if channel not in self._wanted:
            self._wanted.add(channel)
            self._say(channel, wanted=True)
        confirmed = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(channel, []).append(confirmed)
        return confirmed

    def forget(self, channels: Iterable[bytes]) -> None:
        """Stop hearing these."""
        for channel in channels:
            self._wanted.discard(channel)
            self._taken_away.discard(channel)
            self._confirm(channel)
            self._say(channel, wanted=False)

    def ask_again(self) -> None:
        """Ask anew for what the server took away, as it is this server's after all."""
        for channel in self._taken_away:
            self._say(channel, wanted=True)
        self._taken_away.clear()

    def _say(self, channel: bytes, *, wanted: bool) -> None:
        self._to_say[channel] = wanted
        self._to_say_soon.set()

    async def speak(self) -> None:
        """Ask for channels, and give them up, until cancelled."""
        while True:
            await self._to_say_soon.wait()
            self._to_say_soon.clear()
            while self._to_say and self._connection is not None and self.connected:
                some = [self._to_say.popitem() for _ in range(min(BATCH, len(self._to_say)))]
                try:
                    await self._ask(
                        self._connection,
                        [channel for channel, wanted in some if wanted],
                        [channel for channel, wanted in some if not wanted],
                    )
                except (RedisError, OSError):
                    self._broken = True  # the listener starts over, with everything wanted
                    break

    async def _ask(
        self, connection: Connection, these: Collection[bytes], not_these: Collection[bytes] = ()
    ) -> None:
        if not connection.is_connected:  # redis-py would connect it, without subscriptions
            raise ConnectionError("the connection has ended")
        commands = [
            *self._commands(self._voice.unsubscribe, list(not_these)),
            *self._commands(self._voice.subscribe, list(these)),
        ]
        await connection.send_packed_command(connection.pack_commands(commands), check_health=False)

    def _commands(self, verb: str, channels: list[bytes]) -> list[tuple[str | bytes, ...]]:
        step = self._voice.at_once
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
                        timeout=LOOK_S, disconnect_on_error=False
                    )
                    if answer is None:
                        self._look()
                    else:
                        self._hear(answer)
                        wait_s = FIRST_WAIT_S if self.connected else wait_s
            except Exception as error:  # noqa: BLE001 - whatever it is, a deaf node starts over
                log.warning("bus.lost", error=type(error).__name__, retry_s=round(wait_s, 2))
            self.connected = False
            for channel in list(self._waiting):
                self._confirm(channel)
            await self.hang_up()
            self._lost()
            await asyncio.sleep(wait_s * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
            wait_s = min(wait_s * 2, LONGEST_WAIT_S)

    async def hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(RedisError, OSError):
                await connection.disconnect(nowait=True)

    async def _connect(self) -> Connection:
        self._broken = False
        self._heard_probe_at = time.monotonic()
        connection: Connection = self._pool.make_connection()  # type: ignore[no-untyped-call]
        self._connection = connection
        await connection.connect()  # type: ignore[no-untyped-call]
        self._unconfirmed = {self._probe, *self._wanted}
        self._to_say.clear()  # what is wanted from now on waits until this is confirmed
        self._taken_away.clear()
        asked = list(self._unconfirmed)
        for start in range(0, len(asked), BATCH):
            await self._ask(connection, asked[start : start + BATCH])
        return connection

    def _look(self) -> None:
        if self._silent:
            raise ConnectionError("probes are late" if self.connected else "no answer")
        if self._broken:
            raise ConnectionError("subscribing failed")

    def _hear(self, answer: list[Any]) -> None:
        kind, channel = answer[0], answer[1]
        if kind == self._voice.message:
            if channel == self._probe:
                self._heard_probe_at = time.monotonic()
            else:
                self._take(channel, answer[2])
        elif kind == self._voice.subscribed:
            self._confirm(channel)
            self._unconfirmed.discard(channel)
            if not self._unconfirmed and not self.connected:
                self._now_connected()
        elif kind == self._voice.unsubscribed and (
            channel == self._probe or channel in self._wanted
        ):
            self._taken_away.add(channel)  # its slot went to another server of the cluster
            self._lost()

    def _now_connected(self) -> None:
        self.connected = True
        self._to_say_soon.set()
        self._back()

    def _confirm(self, channel: bytes) -> None:
        for confirmed in self._waiting.pop(channel, ()):
            if not confirmed.done():
                confirmed.set_result(None)
