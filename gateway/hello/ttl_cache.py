"""A cache for what every hello reads: names and presences of colleagues.

hellos ─▶ TtlCache ─▶ BatchLoader ─▶ one read. In a storm the same few thousand people are in
everyone's lists: each is read about once in `ttl_s`, not once for every list. It is empty when
nobody reads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Generic, TypeVar

from gateway.batch_loader import BatchLoader, Spawn

V = TypeVar("V")

Load = Callable[[Sequence[int]], Awaitable[Mapping[int, V]]]


class TtlCache(Generic[V]):
    """Values by number, none older than `ttl_s` and the time it took to read it."""

    def __init__(
        self,
        load: Load[V],
        *,
        spawn: Spawn,
        name: str,
        ttl_s: float,
        newer: Callable[[V, V], bool] | None = None,
    ) -> None:
        self._load = load
        self._ttl_s = ttl_s
        self._newer = newer
        self._values: dict[int, V] = {}
        self._expiry_scheduled = False
        self._loader: BatchLoader[AbstractSet[int], Mapping[int, V]] = BatchLoader(
            self._read, spawn=spawn, name=name
        )

    def __len__(self) -> int:
        return len(self._values)

    async def get_many(self, keys: AbstractSet[int]) -> Mapping[int, V]:
        """Return the values of these; others may be among them, unknown ones are not."""
        values = self._values
        missing = keys - values.keys()
        if not missing:
            return values
        found = await self._loader.load(missing)
        return {**{key: values[key] for key in keys if key in values}, **found}

    def put(self, key: int, value: V) -> None:
        """Store a value that was announced; an older one that is being read does not replace it."""
        self._store(key, value)
        self._schedule_expiry()

    async def _read(self, requests: Sequence[AbstractSet[int]]) -> Sequence[Mapping[int, V]]:
        """Read every key of these requests; each gets all of them."""
        found = await self._load(sorted(set().union(*requests)))
        read = {key: self._store(key, value) for key, value in found.items()}
        self._schedule_expiry()
        return [read] * len(requests)

    def _store(self, key: int, value: V) -> V:
        known = self._values.get(key)
        if known is not None and self._newer is not None and self._newer(known, value):
            return known
        self._values[key] = value
        return value

    def _schedule_expiry(self) -> None:
        """Empty the cache in `ttl_s`: a time for each value is not worth its memory."""
        if not self._expiry_scheduled and self._values:
            self._expiry_scheduled = True
            asyncio.get_running_loop().call_later(self._ttl_s, self._expire)

    def _expire(self) -> None:
        self._expiry_scheduled = False
        self._values = {}  # a new dict: whoever uses the old one keeps it
