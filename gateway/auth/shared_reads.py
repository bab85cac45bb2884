"""Reads of the database that several requests wait for together.

IdentityCache, ServiceAccounts ─▶ SharedReads. Whoever comes while a key is being read waits for
that read. One that was forgotten meanwhile answers those who waited, and must not be kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class SharedReads(Generic[K, V]):
    """The reads that are under way, by what they read."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._reading: dict[K, asyncio.Task[V]] = {}

    async def read(self, key: K, begin: Callable[[], Coroutine[Any, Any, V]]) -> V:
        """Return what is being read; begin it if nobody has."""
        reading = self._reading.get(key)
        if reading is None:
            reading = self._reading[key] = asyncio.create_task(begin(), name=self._name)
            reading.add_done_callback(lambda task: self._ended(key, task))
        # Whoever goes away while they wait stops nobody else.
        return await asyncio.shield(reading)

    def forget(self, meant: Callable[[K], bool]) -> None:
        """Let the next one who asks for these keys read again: what they are may have changed."""
        for key in [key for key in self._reading if meant(key)]:
            del self._reading[key]

    def may_keep(self, key: K) -> bool:
        """Return whether the read that runs here was not forgotten since it began."""
        return self._reading.get(key) is asyncio.current_task()

    def _ended(self, key: K, task: asyncio.Task[V]) -> None:
        if self._reading.get(key) is task:
            del self._reading[key]
        if not task.cancelled():
            task.exception()  # those who waited have it; without them it is nobody's
