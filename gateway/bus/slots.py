"""Which server of a Redis Cluster has which slots."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from itertools import count
from typing import Any

from redis.asyncio import Redis
from redis.crc import key_slot

from gateway.bus.redis_config import Address

SLOTS = 16_384


class Slots:
    """The slot map of a cluster at one moment."""

    def __init__(self, ranges: list[tuple[int, int, Address]]) -> None:
        self._ranges = sorted(ranges)
        self._firsts = [first for first, _, _ in self._ranges]

    @property
    def ranges(self) -> list[tuple[int, int, Address]]:
        """Return first slot, last slot and master of each range, in order."""
        return list(self._ranges)

    @property
    def masters(self) -> set[Address]:
        return {at for _, _, at in self._ranges}

    @property
    def complete(self) -> bool:
        """Return whether every slot has a master."""
        return sum(last - first + 1 for first, last, _ in self._ranges) == SLOTS

    def master_of(self, key: bytes) -> Address | None:
        """Return the server that has this key's slot; None when no server has it."""
        slot = key_slot(key)
        place = bisect_right(self._firsts, slot) - 1
        if place < 0:
            return None
        _, last, at = self._ranges[place]
        return at if slot <= last else None

    def first_on(self, at: Address, names: Iterator[bytes]) -> bytes:
        """Return the first of these names whose slot this server has."""
        return next(name for name in names if self.master_of(name) == at)


def names(before: str, after: str) -> Iterator[bytes]:
    """Return names without end, in varying slots."""
    return (f"{before}{number}{after}".encode() for number in count())


async def read(redis: Redis) -> Slots:
    """Read the slot map from a server."""
    contacted: dict[str, Any] = redis.connection_pool.connection_kwargs
    # Without redis-py's own parsing of the reply, which has changed between its versions.
    redis.response_callbacks.pop("CLUSTER SLOTS", None)
    reply = await redis.execute_command("CLUSTER SLOTS")  # type: ignore[no-untyped-call]
    ranges = []
    for first, last, (host, port, *_), *_replicas in reply:
        # A server that does not know its own address sends none: it is the one we contacted.
        ranges.append((int(first), int(last), (_text(host) or str(contacted["host"]), int(port))))
    return Slots(ranges)


def _text(value: bytes | str | None) -> str:
    return value.decode() if isinstance(value, bytes) else (value or "")
