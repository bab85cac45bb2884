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

MOST_REFUSALS = 5
"""So often in a row a server may refuse before what it refuses is dropped: it will go on."""

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
        self._sending: list[Announcement] = []
        """The batch of which it is not known yet whether the server took it."""
        self._failures = self._refusals = 0
        """In a row."""
        self._drained = False
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
                amount = min(BATCH, len(self._outbox))
                self._sending = [self._outbox.popleft() for _ in range(amount)]
                await self._publish(self._sending)
                self._sending = []

    def drain(self) -> list[Announcement]:
        """Remove and return what was not sent: another server has to send it.

        Of what is being sent, only what may arrive twice.
        """
        unsent = [*(one for one in self._sending if one.type in REPEATED), *self._outbox]
        self._outbox.clear()
        self._sending = []
        self._drained = True
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
            self._failures += 1
            self._lose(batch, "bus.publish_failed", type(error).__name__, self._failures)
            await asyncio.sleep(PAUSE_S)
        else:
            self._failures = 0
            if refused := self._check_replies(messages, replies):
                self._refusals += 1
                why = str(next(one for one in replies if _is_refusal(one)))
                self._lose(refused, "bus.publish_refused", why, self._refusals)
                await asyncio.sleep(PAUSE_S)
            else:
                self._refusals = 0

    def _lose(self, batch: list[Announcement], event: str, error: str, times: int) -> None:
        """Publish again what may arrive twice, before what waits; count and log what is lost.

        Others are not published again: positions heal their loss. What a server has refused some
        times, it will refuse again, and others wait behind it.
        """
        again = [one for one in batch if one.type in REPEATED]
        if self._refusals > MOST_REFUSALS:
            again = []
        if not self._drained:
            self._outbox.extendleft(reversed(again))
        lost = len(batch) - len(again)
        self._counters.dropped += lost
        if lost or times == 1:
            log.warning(event, lost=lost, repeated=len(again), error=error)

    def _check_replies(
        self, messages: list[list[Announcement]], replies: list[object]
    ) -> list[Announcement]:
        """Count what was published, pass on what another server has to publish.

        Returns what the server refused.
        """
        misrouted: list[Announcement] = []
        refused: list[Announcement] = []
        for announcements, reply in zip(messages, replies, strict=True):
            if _is_refusal(reply):
                refused += announcements
            elif isinstance(reply, AskError):
                misrouted += announcements
            else:
                self._counters.published += len(announcements)
        if misrouted:
            self._on_misrouted(misrouted)
        return refused


def _is_refusal(reply: object) -> bool:
    """Return whether a server did not take a message that was meant for it."""
    return isinstance(reply, Exception) and not isinstance(reply, AskError)


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
