"""The outgoing queue of one Redis server: bounded, sent over one connection.

RedisBus ─▶ Publisher ─▶ Redis. RedisBus.publish never waits; the wait for Redis is here, at most
TIMEOUT_S per batch.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import structlog
from redis.asyncio import Redis
from redis.exceptions import AskError

from gateway.bus.announcement import Announcement
from gateway.bus.pubsub_dialect import PubSubDialect

log = structlog.get_logger(__name__)

OUTBOX = 10_000  # announcements; beyond it the oldest are dropped, and the sweep heals the loss
BATCH = 512  # announcements in one pipeline
MESSAGE_BYTES = 65_536
"""Limit for one PUBLISH, unless a single announcement is larger."""
PAUSE_S = 0.2

REPEATED = frozenset(("presence.changed",))
"""Types that are published again when that failed. They are whole states with a version: arriving
twice does no harm, and a loss would be healed by nothing while their watchers' node is well."""

OnMisrouted = Callable[[list[Announcement]], None]
"""Receives announcements that belong to another server of the cluster."""


@dataclass(slots=True)
class BusCounters:
    """What the bus sent, received and lost since the process began."""

    published: int = 0
    received: int = 0
    dropped: int = 0
    reconnects: int = 0


class Publisher:
    """Sends announcements to one server."""

    def __init__(
        self,
        redis: Redis,
        *,
        node: bytes,
        dialect: PubSubDialect,
        counters: BusCounters,
        on_misrouted: OnMisrouted,
    ) -> None:
        self._redis = redis
        self._node = node
        self._dialect = dialect
        self._counters = counters
        self._on_misrouted = on_misrouted
        self._outbox: deque[Announcement] = deque()
        self._filled = asyncio.Event()

    def enqueue(self, announcements: Iterable[Announcement]) -> None:
        self._outbox.extend(announcements)
        while len(self._outbox) > OUTBOX:
            self._outbox.popleft()
            self._counters.dropped += 1
        self._filled.set()

    async def run(self) -> None:
        """Publish until cancelled."""
        while True:
            await self._filled.wait()
            self._filled.clear()
            while self._outbox:
                batch = [self._outbox.popleft() for _ in range(min(BATCH, len(self._outbox)))]
                await self._publish(batch)

    def drain(self) -> list[Announcement]:
        """Remove and return what was not sent: another server has to send it."""
        unsent = list(self._outbox)
        self._outbox.clear()
        return unsent

    async def _publish(self, batch: list[Announcement]) -> None:
        messages = list(_coalesce(batch))
        pipeline = self._redis.pipeline(transaction=False)
        for announcements in messages:
            data = b"".join([self._node, b"\n", *(one.to_wire() for one in announcements)])
            channel = self._dialect.channel(announcements[0].topic)
            pipeline.execute_command(self._dialect.publish, channel, data)
        try:
            replies = await pipeline.execute(raise_on_error=False)
        except Exception as error:  # noqa: BLE001 - this loop must survive every error
            # Others are not retried: a PUBLISH may then arrive twice, and positions heal the loss.
            lost = len(batch) - self._repeat(batch)
            self._counters.dropped += lost
            if lost:
                log.warning("bus.publish_failed", lost=lost, error=type(error).__name__)
            await asyncio.sleep(PAUSE_S)
        else:
            if not self._check_replies(messages, replies):
                await asyncio.sleep(PAUSE_S)

    def _repeat(self, batch: Iterable[Announcement]) -> int:
        """Put what is published again before what waits; return how many that were."""
        again = [one for one in batch if one.type in REPEATED]
        self._outbox.extendleft(reversed(again))
        return len(again)

    def _check_replies(self, messages: list[list[Announcement]], replies: list[object]) -> bool:
        """Count what was published, and pass on what another server has to publish.

        Returns whether the server took everything that was meant for it.
        """
        misrouted: list[Announcement] = []
        refused: list[Announcement] = []
        error = ""
        for announcements, reply in zip(messages, replies, strict=True):
            if isinstance(reply, AskError):
                misrouted += announcements
            elif isinstance(reply, Exception):
                refused += announcements
                error = str(reply)
            else:
                self._counters.published += len(announcements)
        if misrouted:
            self._on_misrouted(misrouted)
        lost = len(refused) - self._repeat(refused)
        self._counters.dropped += lost
        if lost:
            log.warning("bus.publish_refused", lost=lost, error=error)
        return not refused


def _coalesce(batch: list[Announcement]) -> Iterator[list[Announcement]]:
    """Join consecutive announcements of one topic: each reply of Redis costs 8 µs to read."""
    joined: list[Announcement] = []
    size = 0
    for one in batch:
        if joined and (one.topic != joined[0].topic or size + len(one.payload) > MESSAGE_BYTES):
            yield joined
            joined, size = [], 0
        joined.append(one)
        size += len(one.payload)
    if joined:
        yield joined
