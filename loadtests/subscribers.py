"""Simulated nodes: connections that SUBSCRIBE to topics and only count the bytes received.

scenarios/scale.py ─▶ subscribers ─▶ Redis. A hundred of them cost this process little, so the cost
of one more node to Redis can be measured without a hundred machines.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import cast
from urllib.parse import urlsplit

PREFIX = "gateway:"
START_S = 20.0


class AwaitedByteCounter:
    """Counts bytes and reports the moment at which an expected number is reached."""

    def __init__(self) -> None:
        self.received = 0
        self._wanted = 0
        self._reached: asyncio.Future[float] | None = None

    def expect(self, wanted: int) -> asyncio.Future[float]:
        """Return a future with the time at which this many bytes in all have arrived."""
        self._wanted = wanted
        self._reached = asyncio.get_running_loop().create_future()
        return self._reached

    def check(self) -> None:
        if self._reached is not None and self.received >= self._wanted:
            self._reached.set_result(time.perf_counter())
            self._reached = None


class CountingSubscriber(asyncio.Protocol):
    """One node's connection for hearing."""

    def __init__(self, topics: Sequence[str], tally: AwaitedByteCounter) -> None:
        self.confirmed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.counted = 0
        self._channels = [f"{PREFIX}{topic}".encode() for topic in topics]
        self._tally = tally
        self._to_come = sum(_confirmation_bytes(*each) for each in enumerate(self._channels, 1))
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(command(b"SUBSCRIBE", *self._channels))

    def data_received(self, data: bytes) -> None:
        if not self.confirmed.done():
            self._to_come -= len(data)  # nothing is published before all have subscribed
            if self._to_come <= 0:
                self.confirmed.set_result(None)
            return
        self.counted += len(data)
        self._tally.received += len(data)
        self._tally.check()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if not self.confirmed.done():
            self.confirmed.set_exception(exc or ConnectionError("closed by Redis"))

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()


async def subscribe(
    url: str, count: int, topics: Sequence[str], tally: AwaitedByteCounter
) -> list[CountingSubscriber]:
    """Connect `count` subscribers, and wait until Redis has confirmed every topic of each."""
    loop = asyncio.get_running_loop()
    made = [CountingSubscriber(topics, tally) for _ in range(count)]
    async with asyncio.timeout(START_S):
        for each in made:
            await _connect(loop, url, each)
        for each in made:
            await each.confirmed
    return made


async def _connect(
    loop: asyncio.AbstractEventLoop, url: str, subscriber: CountingSubscriber
) -> None:
    parts = urlsplit(url)
    if parts.scheme == "unix":
        await loop.create_unix_connection(lambda: subscriber, parts.path)
    else:
        await loop.create_connection(lambda: subscriber, parts.hostname or "", parts.port or 0)


def command(*words: bytes) -> bytes:
    """Return a command as Redis reads it (RESP 2)."""
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(w), w) for w in words)


def message_bytes(channel: bytes, data: bytes) -> int:
    """Return how long a message is on the wire to a subscriber."""
    return len(command(b"message", channel, data))


def _confirmation_bytes(number: int, channel: bytes) -> int:
    return len(command(b"subscribe", channel)) + len(b":%d\r\n" % number)
