"""The bus over Redis pub/sub: one connection to hear, one to publish, per process.

redis-py reconnects a PubSub without telling and does not notice a half-open link, so this class
keeps its own connection: it reconnects with back-off, subscribes anew, and says `resynced`; a
probe that each node sends to itself finds a link that is silently dead.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import deque
from collections.abc import Collection
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from gateway.bus.announcement import Announcement
from gateway.bus.bus import Deliver, Resynced

log = structlog.get_logger(__name__)

PROBE_S = 2.0
PROBES_MISSED = 3  # three late probes, 6 s: longer than a Redis failover's pause in most set-ups
OUTBOX = 10_000  # announcements; beyond it the oldest are dropped and the sweep heals them
BATCH = 512  # topics in one SUBSCRIBE, announcements in one pipeline
LINGER_S = 2.0  # an unused subscription is kept this long: reloads come right back
TIMEOUT_S = 2.0


class RedisBus:
    """This node's two connections to Redis."""

    def __init__(
        self, url: str, *, node: str, prefix: str = "gateway:", deliver: Deliver, resynced: Resynced
    ) -> None:
        self._node = node.encode()
        self._prefix = prefix
        self._deliver = deliver
        self._resynced = resynced
        self._redis: Redis = Redis.from_url(
            url,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            decode_responses=False,
        )
        self._probe_channel = f"{prefix}node:{node}".encode()
        self._wanted: set[str] = set()
        self._leaving: dict[str, float] = {}
        self._waiting: dict[str, list[asyncio.Future[None]]] = {}
        self._to_subscribe: set[str] = set()
        self._asked: set[str] = set()
        self._subscribe_soon = asyncio.Event()
        self._outbox: deque[Announcement] = deque()
        self._outbox_filled = asyncio.Event()
        self._pubsub: PubSub | None = None
        self._connected = False
        self._ever_connected = False
        self._broken = False
        self._heard_probe_at = time.monotonic()
        self._tasks: list[asyncio.Task[None]] = []
        self.published = 0
        self.received = 0
        self.dropped = 0
        self.reconnects = 0

    # --- life ------------------------------------------------------------------------------

    async def __aenter__(self) -> RedisBus:
        loop = asyncio.get_running_loop()
        for name, work in (
            ("bus.listen", self._listen()),
            ("bus.subscribe", self._subscribe_waiting()),
            ("bus.publish", self._publish_waiting()),
            ("bus.probe", self._probe()),
            ("bus.linger", self._let_go()),
        ):
            self._tasks.append(loop.create_task(work, name=name))
        return self

    async def __aexit__(self, *exc: object) -> None:
        running = set(self._tasks)
        while running:
            # Again and again: on Python 3.11 redis-py's wait_for may swallow a cancellation
            # (https://github.com/python/cpython/issues/86296).
            for task in running:
                task.cancel()
            _, running = await asyncio.wait(running, timeout=0.2)
        if self._pubsub is not None:
            with contextlib.suppress(RedisError, OSError):
                await self._pubsub.aclose()  # type: ignore[no-untyped-call]
        with contextlib.suppress(RedisError, OSError):
            await self._redis.aclose()

    @property
    def healthy(self) -> bool:
        silent_s = time.monotonic() - self._heard_probe_at
        return self._connected and silent_s < PROBE_S * PROBES_MISSED

    # --- publishing ------------------------------------------------------------------------

    def publish(self, announcements: Collection[Announcement]) -> None:
        self._outbox.extend(announcements)
        while len(self._outbox) > OUTBOX:
            self._outbox.popleft()
            self.dropped += 1
        self._outbox_filled.set()

    async def _publish_waiting(self) -> None:
        while True:
            await self._outbox_filled.wait()
            self._outbox_filled.clear()
            while self._outbox:
                batch = [self._outbox.popleft() for _ in range(min(BATCH, len(self._outbox)))]
                await self._publish(batch)

    async def _publish(self, batch: list[Announcement]) -> None:
        pipeline = self._redis.pipeline(transaction=False)
        for announcement in batch:
            data = self._node + b"\n" + announcement.to_wire()
            pipeline.publish(self._prefix + announcement.topic, data)
        try:
            await pipeline.execute(raise_on_error=False)
            self.published += len(batch)
        except Exception as error:  # noqa: BLE001 - this loop must outlive any of them
            # Not tried again: a repeated PUBLISH arrives twice, and positions heal the loss.
            self.dropped += len(batch)
            log.warning("bus.publish_failed", lost=len(batch), error=type(error).__name__)
            await asyncio.sleep(0.2)

    # --- subscribing -----------------------------------------------------------------------

    async def subscribe(self, topics: Collection[str]) -> None:
        loop = asyncio.get_running_loop()
        waits: list[asyncio.Future[None]] = []
        for topic in topics:
            self._leaving.pop(topic, None)
            if topic in self._wanted and topic not in self._waiting:
                continue
            if topic not in self._wanted:
                self._wanted.add(topic)
                self._waiting[topic] = []
                self._to_subscribe.add(topic)
            confirmed = loop.create_future()
            self._waiting[topic].append(confirmed)
            waits.append(confirmed)
        if not waits:
            return
        self._subscribe_soon.set()
        if self._connected:
            # While Redis is away nobody waits for it: positions are compared when it is back.
            await asyncio.wait(waits, timeout=TIMEOUT_S)

    def unsubscribe(self, topics: Collection[str]) -> None:
        now = time.monotonic()
        self._leaving.update((topic, now) for topic in topics)

    async def _subscribe_waiting(self) -> None:
        while True:
            await self._subscribe_soon.wait()
            self._subscribe_soon.clear()
            while self._to_subscribe and self._pubsub is not None and self._connected:
                batch = [
                    self._to_subscribe.pop() for _ in range(min(BATCH, len(self._to_subscribe)))
                ]
                try:
                    await self._pubsub.subscribe(*(self._prefix + topic for topic in batch))
                except (RedisError, OSError):
                    self._broken = True  # the listener starts over, with everything wanted
                    break

    async def _let_go(self) -> None:
        """Unsubscribe what nobody came back for."""
        while True:
            await asyncio.sleep(LINGER_S / 2)
            long_ago = time.monotonic() - LINGER_S
            gone = [topic for topic, left_at in self._leaving.items() if left_at < long_ago]
            for topic in gone:
                del self._leaving[topic]
            self._wanted.difference_update(gone)
            self._to_subscribe.difference_update(gone)
            if gone and self._pubsub is not None and self._connected:
                try:
                    await self._pubsub.unsubscribe(*(self._prefix + topic for topic in gone))
                except (RedisError, OSError):
                    self._broken = True

    # --- hearing ---------------------------------------------------------------------------

    async def _listen(self) -> None:
        """Stay connected; hear; after every loss subscribe anew and say so."""
        delay = 0.05
        while True:
            try:
                await self._connect()
                delay = 0.05
                await self._hear()
            except Exception as error:  # noqa: BLE001 - whatever it is, a deaf node starts over
                log.warning("bus.lost", error=type(error).__name__, retry_s=round(delay, 2))
            self._connected = False
            self._release_waiting()
            await self._drop_connection()
            await asyncio.sleep(delay * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
            delay = min(delay * 2, 2.0)

    async def _connect(self) -> None:
        self._broken = False
        pubsub = self._redis.pubsub()
        self._asked = set(self._wanted)  # what is wanted meanwhile waits in _to_subscribe
        topics = [self._probe_channel.decode(), *(self._prefix + t for t in self._asked)]
        self._to_subscribe -= self._asked
        for start in range(0, len(topics), BATCH):
            await pubsub.subscribe(*topics[start : start + BATCH])
        self._pubsub = pubsub
        self._heard_probe_at = time.monotonic()

    async def _hear(self) -> None:
        assert self._pubsub is not None
        pubsub = self._pubsub
        expected = 1 + len(self._asked)
        prefix = len(self._prefix)
        while True:
            message: dict[str, Any] | None = await pubsub.get_message(timeout=1.0)
            if message is None:
                if self._connected and not self.healthy:
                    raise ConnectionError("probes are late")
                if self._broken:
                    raise ConnectionError("subscribing failed")
                continue
            channel: bytes = message["channel"]
            if message["type"] == "message":
                self._take(channel, message["data"], prefix)
            elif message["type"] == "subscribe":
                self._confirmed(channel.decode()[prefix:])
                expected -= 1
                if expected == 0 and not self._connected:
                    self._now_connected()

    def _now_connected(self) -> None:
        self._connected = True
        if self._ever_connected:
            self.reconnects += 1
            log.info("bus.back", topics=len(self._wanted))
        self._ever_connected = True
        self._subscribe_soon.set()
        self._resynced()

    def _take(self, channel: bytes, data: bytes, prefix: int) -> None:
        if channel == self._probe_channel:
            self._heard_probe_at = time.monotonic()
            return
        sender, _, wire = data.partition(b"\n")
        if sender == self._node:
            return
        try:
            announcement = Announcement.from_wire(channel.decode()[prefix:], wire)
        except ValueError:
            log.warning("bus.unreadable", channel=channel.decode(errors="replace"))
            return
        self.received += 1
        try:
            self._deliver(announcement)
        except Exception:
            log.exception("bus.deliver_failed", topic=announcement.topic, type=announcement.type)

    def _confirmed(self, topic: str) -> None:
        """Take note of a subscription; one that nobody asked for means a hidden reconnect."""
        if self._connected and topic not in self._waiting:
            self._resynced()
        self._confirm(topic)

    def _confirm(self, topic: str) -> None:
        for confirmed in self._waiting.pop(topic, ()):
            if not confirmed.done():
                confirmed.set_result(None)

    def _release_waiting(self) -> None:
        for topic in list(self._waiting):
            self._confirm(topic)

    async def _drop_connection(self) -> None:
        pubsub, self._pubsub = self._pubsub, None
        if pubsub is not None:
            with contextlib.suppress(RedisError, OSError):
                await pubsub.aclose()  # type: ignore[no-untyped-call]

    async def _probe(self) -> None:
        """Ring at ourselves: if we do not hear it, we hear nobody."""
        while True:
            with contextlib.suppress(RedisError, OSError):
                await self._redis.publish(self._probe_channel.decode(), b"")
            await asyncio.sleep(PROBE_S)
